/** What the tests of lib/nft run inside a sandbox: a program, since namespaces are a process's. */
import type { Family } from "../../lib/base/ip.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { applyBatch } from "../../lib/nft/batch.ts";
import { addTable, deleteRule, type Table } from "../../lib/nft/changes.ts";
import { Firewall } from "../../lib/firewall/firewall.ts";
import {
  type FirewallRule,
  network,
  type Place,
  ruleLine,
  type RuleTarget,
} from "../../lib/firewall/rule.ts";
import type { FirewallChange } from "../../lib/firewall/view.ts";
import { Rules } from "../../lib/nft/rules.ts";
import {
  addElements,
  addSet,
  deleteElements,
  readElements,
  type SetDefinition,
} from "../../lib/nft/sets.ts";

export interface Shape {
  table: Place["table"];
  chain: string;
  rule: Omit<FirewallRule, keyof Place>;
  first?: boolean;
}

/** A shape as the rule that it is in a family. */
export function ruleOf(family: Family, { table, chain, rule }: Shape): FirewallRule {
  return { family, table, chain, ...rule };
}

/** Every kind of rule that this program writes, in a family. */
export function SHAPES(family: Family): Shape[] {
  const [container, host, subnet, loopback] = family === 4
    ? ["192.168.0.2", "203.0.113.1", "10.5.0.0/15", "127.0.0.0/8"]
    : ["fd00:1::2", "2001:db8::1", "fd00:1::/61", "::1/128"];
  const length = family === 4 ? 32 : 128;
  const comment = "container_id: 3f2a.b_c-d";
  const targets: RuleTarget[] = [
    { dnat: { address: container!, port: 8080 } },
    { verdict: "RETURN" },
  ];
  const devices = [undefined, "mesos-cni0", "cali+", "fifteen-letters"];
  const redirections = (["tcp", "udp", "sctp"] as const).flatMap((protocol) =>
    devices.flatMap((device) =>
      [undefined, host].flatMap((address) =>
        targets.map((target): Shape => ({
          table: "nat",
          chain: "ports",
          rule: {
            destination: address ? network(`${address}/${length}`) : undefined,
            inDevice: device ? { is: device, not: "dnat" in target } : undefined,
            port: { protocol, number: 31000 },
            comment,
            target,
          },
        }))
      )
    )
  );
  const returns = [loopback!, subnet!].flatMap((source) =>
    (["tcp", "udp", "sctp"] as const).map((protocol): Shape => ({
      table: "nat",
      chain: "snat",
      rule: {
        source: network(source),
        destination: network(`${container}/${length}`),
        port: { protocol, number: 80 },
        comment,
        target: { masquerade: true },
      },
    }))
  );
  return [
    { table: "nat", chain: "PREROUTING", rule: { toLocal: true, target: { jump: "ports" } } },
    {
      table: "nat",
      chain: "OUTPUT",
      rule: { destination: network(loopback!, true), toLocal: true, target: { jump: "ports" } },
    },
    {
      table: "nat",
      chain: "OUTPUT",
      rule: { destination: network(loopback!), target: { jump: "ports" } },
    },
    ...redirections,
    {
      table: "nat",
      chain: "POSTROUTING",
      rule: {
        source: network(`${container}/${length}`),
        comment: 'name: "n" id: "i"',
        target: { jump: "snat" },
      },
    },
    {
      table: "nat",
      chain: "POSTROUTING",
      first: true,
      rule: { states: { is: ["DNAT"] }, target: { jump: "snat" } },
    },
    ...returns,
    {
      table: "nat",
      chain: "snat",
      rule: { destination: network(subnet!), comment: "word", target: { verdict: "ACCEPT" } },
    },
    {
      table: "nat",
      chain: "snat",
      rule: {
        destination: network(subnet!, true),
        comment: "two words",
        target: { masquerade: true },
      },
    },
    {
      table: "raw",
      chain: "guard",
      rule: { inDevice: { is: "lo", not: true }, target: { verdict: "DROP" } },
    },
    {
      table: "raw",
      chain: "PREROUTING",
      first: true,
      rule: { destination: network(loopback!), target: { jump: "guard" } },
    },
    {
      table: "filter",
      chain: "FORWARD",
      rule: {
        states: { is: ["RELATED", "ESTABLISHED", "DNAT"], not: true },
        target: { verdict: "DROP" },
      },
    },
  ];
}

const HOST = Firewall.ofKind("nf_tables", "");

async function writeShapes(family: Family): Promise<unknown> {
  const shapes = SHAPES(family);
  const chains = new Map(
    shapes.filter(({ chain }) => /[a-z]/.test(chain))
      .map(({ table, chain }) => [`${table} ${chain}`, { family, table, chain }]),
  );
  const ids = await HOST.change({
    families: [family],
    plan: () => [
      ...[...chains.values()].map((addChain): FirewallChange => ({ addChain })),
      ...shapes.map((shape): FirewallChange => ({
        add: ruleOf(family, shape),
        ...shape.first ? { first: true } : {},
      })),
    ],
    what: "write the rules",
  });
  return [...ids.values()];
}

/** What is there, as this program understands it: tables, chains, rules in the words of iptables. */
async function readShapes(family: Family): Promise<unknown> {
  const view = await HOST.look([family]);
  const shapes = SHAPES(family);
  const found = view.find(shapes.map((shape) => ruleOf(family, shape)));
  const places = new Map(shapes.map(({ table, chain }) => [`${table} ${chain}`, { table, chain }]));
  return {
    found: found.length,
    missing: view.missing(shapes.map((shape) => ruleOf(family, shape))).map(ruleLine),
    lines: [...places.values()].flatMap((place) =>
      view.rules({ family, ...place }).map((rule) => `${place.table} ${ruleLine(rule)}`)
    ),
  };
}

const TABLE: Table = { family: "inet", name: "many" };
const SET: SetDefinition = {
  name: "ports",
  key: ["meta l4proto", "th dport"],
  value: ["ip daddr", "th dport"],
};

async function many(count: number): Promise<string> {
  const place = { family: 4, table: "nat", chain: "ports" } as const;
  const rules = Array.from({ length: count }, (_, index): FirewallChange => ({
    add: {
      ...place,
      port: { protocol: "tcp", number: index + 1 },
      comment: "many",
      target: { dnat: { address: "10.0.0.1", port: 80 } },
    },
  }));
  const change = (plan: () => FirewallChange[]) =>
    HOST.change({ families: [4], plan, what: "many rules" });
  const count4 = async () => (await HOST.look()).rules(place).length;
  const ids = [...(await change(() => [{ addChain: place }, ...rules])).values()];
  const before = await count4();
  await change(() => ids.map((id) => ({ remove: { ...place, id, unknown: [] } })));
  const after = await count4();
  const elements = Array.from({ length: count }, (_, index) => ({
    key: ["udp", index + 1],
    value: ["10.0.0.1", 80],
    comment: "many",
  }));
  applyBatch([
    addTable(TABLE),
    addSet(TABLE, SET, 1),
    ...addElements(TABLE, SET, elements),
  ], "add elements");
  const there = readElements(TABLE, SET);
  applyBatch(deleteElements(TABLE, SET, there), "delete elements");
  return `${ids.length} ${before} ${after} elements ${there.length} ${
    readElements(TABLE, SET).length
  }`;
}

function errors(): string {
  const outcome = (work: () => unknown) => {
    try {
      work();
      return "ok";
    } catch (error) {
      return error instanceof SystemError ? error.errnoName : String(error);
    }
  };
  const gone = Array.from(
    { length: 3000 },
    (_, index) => deleteRule({ family: "ip", name: "nat" }, { chain: "none", handle: `${index}` }),
  );
  const fail = () => applyBatch(gone, "delete what is not there");
  const work = () => applyBatch([addTable(TABLE)], "add a table");
  return [fail, work, fail, work].map(outcome).join(" ");
}

if (import.meta.main) {
  const [what, argument] = Deno.args;
  if (what === "iptables") {
    console.log(JSON.stringify(await writeShapes(Number(argument) as Family)));
  }
  if (what === "read") console.log(JSON.stringify(await readShapes(Number(argument) as Family)));
  if (what === "many") console.log(await many(Number(argument)));
  if (what === "errors") console.log(errors());
  // Reading the handles of what was listed needs the reader too.
  if (what === "count") {
    console.log(new Rules({ family: "ip", name: "nat" }).counts().get(argument!) ?? 0);
  }
}
