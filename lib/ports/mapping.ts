/** What a container asks of the firewall, in values that can hold nothing bad. */
import { ANY_ADDRESS, type Family, familyOfKnown } from "../base/ip.ts";
import { commentOf, keyOf, type Owner, possibleComments } from "../firewall/owner.ts";
import type { Matches } from "../firewall/rule.ts";
import { PROTOCOL_NUMBERS, type TransportProtocol } from "../nft/wire.ts";

export { commentOf, keyOf, type Owner, possibleComments };

export type Protocol = TransportProtocol;
export const PROTOCOLS = Object.keys(PROTOCOL_NUMBERS) as readonly Protocol[];
export const BACKENDS = ["iptables", "nftables"] as const;
export type BackendName = (typeof BACKENDS)[number];

/** A port of the host that leads to a port of the container. */
export interface Mapping {
  protocol: Protocol;
  hostPort: number;
  containerPort: number;
  /** Only for packets to this address of the host; absent: to all of both families. */
  hostAddress?: string;
}

/** An address of the container. */
export interface Endpoint {
  family: Family;
  address: string;
  /** Of the network the address is in. */
  prefixLength: number;
}

/** Where and how an operator wants a network's mappings. */
export interface Placement {
  backend: BackendName;
  /** Of the nat table, for the DNAT rules (backend iptables). */
  chain: string;
  /** Ingress devices whose traffic is not redirected. */
  excludeDevices: readonly string[];
  /** Whether 127.0.0.1 of the host, and the container itself by the host's addresses, are led too. */
  snat: boolean;
  /** With `snat`: connections from anywhere come back by this host (backend iptables). */
  masqueradeAll?: boolean;
  /** What packets must meet besides, of each family (backend iptables). */
  conditions?: { [family in Family]?: Conditions };
}

/** Matches of iptables. */
export type Conditions = Pick<Matches, "source" | "destination" | "inDevice" | "words">;

/** All that the rules of one interface of one container are made of. */
export interface PortAttachment extends Owner, Placement {
  mappings: readonly Mapping[];
  /** At most one for each family. */
  endpoints: readonly Endpoint[];
}

/** A mapping with the address it leads to, of one family. */
export interface Target {
  mapping: Mapping;
  endpoint: Endpoint;
  /** The mapping's host address, if it names one and not all of the family. */
  hostAddress?: string;
}

/** What an attachment's mappings mean for packets, family by family. */
export function targets({ endpoints, mappings }: PortAttachment): Target[] {
  return endpoints.toSorted((a, b) => a.family - b.family).flatMap((endpoint) =>
    mappings.flatMap((mapping): Target[] => {
      const { hostAddress = ANY_ADDRESS[endpoint.family] } = mapping;
      if (hostAddress === ANY_ADDRESS[endpoint.family]) return [{ mapping, endpoint }];
      const isOther = familyOfKnown(hostAddress) !== endpoint.family;
      return isOther ? [] : [{ mapping, endpoint, hostAddress }];
    })
  );
}

/** The endpoints of an attachment that mappings lead to. */
export function ledEndpoints(attachment: PortAttachment): Endpoint[] {
  return [...new Set(targets(attachment).map(({ endpoint }) => endpoint))];
}

/** As an operator writes it: `203.0.113.1:8080/tcp`. */
export function describeMapping({ protocol, hostPort, hostAddress }: Mapping): string {
  const address = hostAddress === undefined
    ? ""
    : familyOfKnown(hostAddress) === 6
    ? `[${hostAddress}]:`
    : `${hostAddress}:`;
  return `${address}${hostPort}/${protocol}`;
}

/** iptables: XT_EXTENSION_MAXNAMELEN less one (linux/netfilter/x_tables.h). */
export const LONGEST_CHAIN = 28;
const CHAIN = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
/** Names that are chains or targets already. */
const RESERVED_CHAINS =
  /^(?:PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING|ACCEPT|DROP|REJECT|QUEUE|RETURN|DNAT|SNAT|MASQUERADE|REDIRECT|NETMAP|LOG|MARK|MESOS-CNI-.*)$/;
/** As iptables takes them: a `+` at the end stands for any rest. */
const DEVICE = /^(?=.{1,15}$)[A-Za-z0-9_][A-Za-z0-9_.@-]*\+?$/;

/** What is wrong with the name of a chain, if anything is. */
export function chainProblem(name: string): "length" | "characters" | "reserved" | undefined {
  if (!CHAIN.test(name)) return "characters";
  if (name.length > LONGEST_CHAIN) return "length";
  return RESERVED_CHAINS.test(name) ? "reserved" : undefined;
}

/** Whether a text names a device, or several of them by a `+` at its end. */
export function isDevice(name: string): boolean {
  return DEVICE.test(name);
}
