/** Clients of mapped ports that sets of rules name: who is in such a set may be kept out by it. */
import { unlessRefused } from "../../base/unless.ts";
import type { Scene } from "../../facts/scene.ts";
import { flowsTo } from "../../nft/conntrack.ts";
import type { Kernel } from "../observe/kernel.ts";

/** Whoever fills sets with all of its clients has a reason. */
const MOST = 2;

/** Neighbours of the agent, and who has connections to the container's ports, as far as sets name them. */
export async function namedClients(
  scene: Pick<Scene, "interfaces" | "host" | "agent" | "uplink">,
  kernel: Pick<Kernel, "namedAddresses">,
): Promise<string[]> {
  const { interfaces, host, agent } = scene;
  const ports = interfaces.flatMap(({ checkpoint }) => checkpoint?.portMappings ?? []);
  if (ports.length === 0) return [];
  const named = await kernel.namedAddresses();
  if (named.size === 0) return [];
  const flows = ports.flatMap(({ hostPort, protocol }) =>
    protocol !== "tcp" && protocol !== "udp"
      ? []
      : ([4, 6] as const).flatMap((family) =>
        unlessRefused(() => flowsTo(family, protocol, hostPort)) ?? []
      )
  );
  const out = ([4, 6] as const).flatMap((family) => scene.uplink(family)?.link ?? []);
  const near = out.flatMap((link) => host.knownOn(link));
  const known = [...near.map(({ address }) => address), ...flows.map(({ source }) => source)];
  // A container of the agent's, or itself, is no stranger.
  return [...new Set(known)].filter((one) =>
    named.has(one) && agent.holdersOf(one).length === 0 && host.ownerOf(one) === undefined
  ).slice(0, MOST);
}
