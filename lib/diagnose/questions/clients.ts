/** Clients of mapped ports: whom sets of rules name, and who came by another way than strangers are asked by. */
import type { PortMapping } from "../../cni/port_mappings.ts";
import { familyOfKnown } from "../../base/ip.ts";
import { unlessRefused } from "../../base/unless.ts";
import { isWayIn, leadsOut, type Scene, type Uplink } from "../../facts/scene.ts";
import { flowsTo } from "../../nft/conntrack.ts";
import { halfOpen } from "../../facts/readers/connections.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Kernel } from "../observe/kernel.ts";

/** Whoever fills sets with all of its clients has a reason; and of ways in and back there are few. */
const MOST = 4;
/** Of connections, for whose ways the kernel is asked. */
const MOST_LOOKED_AT = 64;
/** A port may be flooded, and a container may have a thousand. */
const MOST_CONNECTIONS = 1000;
const MOST_PORTS = 8;
const FAMILIES = [4, 6] as const;

/** Somebody who is asked as. */
export interface Client {
  address: string;
  /** Where he has a connection: that he had an answer there shows that he is to have one. */
  asked?: { by: Uplink; hostPort: number; protocol: string };
  /** What shows that he gets no answer but by that link. */
  returns?: readonly string[];
  /** Whether nobody has seen him, or one like him, come by that link. */
  isUnknown?: true;
}

interface Connection {
  source: string;
  destination: string;
  family: 4 | 6;
  hostPort: number;
  protocol: string;
}

/**
 * Neighbours of the agent, and who has connections to the container's ports: as far as sets name them,
 * and one for each way in and back that is not only the agent's way out.
 */
export async function knownClients(
  scene: Scene,
  kernel: Pick<Kernel, "namedAddresses">,
): Promise<Client[]> {
  const mappings = mappingsOf(scene);
  if (mappings.length === 0) return [];
  const named = await kernel.namedAddresses();
  const { host, agent } = scene;
  // Others are of this machine, or behind it: another runtime's container, or one that has ended.
  const isBeyond = (link?: Link): link is Link =>
    link !== undefined && leadsOut(host, agent.containers, link);
  // Whoever waits for an answer that does not come to him is the one to ask as.
  const waiting = halfOpen(scene.inside).map(({ remoteAddress }) => remoteAddress)
    .filter((one) => scene.isStranger(one) && isBeyond(host.wayTo(one).link)).slice(0, MOST);
  const ways = host.links.filter((one) =>
    isWayIn(host, agent.containers, one) &&
    FAMILIES.some((family) => host.globalsOf(one, family).length > 0)
  );
  // The kernel walks all of its table for each port, and by one link everybody comes alike.
  if (ways.length < 2 && named.size === 0) return waiting.map((address) => ({ address }));
  const near = FAMILIES.flatMap((family) => {
    const link = scene.uplink(family)?.link;
    return link && named.size > 0 ? scene.strangersOn(link, family) : [];
  });
  const isUsual = ({ destination, family }: Connection) =>
    host.ownerOf(destination) === scene.uplink(family)?.link;
  const rank = (one: Connection) => named.has(one.source) ? 0 : isUsual(one) ? 2 : 1;
  const all = mappings.slice(0, MOST_PORTS).flatMap((one) => connectionsTo(scene, one))
    .toSorted((a, b) => rank(a) - rank(b));
  const known = new Map<string, Client>();
  for (const address of [...waiting, ...near.filter((one) => named.has(one))]) {
    known.set(address, { address });
  }
  for (const { source: address, ...to } of all.slice(0, MOST_LOOKED_AT)) {
    const { link: back, route } = host.wayTo(address);
    if (!isBeyond(back)) continue;
    const asked = askedBy(scene, to, route?.gateway ?? address);
    const uplink = scene.uplink(to.family)?.link;
    const isUnknown = asked && !isBy(scene, asked.by, address);
    const client: Client = { address, asked, ...isUnknown ? { isUnknown } : {} };
    if (named.has(address)) known.set(address, client);
    else if (asked && (asked.by.link !== uplink || back !== uplink)) {
      known.set(`${Object.values(to)} ${back.index}`, client);
    }
  }
  return [...known.values()].slice(0, MOST);
}

/** By which link somebody came who has, or had just now, a connection to a port of the container's. */
export function wayOf(scene: Scene, client: string): Uplink | undefined {
  const to = mappingsOf(scene).slice(0, MOST_PORTS).flatMap((one) => connectionsTo(scene, one))
    .find(({ source }) => source === client);
  const by = to && askedBy(scene, to, scene.host.wayTo(client).route?.gateway ?? client)?.by;
  return by && isBy(scene, by, client) ? by : undefined;
}

/**
 * Whether somebody comes by the link whose address he asks for. The way out's he may as well ask for on the
 * link that leads back to him; but behind a router, where strict filters have dropped something, he may not.
 */
export function isBy(scene: Scene, { link }: Uplink, client: string): boolean {
  const { host } = scene;
  const { link: back, route } = host.wayTo(client);
  return link === back || link !== scene.uplink(familyOfKnown(client))?.link ||
    route?.gateway !== undefined && host.counted("netstat", "IPReversePathFilter") > 0;
}

function mappingsOf({ interfaces }: Scene): PortMapping[] {
  return interfaces.flatMap(({ checkpoint }) => checkpoint?.portMappings ?? []);
}

/** Who has a connection to a port of the container's, and by which address of the agent; each once. */
function connectionsTo(scene: Scene, { hostPort, protocol }: PortMapping): Connection[] {
  if (protocol !== "tcp" && protocol !== "udp") return [];
  const found = FAMILIES.flatMap((family) => {
    const own = scene.givenOf(family);
    const ask = () => flowsTo(family, protocol, [hostPort], MOST_CONNECTIONS);
    return (own.length > 0 ? unlessRefused(ask) ?? [] : [])
      .filter(({ source, answerer }) => own.includes(answerer) && scene.isStranger(source))
      .map(({ source, destination }) => ({ source, destination, family, hostPort, protocol }));
  });
  return [...new Map(found.map((one) => [`${one.source} ${one.destination}`, one])).values()];
}

/** Of an address alone, without a network, nobody knows by which link others come to it. */
function askedBy(
  { host, agent }: Scene,
  { destination: agentAddress, family, hostPort, protocol }: Omit<Connection, "source">,
  somewhere: string,
): Client["asked"] {
  const link = host.ownerOf(agentAddress);
  const isOnLink = link &&
    host.globalsOf(link, family).some((one) =>
      one.address === agentAddress && one.prefixLength < (family === 4 ? 32 : 128)
    );
  return isOnLink && isWayIn(host, agent.containers, link)
    ? { by: { link, agentAddress, somewhere }, hostPort, protocol }
    : undefined;
}
