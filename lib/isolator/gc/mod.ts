/** What is left on a machine of containers that are gone. */
import type { ContainerId } from "../../mesos/container_id.ts";
import { cleanup } from "../cleanup.ts";
import { knownContainers } from "../../containers/ids.ts";
import type { Isolator } from "../isolator.ts";
import { elsewhere, fateOf } from "../../containers/liveness.ts";
import { leasedAddresses } from "../../containers/lease.ts";
import { readRequest } from "../../containers/request.ts";
import { OperatorError } from "../../base/error.ts";
import { Pace } from "../../base/pace.ts";
import { ProcessTable } from "../../kernel/processes.ts";
import type { Layout } from "../../containers/layout.ts";
import { type Link, Netlink } from "../../netlink/mod.ts";
import { type Fate, Sight } from "../../netlink/sight.ts";
import { listOwners } from "../../ports/mod.ts";
import { beingAdded } from "./adding.ts";
import { findAddresses, type Holders } from "./addresses.ts";
import type { Garbage } from "./garbage.ts";
import { findLiving, type Living } from "./living.ts";
import { ledPorts } from "../../firewall/led_ports.ts";
import { passages } from "../../firewall/passage.ts";
import { tracesOf } from "./networks.ts";
import { findMappings, findNamedRules, listNamedRules, listUnrecorded } from "./rules.ts";
import { unlessRefused } from "../../base/unless.ts";

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
  const known = knownContainers(layout);
  const sight = await look();
  const { alive, dead, unjudged } = await judge(isolator, known, agents, sight);
  const containers = [...unjudged, ...dead.map((id) => deadContainer(isolator, id, agents))];
  // Where the agent's processes can't be seen, all that is strangers' would look dead too.
  if (unjudged.some(({ isElsewhere }) => isElsewhere)) return containers;

  const { addressStores, chains, bridges } = tracesOf(isolator);
  // What lives is found last: what a container makes that starts meanwhile is not on the lists.
  const mapped = await ledPorts(path, { also: chains });
  const { found: passed, unread } = passages.survey();
  const named = await listNamedRules(path, mapped, passed, unread.length === 0);
  const stores = [...addressStores].map((store) => [store, leasedAddresses(store)] as const);
  const leases = stores.flatMap(([, leased]) => leased);
  // Whose plugin has ended by the time that it is looked for has the address on its interface.
  const adding = leases.length > 0 ? await beingAdded() : [];
  const { living, isAllSeen, wires, links } = await lookAround(layout, alive);
  const started = knownContainers(layout).filter((id) => !known.includes(id));
  const owners = ownersAlive(sight);
  const holders: Holders = {
    alive: new Set([...alive, ...started, ...owners ?? [], ...adding]),
    dead: new Set<string>(dead),
    // A record that can't be read may be of a container that lives.
    unexplained: owners === undefined || living.incomplete || !isAllSeen ||
      isUnexplained(wires, bridges, living, leases),
  };
  return [
    ...containers,
    ...part("mapping", "port mappings", () => findMappings(sight, path)),
    ...part(
      "rule",
      "port mappings' rules",
      () => findNamedRules(listUnrecorded(mapped, path), living, holders, links),
    ),
    ...findNamedRules(named, living, holders, links),
    ...unread.map((error) => unseen("rule", "a record of the firewall plugin", error)),
    ...stores.flatMap(([store, leased]) =>
      part("address", store, () => findAddresses(store, leased, living, holders, sight))
    ),
  ];
}

async function look(): Promise<Sight> {
  return new Sight(await ProcessTable.look());
}

/** What lives on this machine, and whether that is all. */
async function lookAround(layout: Layout, alive: readonly ContainerId[]) {
  await Sight.ofAllThatLives();
  // Wires first: what lives at the other end of one that is on the list is seen after it.
  using netlink = Netlink.open();
  const all = netlink.links();
  const wires = all.filter(({ kind }) => kind === "veth");
  const living = await findLiving(layout, alive, await look());
  const isAllSeen = wires.every(({ peerNamespaceId: id }) =>
    id === undefined || living.namespaceIds.has(id)
  );
  return { wires, living, isAllSeen, links: new Set(all.map(({ name }) => name)) };
}

function judgeOne(
  { settings: { layout } }: Isolator,
  id: ContainerId,
  agents: readonly ContainerId[],
  sight: Sight,
): Fate {
  return agents.includes(id) ? "lives" : fateOf(layout, id, readRequest(layout, id), sight);
}

/** Which containers live. One of which that can't be told counts as alive, and is told of. */
async function judge(
  isolator: Isolator,
  known: readonly ContainerId[],
  agents: readonly ContainerId[],
  sight: Sight,
) {
  const pace = new Pace();
  const alive: ContainerId[] = [];
  const dead: ContainerId[] = [];
  const unjudged: (Garbage & { isElsewhere: boolean })[] = [];
  for (const id of known) {
    try {
      const fate = judgeOne(isolator, id, agents, sight);
      if (fate === "elsewhere") throw elsewhere(id);
      (fate === "lives" ? alive : dead).push(id);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      alive.push(id);
      unjudged.push({
        ...unseen("container", `container ${id}`, error),
        isElsewhere: error.code === "elsewhere",
      });
    }
    await pace.rest();
  }
  return { alive, dead, unjudged };
}

function deadContainer(
  isolator: Isolator,
  id: ContainerId,
  agents: readonly ContainerId[],
): Garbage {
  return {
    kind: "container",
    what: `checkpoint of container ${id} in ${isolator.settings.layout.containers}`,
    why: "no process lives in its network" +
      (agents.length > 0 ? ", and the agent does not know it" : ""),
    remove: () =>
      isolator.locks.hold(id, async () => {
        if (judgeOne(isolator, id, agents, await look()) === "gone") await cleanup(isolator, id);
      }),
  };
}

function unseen(kind: Garbage["kind"], what: string, error: OperatorError): Garbage {
  return {
    kind,
    what,
    why: "it could not be looked at",
    failed: error.message,
    remove: () => Promise.reject(error),
  };
}

/** One kind of garbage: what can't be looked through is told of, and the others are all the same. */
function part(kind: Garbage["kind"], what: string, find: () => Garbage[]): Garbage[] {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return [unseen(kind, what, error)];
  }
}

/** The containers of live port mappings, also of other runtimes. @returns undefined if one can't be read */
function ownersAlive(sight: Sight): string[] | undefined {
  // findMappings says so.
  const owners = unlessRefused(() => listOwners(sight));
  return owners?.filter(({ fate }) => fate !== "gone").map(({ containerId }) => containerId);
}

/** Whether something lives on one of the bridges that has none of the addresses given out. */
function isUnexplained(
  wires: readonly Link[],
  bridges: ReadonlySet<string>,
  { strangers }: Living,
  leases: readonly string[],
): boolean {
  const given = new Set(leases);
  using netlink = Netlink.open();
  return wires.some(({ master, peerNamespaceId }) => {
    const addresses = strangers.get(peerNamespaceId ?? -1);
    const bridge = addresses && master !== undefined ? netlink.linkAt(master)?.name : undefined;
    return bridge !== undefined && bridges.has(bridge) &&
      ![...addresses!].some((address) => given.has(address));
  });
}
