/**
 * An attachment's rules for iptables. All values come from parsed types, none of which has a quote,
 * a blank or a line break.
 */
import { type Family, isLoopback } from "../base/ip.ts";
import {
  type FirewallRule,
  type Matches,
  type Network,
  network,
  type Place,
  single,
} from "../firewall/rule.ts";
import { rulesOf, type Wanted } from "../firewall/view.ts";
import { commentOf, ledEndpoints, type PortAttachment, type Target, targets } from "./mapping.ts";

/** nat: mappings for packets of this host to its own 127.0.0.0/8 (networks with `snat`). */
export const LOOPBACK_CHAIN = "MESOS-CNI-LOOPBACK";
/** nat: mapped connections whose replies must come back through this host. */
export const SNAT_CHAIN = "MESOS-CNI-SNAT";
/**
 * raw: keeps others from 127.0.0.0/8, which `route_localnet` would let them reach. In front of
 * everything, where no flush of filter INPUT takes it away.
 */
const GUARD_CHAIN = "MESOS-CNI-GUARD";

/** The chains that an attachment needs, whoever else uses them, and what leads to them. */
export function structure(attachment: PortAttachment): Wanted[] {
  return ledEndpoints(attachment).flatMap(({ family }) => structureOf(attachment, family));
}

function structureOf({ chain, snat }: PortAttachment, family: Family): Wanted[] {
  const ownAddresses = family === 4 ? "127.0.0.0/8" : "::1/128";
  const at = (table: Place["table"], chain: string): Place => ({ family, table, chain });
  const jump = (from: Place, to: string, matches: Matches, first = false): Wanted => ({
    add: { ...from, ...matches, target: { jump: to } },
    first,
  });

  const wanted: Wanted[] = [
    { addChain: at("nat", chain) },
    jump(at("nat", "PREROUTING"), chain, { toLocal: true }),
    jump(at("nat", "OUTPUT"), chain, { destination: network(ownAddresses, true), toLocal: true }),
  ];
  if (!snat) return wanted;

  // First, since a network's own masquerading exempts connections inside its subnet.
  wanted.push(
    { addChain: at("nat", SNAT_CHAIN) },
    jump(at("nat", "POSTROUTING"), SNAT_CHAIN, { states: { is: ["DNAT"] } }, true),
  );
  if (family === 4) {
    const toLoopback = { destination: network("127.0.0.0/8") };
    const guard = at("raw", GUARD_CHAIN);
    wanted.push(
      { addChain: at("nat", LOOPBACK_CHAIN) },
      { addChain: guard },
      jump(at("nat", "OUTPUT"), LOOPBACK_CHAIN, toLoopback),
      { add: { ...guard, inDevice: { is: "lo", not: true }, target: { verdict: "DROP" } } },
      jump(at("raw", "PREROUTING"), GUARD_CHAIN, toLoopback, true),
    );
  }
  return wanted;
}

/** The rules of the attachment itself, each with its container's comment. */
export function ownRules(attachment: PortAttachment): FirewallRule[] {
  const comment = commentOf(attachment.containerId);
  const rules = targets(attachment).flatMap((target) => [
    ...redirections(attachment, target, comment),
    ...(attachment.snat ? returns(attachment, target, comment) : []),
  ]);
  // Two host ports that lead to one container port need one rule for the way back.
  return rulesOf(rules.map((add) => ({ add })));
}

function redirections(attachment: PortAttachment, target: Target, comment: string): FirewallRule[] {
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
  const own: Place = { family: endpoint.family, table: "nat", chain };
  // A rule can except one device. All but the last have a rule of their own that ends the chain.
  const last = excludeDevices.at(-1);
  const rules = excludeDevices.slice(0, -1).map((device): FirewallRule => ({
    ...own,
    ...matches,
    inDevice: { is: device },
    target: { verdict: "RETURN" },
  }));
  const inDevice = last === undefined ? {} : { inDevice: { is: last, not: true } };
  rules.push({ ...own, ...matches, ...inDevice, target: dnat });
  if (snat && endpoint.family === 4 && (hostAddress === undefined || isLoopback(hostAddress))) {
    rules.push({ ...own, chain: LOOPBACK_CHAIN, ...matches, target: dnat });
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
): FirewallRule[] {
  const { protocol, containerPort } = mapping;
  const { address, prefixLength } = endpoint;
  const nearby: Network[] = [
    ...endpoint.family === 4 ? [network("127.0.0.0/8")] : [],
    { address, prefixLength },
  ];
  return (masqueradeAll ? [undefined] : nearby).map((source) => ({
    family: endpoint.family,
    table: "nat",
    chain: SNAT_CHAIN,
    ...source ? { source } : {},
    destination: single(address),
    port: { protocol, number: containerPort },
    comment,
    target: { masquerade: true },
  }));
}
