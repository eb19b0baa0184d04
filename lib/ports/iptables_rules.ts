/**
 * An attachment's rules in the words of `iptables-save`: what is written is what is read back.
 * All values come from parsed types, none of which has a quote, a blank or a line break.
 */
import { type Attachment, commentOf, subnetOf, type Target, targets } from "./mapping.ts";
import { ANY_ADDRESS, type Family, familyOfKnown, isLoopback } from "../base/ip.ts";

/** nat: mappings for packets of this host to its own 127.0.0.0/8 (networks with `snat`). */
export const LOOPBACK_CHAIN = "MESOS-CNI-LOOPBACK";
/** nat: mapped connections whose replies must come back through this host. */
export const SNAT_CHAIN = "MESOS-CNI-SNAT";
/** filter: keeps others from 127.0.0.0/8, which `route_localnet` would let them reach. */
export const GUARD_CHAIN = "MESOS-CNI-GUARD";

export type Table = "nat" | "filter";

export interface Rule {
  table: Table;
  chain: string;
  /** Without `-A CHAIN`. */
  spec: string;
}

/** A rule of a built-in chain that leads to one of ours. */
export interface Jump extends Rule {
  target: string;
  /** Before all others of its chain, instead of after. */
  first: boolean;
}

/** The chains of a family that an attachment needs, whoever else uses them. */
export interface Structure {
  chains: readonly { table: Table; chain: string; rules: readonly string[] }[];
  jumps: readonly Jump[];
}

export function structure(attachment: Attachment, family: Family): Structure {
  const { chain, snat } = attachment;
  const ownAddresses = family === 4 ? "127.0.0.0/8" : "::1/128";
  const jump = (
    table: Table,
    from: string,
    target: string,
    matches: string,
    first = false,
  ): Jump => ({ table, chain: from, target, spec: `${matches} -j ${target}`, first });

  const chains = [{ table: "nat" as Table, chain, rules: [] as string[] }];
  const jumps = [
    jump("nat", "PREROUTING", chain, "-m addrtype --dst-type LOCAL"),
    jump("nat", "OUTPUT", chain, `! -d ${ownAddresses} -m addrtype --dst-type LOCAL`),
  ];
  if (!snat) return { chains, jumps };

  // First, since a network's own masquerading exempts connections inside its subnet.
  chains.push({ table: "nat", chain: SNAT_CHAIN, rules: [] });
  jumps.push(jump("nat", "POSTROUTING", SNAT_CHAIN, "-m conntrack --ctstate DNAT", true));
  if (family === 4) {
    chains.push({ table: "nat", chain: LOOPBACK_CHAIN, rules: [] });
    jumps.push(jump("nat", "OUTPUT", LOOPBACK_CHAIN, "-d 127.0.0.0/8"));
    chains.push({
      table: "filter",
      chain: GUARD_CHAIN,
      rules: ["! -i lo -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP"],
    });
    jumps.push(jump("filter", "INPUT", GUARD_CHAIN, "-d 127.0.0.0/8", true));
  }
  return { chains, jumps };
}

/** The rules of the attachment itself, each with its container's comment. */
export function ownRules(attachment: Attachment, family: Family): Rule[] {
  const comment = `-m comment --comment "${commentOf(attachment.containerId)}"`;
  const rules = targets(attachment, family).flatMap((target) => [
    ...redirections(attachment, target, comment),
    ...(attachment.snat ? returns(target, comment) : []),
  ]);
  // Two host ports that lead to one container port need one rule for the way back.
  return rules.filter((rule, index) =>
    rules.findIndex(({ chain, spec }) => chain === rule.chain && spec === rule.spec) === index
  );
}

function redirections(attachment: Attachment, target: Target, comment: string): Rule[] {
  const { mapping: { protocol, hostPort, containerPort }, endpoint, hostAddress } = target;
  const { chain, excludeDevices, snat } = attachment;
  const to = hostAddress === undefined ? "" : `-d ${host(hostAddress)} `;
  const port = `-p ${protocol} -m ${protocol} --dport ${hostPort} ${comment}`;
  const address = endpoint.family === 6 ? `[${endpoint.address}]` : endpoint.address;
  const dnat = `${port} -j DNAT --to-destination ${address}:${containerPort}`;
  // A rule can except one device. All but the last have a rule of their own that ends the chain.
  const last = excludeDevices.at(-1);
  const rules: Rule[] = excludeDevices.slice(0, -1).map((device) => ({
    table: "nat",
    chain,
    spec: `${to}-i ${device} ${port} -j RETURN`,
  }));
  const notFrom = last === undefined ? "" : `! -i ${last} `;
  rules.push({ table: "nat", chain, spec: `${to}${notFrom}${dnat}` });
  if (snat && endpoint.family === 4 && (hostAddress === undefined || isLoopback(hostAddress))) {
    rules.push({ table: "nat", chain: LOOPBACK_CHAIN, spec: `${to}${dnat}` });
  }
  return rules;
}

/** Connections from 127.0.0.1, and from the container's own network, come back by this host. */
function returns({ mapping, endpoint }: Target, comment: string): Rule[] {
  const { protocol, containerPort } = mapping;
  const sources = endpoint.family === 4 ? ["127.0.0.0/8"] : [];
  return [...sources, subnetOf(endpoint)].map((source) => ({
    table: "nat",
    chain: SNAT_CHAIN,
    spec: `-s ${source} -d ${host(endpoint.address)} -p ${protocol} -m ${protocol} ` +
      `--dport ${containerPort} ${comment} -j MASQUERADE`,
  }));
}

function host(address: string): string {
  return `${address}/${familyOfKnown(address) === 6 ? 128 : 32}`;
}

/** Which families an attachment has rules for. */
export function familiesOf(attachment: Attachment): Family[] {
  return (Object.keys(ANY_ADDRESS).map(Number) as Family[])
    .filter((family) => targets(attachment, family).length > 0);
}

/** A change for `iptables-restore --noflush`: its lines by table. */
export class Changes {
  readonly #tables = new Map<Table, string[]>();

  add(table: Table, line: string): void {
    const lines = this.#tables.get(table) ?? [];
    if (lines.length === 0) this.#tables.set(table, lines);
    lines.push(line);
  }

  get isEmpty(): boolean {
    return this.#tables.size === 0;
  }

  /** As the program's standard input. */
  toString(): string {
    return [...this.#tables].map(([table, lines]) =>
      [`*${table}`, ...lines, "COMMIT", ""].join("\n")
    ).join("");
  }
}
