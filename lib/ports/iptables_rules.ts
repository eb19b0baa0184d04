/**
 * An attachment's rules for iptables. All values come from parsed types, none of which has a quote,
 * a blank or a line break.
 */
import { ANY_ADDRESS, type Family, familyOfKnown, isLoopback } from "../base/ip.ts";
import {
  type IptablesRule,
  type IptablesTable,
  type Network,
  network,
  ruleText,
} from "../nft/iptables_rule.ts";
import { commentOf, type PortAttachment, type Target, targets } from "./mapping.ts";

/** nat: mappings for packets of this host to its own 127.0.0.0/8 (networks with `snat`). */
export const LOOPBACK_CHAIN = "MESOS-CNI-LOOPBACK";
/** nat: mapped connections whose replies must come back through this host. */
export const SNAT_CHAIN = "MESOS-CNI-SNAT";
/**
 * raw: keeps others from 127.0.0.0/8, which `route_localnet` would let them reach. In front of
 * everything, where no flush of filter INPUT takes it away.
 */
export const GUARD_CHAIN = "MESOS-CNI-GUARD";

/** Where an earlier version kept the guard, behind the routing. */
export const EARLIER_GUARD = { table: "filter", jump: `-A INPUT -d 127.0.0.0/8 -j ${GUARD_CHAIN}` };

/** A rule and where it stands. */
export interface PlacedRule {
  table: IptablesTable;
  chain: string;
  rule: IptablesRule;
}

/** A rule of a built-in chain that leads to one of ours. */
export interface Jump extends PlacedRule {
  target: string;
  /** Before all others of its chain, instead of after. */
  first: boolean;
}

/** The chains of a family that an attachment needs, whoever else uses them. */
export interface Structure {
  chains: readonly { table: IptablesTable; chain: string; rules: readonly IptablesRule[] }[];
  jumps: readonly Jump[];
}

export function structure(attachment: PortAttachment, family: Family): Structure {
  const { chain, snat } = attachment;
  const ownAddresses = family === 4 ? "127.0.0.0/8" : "::1/128";
  const jump = (
    table: IptablesTable,
    from: string,
    target: string,
    matches: Omit<IptablesRule, "target">,
    first = false,
  ): Jump => ({
    table,
    chain: from,
    target,
    rule: { ...matches, target: { jump: target } },
    first,
  });

  const chains: Structure["chains"][number][] = [{ table: "nat", chain, rules: [] }];
  const jumps = [
    jump("nat", "PREROUTING", chain, { toLocal: true }),
    jump("nat", "OUTPUT", chain, { destination: network(ownAddresses, true), toLocal: true }),
  ];
  if (!snat) return { chains, jumps };

  // First, since a network's own masquerading exempts connections inside its subnet.
  chains.push({ table: "nat", chain: SNAT_CHAIN, rules: [] });
  jumps.push(jump("nat", "POSTROUTING", SNAT_CHAIN, { states: { is: ["DNAT"] } }, true));
  if (family === 4) {
    const toLoopback = { destination: network("127.0.0.0/8") };
    chains.push({ table: "nat", chain: LOOPBACK_CHAIN, rules: [] });
    jumps.push(jump("nat", "OUTPUT", LOOPBACK_CHAIN, toLoopback));
    chains.push({
      table: "raw",
      chain: GUARD_CHAIN,
      rules: [{ inDevice: { is: "lo", not: true }, target: { verdict: "DROP" } }],
    });
    jumps.push(jump("raw", "PREROUTING", GUARD_CHAIN, toLoopback, true));
  }
  return { chains, jumps };
}

/** The rules of the attachment itself, each with its container's comment. */
export function ownRules(attachment: PortAttachment, family: Family): PlacedRule[] {
  const comment = commentOf(attachment.containerId);
  const rules = targets(attachment, family).flatMap((target) => [
    ...redirections(attachment, target, comment),
    ...(attachment.snat ? returns(attachment, target, comment) : []),
  ]);
  // Two host ports that lead to one container port need one rule for the way back.
  return [...new Map(rules.map((rule) => [placedText(rule), rule])).values()];
}

/** As `iptables-save` prints it. */
export function placedText({ chain, rule }: Pick<PlacedRule, "chain" | "rule">): string {
  return `-A ${chain} ${ruleText(rule)}`;
}

function redirections(attachment: PortAttachment, target: Target, comment: string): PlacedRule[] {
  const { mapping: { protocol, hostPort, containerPort }, endpoint, hostAddress } = target;
  const { chain, excludeDevices, snat, conditions } = attachment;
  const port = { protocol, number: hostPort };
  const matches = {
    ...conditions?.[endpoint.family],
    ...hostAddress === undefined ? {} : { destination: single(hostAddress) },
    port,
    comment,
  };
  const dnat = { dnat: { address: endpoint.address, port: containerPort } };
  // A rule can except one device. All but the last have a rule of their own that ends the chain.
  const last = excludeDevices.at(-1);
  const rules = excludeDevices.slice(0, -1).map((device): PlacedRule => ({
    table: "nat",
    chain,
    rule: { ...matches, inDevice: { is: device }, target: { verdict: "RETURN" } },
  }));
  const inDevice = last === undefined ? {} : { inDevice: { is: last, not: true } };
  rules.push({ table: "nat", chain, rule: { ...matches, ...inDevice, target: dnat } });
  if (snat && endpoint.family === 4 && (hostAddress === undefined || isLoopback(hostAddress))) {
    rules.push({ table: "nat", chain: LOOPBACK_CHAIN, rule: { ...matches, target: dnat } });
  }
  return rules;
}

/**
 * Connections from 127.0.0.1, and from the container's own network, come back by this host; all of
 * them, where that is wanted.
 */
function returns(
  { masqueradeAll }: PortAttachment,
  { mapping, endpoint }: Target,
  comment: string,
): PlacedRule[] {
  const { protocol, containerPort } = mapping;
  const { address, prefixLength } = endpoint;
  const nearby: Network[] = [
    ...endpoint.family === 4 ? [network("127.0.0.0/8")] : [],
    { address, prefixLength },
  ];
  return (masqueradeAll ? [undefined] : nearby).map((source) => ({
    table: "nat",
    chain: SNAT_CHAIN,
    rule: {
      source,
      destination: single(address),
      port: { protocol, number: containerPort },
      comment,
      target: { masquerade: true },
    },
  }));
}

/** The chains of nat where an attachment's rules may be, whoever wrote them. */
export function possibleChains({ chain }: { chain: string }): string[] {
  return [chain, LOOPBACK_CHAIN, SNAT_CHAIN];
}

function single(address: string): Network {
  return { address, prefixLength: familyOfKnown(address) === 6 ? 128 : 32 };
}

/** Which families an attachment has rules for. */
export function familiesOf(attachment: PortAttachment): Family[] {
  return (Object.keys(ANY_ADDRESS).map(Number) as Family[])
    .filter((family) => targets(attachment, family).length > 0);
}
