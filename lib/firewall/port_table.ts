/**
 * The table `inet mesos-cni` of the nftables backend: its maps and sets, its chains, their rules.
 * One lookup leads a packet to its mapping, whether there are ten or ten thousand.
 */
import { FAMILIES, type Family } from "../base/ip.ts";
import type { Change } from "../nft/batch.ts";
import {
  addChain,
  addRule,
  addTable,
  type ChainHook,
  flushChain,
  type Table,
} from "../nft/changes.ts";
import {
  ADDRESSES,
  bitwise,
  compare,
  conntrackStatus,
  destinationType,
  dnat,
  type Expression,
  IPS_DST_NAT,
  isFamily,
  lookup,
  masquerade,
  meta,
  payload,
  registerAt,
  verdict,
} from "../nft/expressions.ts";
import { Rules } from "../nft/rules.ts";
import { addProtocolSet, addSet, type SetDefinition } from "../nft/sets.ts";
import { NFPROTO, TABLE_FAMILY } from "../nft/wire.ts";

export const TABLE = "mesos-cni";
export const NFT_TABLE: Table = { family: "inet", name: TABLE };

const PORT = ["meta l4proto", "th dport"] as const;

const to = (family: Family) => family === 4 ? "ip daddr" as const : "ip6 daddr" as const;
const from = (family: Family) => family === 4 ? "ip saddr" as const : "ip6 saddr" as const;

/** What there is of each family. */
const KINDS: readonly ((family: Family) => SetDefinition)[] = [
  // Host port → container, for every address of the host.
  (of) => ({ name: `ports${of}`, key: PORT, value: [to(of), "th dport"] }),
  // The same for one address of the host.
  (of) => ({ name: `ports${of}_at`, key: [to(of), ...PORT], value: [to(of), "th dport"] }),
  // Ports of the host that packets from a device are not led by.
  (of) => ({ name: `excluded${of}`, key: ["iifname", ...PORT] }),
  (of) => ({ name: `excluded${of}_at`, key: ["iifname", to(of), ...PORT] }),
  // The same for all devices whose name begins with something.
  (of) => ({ name: `wildcards${of}`, key: ["iifname", ...PORT], interval: true }),
  (of) => ({ name: `wildcards${of}_at`, key: ["iifname", to(of), ...PORT], interval: true }),
  // Containers' ports whose connections from nearby must come back through this host …
  (of) => ({ name: `snat${of}`, key: [to(of), ...PORT] }),
  // … and what is nearby: from where, to where.
  (of) => ({ name: `nearby${of}`, key: [from(of), to(of)], interval: true }),
];

/** Host port → container for this host's own 127.0.0.0/8, of networks with "snat". */
const LOOPBACK: SetDefinition = { name: "loopback4", key: PORT, value: ["ip daddr", "th dport"] };

/** Maps and sets by name. */
export const SETS: ReadonlyMap<string, SetDefinition> = new Map(
  [...KINDS.flatMap((kind) => FAMILIES.map(kind)), LOOPBACK].map((set) => [set.name, set]),
);

/** A chain; `{ protocols: … }` stands for a lookup in an anonymous set of tcp, udp and sctp. */
interface Chain {
  hook?: ChainHook;
  rules: readonly (readonly (Expression | { protocols: "in" | "not in" })[])[];
}

/** Loads the key of a set into the registers from the first on. */
function key(set: string): Expression[] {
  let end = 0;
  const place = (bytes: number) => registerAt((end += bytes) - bytes);
  return SETS.get(set)!.key.map((field) => {
    if (field === "iifname") return meta("iifname", place(16));
    if (field === "meta l4proto") return meta("l4proto", place(4));
    if (field === "th dport") return payload("transport", 2, 2, place(4));
    const of = ADDRESSES[field.endsWith("saddr") ? "source" : "destination"];
    const { offset, length } = of[field.startsWith("ip6") ? 6 : 4];
    return payload("network", offset, length, place(length));
  });
}

function except(family: Family, set: string): Expression[] {
  return [...isFamily(family), ...key(set), lookup(set), verdict("return")];
}

/** `dnat ip to KEY map @MAP`: the map's value is the address and the port. */
function lead(family: Family, map: string) {
  return [
    { protocols: "in" } as const,
    // A key with an address is loaded from the header of its family; nat looks at that itself.
    ...(map.endsWith("_at") ? isFamily(family) : []),
    ...key(map),
    lookup(map, { to: registerAt(0) }),
    dnat(
      NFPROTO[TABLE_FAMILY[family]],
      registerAt(0),
      registerAt(ADDRESSES.destination[family].length),
    ),
  ];
}

function comeBack(family: Family): Expression[] {
  return [
    conntrackStatus(),
    bitwise(new Uint8Array([IPS_DST_NAT, 0, 0, 0])),
    compare("neq", new Uint8Array(4)),
    ...isFamily(family),
    ...[`nearby${family}`, `snat${family}`].flatMap((set) => [...key(set), lookup(set)]),
    masquerade(),
  ];
}

const RTN_LOCAL = 2;
const toThisHost = () => [destinationType(), compare("eq", new Uint8Array([RTN_LOCAL, 0, 0, 0]))];
const toLoopback4 = () => [payload("network", 16, 1), compare("eq", new Uint8Array([127]))];

let built: Readonly<Record<string, Chain>> | undefined;

/** Built when they are first needed: most calls only read the table. */
const chains = () => built ??= buildChains();

const buildChains = (): Readonly<Record<string, Chain>> => ({
  mappings: {
    rules: [
      [{ protocols: "not in" }, verdict("return")],
      ...["", "_at"].flatMap((at) =>
        ["excluded", "wildcards"].flatMap((name) =>
          FAMILIES.map((family) => except(family, `${name}${family}${at}`))
        )
      ),
      ...["_at", ""].flatMap((at) => FAMILIES.map((family) => lead(family, `ports${family}${at}`))),
    ],
  },
  prerouting: {
    hook: { type: "nat", hook: "prerouting", priority: -100 },
    rules: [[...toThisHost(), verdict("jump", "mappings")]],
  },
  loopback: {
    rules: [lead(4, "ports4_at"), lead(4, "loopback4")],
  },
  output: {
    hook: { type: "nat", hook: "output", priority: -100 },
    rules: [
      [...isFamily(4), ...toLoopback4(), verdict("goto", "loopback")],
      [
        ...isFamily(6),
        payload("network", 24, 16),
        compare("eq", new Uint8Array(16).fill(1, 15)),
        verdict("return"),
      ],
      [...toThisHost(), verdict("jump", "mappings")],
    ],
  },
  postrouting: {
    // Before a network's own masquerading, which exempts connections inside its subnet.
    hook: { type: "nat", hook: "postrouting", priority: 99 },
    rules: FAMILIES.map(comeBack),
  },
  // Packets of others to 127.0.0.0/8, which route_localnet would let in, end before anything else.
  loopback_guard: {
    hook: { type: "filter", hook: "prerouting", priority: -300 },
    rules: [[
      meta("iifname"),
      compare("neq", new TextEncoder().encode("lo".padEnd(16, "\0"))),
      ...isFamily(4),
      ...toLoopback4(),
      verdict("drop"),
    ]],
  },
});

/** Makes the table, or what of it is missing, and puts its rules as they must be. */
export function tableChanges(): Change[] {
  const changes = [addTable(NFT_TABLE)];
  let id = 0;
  for (const set of SETS.values()) changes.push(addSet(NFT_TABLE, set, ++id));
  for (const [name, { hook }] of Object.entries(chains())) {
    changes.push(addChain(NFT_TABLE, name, hook), flushChain(NFT_TABLE, name));
  }
  for (const [name, { rules }] of Object.entries(chains())) {
    for (const rule of rules) {
      const expressions = rule.flatMap((one) => {
        if (one instanceof Uint8Array) return [one];
        changes.push(...addProtocolSet(NFT_TABLE, "__set%d", ++id));
        const inverted = one.protocols === "not in";
        return [meta("l4proto"), lookup({ anonymous: "__set%d", id }, { inverted })];
      });
      changes.push(addRule(NFT_TABLE, name, expressions));
    }
  }
  return changes;
}

/** Whether all chains are hooked in and have all their rules. @throws {SystemError} */
export function isTableComplete(): boolean {
  const there = new Rules(NFT_TABLE);
  const counts = there.counts();
  return Object.entries(chains()).every(([name, { hook, rules }]) =>
    (hook === undefined || there.chain(name)?.policy !== undefined) &&
    counts.get(name) === rules.length
  );
}
