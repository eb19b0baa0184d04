/** Clients of mapped ports: whom sets of rules name, and who came by another way than strangers are asked by. */
import { unlessRefused } from "../../base/unless.ts";
import { isWayIn, type Scene, type Uplink } from "../../facts/scene.ts";
import { flowsTo } from "../../nft/conntrack.ts";
import type { Kernel } from "../observe/kernel.ts";

/** Whoever fills sets with all of its clients has a reason. */
const MOST = 2;
/** Of ways by which clients come and are answered, and of clients for whom the kernel is asked for them. */
const MOST_WAYS = 4;
const MOST_LOOKED_AT = 64;

/** Somebody who is asked as. */
export interface Client {
  address: string;
  /** Where he has a connection: that he had an answer there shows that he is to have one. */
  asked?: { by: Uplink; hostPort: number; protocol: string };
}

/**
 * Neighbours of the agent, and who has connections to the container's ports: as far as sets name them,
 * and one for each way in and back that is not only the agent's way out.
 */
export async function knownClients(
  scene: Pick<Scene, "interfaces" | "host" | "agent" | "uplink" | "givenOf">,
  kernel: Pick<Kernel, "namedAddresses">,
): Promise<Client[]> {
  const { interfaces, host, agent } = scene;
  const ports = interfaces.flatMap(({ checkpoint }) => checkpoint?.portMappings ?? []);
  if (ports.length === 0) return [];
  // A container of the agent's, or itself, is no stranger.
  const isStranger = (address: string) =>
    agent.holdersOf(address).length === 0 && host.ownerOf(address) === undefined;
  const flows = ports.flatMap(({ hostPort, protocol }) =>
    protocol !== "tcp" && protocol !== "udp" ? [] : ([4, 6] as const).flatMap((family) => {
      const own = scene.givenOf(family);
      const all = unlessRefused(() => flowsTo(family, protocol, hostPort)) ?? [];
      return all.filter(({ source, answerer }) => own.includes(answerer) && isStranger(source))
        .map(({ source, destination }) => ({ source, destination, family, hostPort, protocol }));
    })
  );
  const named = await kernel.namedAddresses();
  const out = ([4, 6] as const).flatMap((family) => scene.uplink(family)?.link ?? []);
  const near = named.size === 0 ? [] : out.flatMap((link) => host.knownOn(link));
  const known = [...near.map(({ address }) => address), ...flows.map(({ source }) => source)];
  const inSets = [...new Set(known)].filter((one) => named.has(one) && isStranger(one));
  const distinct = new Map(flows.map((one) => [JSON.stringify(one), one]));
  const byWay = [...distinct.values()].slice(0, MOST_LOOKED_AT).flatMap((flow) => {
    const { source: address, destination: agentAddress, family, hostPort, protocol } = flow;
    const link = host.ownerOf(agentAddress);
    const back = host.wayTo(address);
    // An address without a network may be any link's, and no link's.
    const isOnLink = link &&
      host.globalsOf(link, family).some((one) =>
        one.address === agentAddress && one.prefixLength < (family === 4 ? 32 : 128)
      );
    const uplink = scene.uplink(family)?.link;
    const isOther = link !== uplink || back.link !== uplink;
    if (!isOnLink || !isOther || !isWayIn(host, agent.containers, link)) return [];
    const by = { link, agentAddress, somewhere: back.route?.gateway ?? address };
    const client: Client = { address, asked: { by, hostPort, protocol } };
    return [[`${agentAddress} ${protocol} ${hostPort} ${back.link?.index}`, client] as const];
  });
  return [
    ...inSets.slice(0, MOST).map((address) => ({ address })),
    ...[...new Map(byWay).values()].slice(0, MOST_WAYS),
  ];
}
