/** What is left on a machine of containers that are gone. */
import type { ContainerId } from "../../mesos/container_id.ts";
import { cleanup } from "../cleanup.ts";
import { knownContainers } from "../../containers/ids.ts";
import type { Isolator } from "../isolator.ts";
import { isAlive } from "../../containers/liveness.ts";
import { readRequest } from "../../containers/request.ts";
import { findAddresses } from "./addresses.ts";
import type { Garbage } from "./garbage.ts";
import { findLiving } from "./living.ts";
import { findMappings, findRules, listRules } from "./mappings.ts";
import { tracesOf } from "./networks.ts";
import { findVeths, listPorts } from "./veths.ts";

export type { Garbage };

/**
 * Finds what no live container owns. Nothing is changed.
 *
 * A container lives if it has a process, or if the agent says so. What is outside of the
 * checkpoints (addresses, rules, wires) may belong to other programs' containers: it is garbage
 * only if no network namespace of the machine has to do with it.
 *
 * @param agents the agent's containers, where it was asked
 * @returns containers first, since their cleanup takes most of the rest along
 */
export async function findGarbage(
  isolator: Isolator,
  agents: readonly ContainerId[] = [],
): Promise<Garbage[]> {
  const { layout, path } = isolator.settings;
  const lives = (id: ContainerId) =>
    agents.includes(id) || isAlive(layout, id, readRequest(layout, id));
  const dead = knownContainers(layout).filter((id) => !lives(id));
  const containers = dead.map((id): Garbage => ({
    kind: "container",
    what: `checkpoint of container ${id} in ${layout.containers}`,
    why: "no process lives in its network" +
      (agents.length > 0 ? ", and the agent does not know it" : ""),
    remove: () =>
      isolator.locks.hold(id, async () => {
        if (!lives(id)) await cleanup(isolator, id);
      }),
  }));
  const { addressStores, chains, bridges } = tracesOf(isolator);
  // What lives is found last: what a container makes that starts meanwhile is not on the lists.
  const rules = await Promise.all([...chains].map((chain) => listRules(chain, path)));
  const ports = listPorts(bridges);
  const living = findLiving(layout, dead);
  return [
    ...containers,
    ...findMappings(),
    ...rules.flatMap((listed) => findRules(listed, living)),
    ...[...addressStores].flatMap((store) => findAddresses(store, living)),
    ...findVeths(ports, living),
  ];
}
