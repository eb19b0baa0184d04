/** What the tests of lib/nft run inside a sandbox: a program, since namespaces are a process's. */
import type { Family } from "../../lib/base/ip.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { applyBatch, applyInSlices, NFNL_SUBSYS_NFTABLES } from "../../lib/nft/batch.ts";
import { addTable, deleteRule, type Table } from "../../lib/nft/changes.ts";
import {
  type IptablesRule,
  type IptablesTable,
  network,
  type RuleTarget,
} from "../../lib/nft/iptables_rule.ts";
import { type IptablesChange, IptablesTables } from "../../lib/nft/iptables_tables.ts";
import { Rules } from "../../lib/nft/rules.ts";
import {
  addElements,
  addSet,
  deleteElements,
  readElements,
  type SetDefinition,
} from "../../lib/nft/sets.ts";

export interface Shape {
  table: IptablesTable;
  chain: string;
  rule: IptablesRule;
  first?: boolean;
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
      chain: "INPUT",
      rule: {
        states: { is: ["RELATED", "ESTABLISHED", "DNAT"], not: true },
        target: { verdict: "DROP" },
      },
    },
  ];
}

function writeShapes(family: Family): unknown {
  const shapes = SHAPES(family);
  const chains = new Map(
    shapes.filter(({ chain }) => /[a-z]/.test(chain)).map((
      one,
    ) => [`${one.table} ${one.chain}`, one]),
  );
  return new IptablesTables(family).change(() => [
    ...[...chains.values()].map(({ table, chain }): IptablesChange => ({
      add: "chain",
      table,
      chain,
    })),
    ...shapes.map((shape): IptablesChange => ({ add: "rule", ...shape })),
  ], "write the rules");
}

const TABLE: Table = { family: "inet", name: "many" };
const SET: SetDefinition = {
  name: "ports",
  key: ["meta l4proto", "th dport"],
  value: ["ip daddr", "th dport"],
};

function many(count: number): string {
  const tables = new IptablesTables(4);
  const rules = Array.from({ length: count }, (_, index): IptablesChange => ({
    add: "rule",
    table: "nat",
    chain: "ports",
    rule: {
      port: { protocol: "tcp", number: index + 1 },
      comment: "many",
      target: { dnat: { address: "10.0.0.1", port: 80 } },
    },
  }));
  const handles = tables.change(
    () => [{ add: "chain", table: "nat", chain: "ports" }, ...rules],
    "add",
  )!;
  const before = tables.rules.count("nat", "ports");
  tables.rules.remove(handles);
  const after = tables.rules.count("nat", "ports");
  const elements = Array.from({ length: count }, (_, index) => ({
    key: ["udp", index + 1],
    value: ["10.0.0.1", 80],
    comment: "many",
  }));
  applyBatch(NFNL_SUBSYS_NFTABLES, [
    addTable(TABLE),
    addSet(TABLE, SET, 1),
    ...addElements(TABLE, SET, elements),
  ], "add elements");
  const there = readElements(TABLE, SET);
  applyInSlices(NFNL_SUBSYS_NFTABLES, deleteElements(TABLE, SET, there), "delete elements");
  return `${handles.length} ${before} ${after} elements ${there.length} ${
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
    (_, index) => deleteRule("ip", { table: "nat", chain: "none", handle: `${index}` }),
  );
  const fail = () => applyBatch(NFNL_SUBSYS_NFTABLES, gone, "delete what is not there");
  const work = () => applyBatch(NFNL_SUBSYS_NFTABLES, [addTable(TABLE)], "add a table");
  return [fail, work, fail, work].map(outcome).join(" ");
}

if (import.meta.main) {
  const [what, argument] = Deno.args;
  if (what === "iptables") console.log(JSON.stringify(writeShapes(Number(argument) as Family)));
  if (what === "find") {
    const family = Number(argument) as Family;
    const tables = new IptablesTables(family);
    const count = ({ table, chain, rule }: Shape) => tables.find(table, chain, rule).length;
    console.log(JSON.stringify(SHAPES(family).map(count)));
  }
  if (what === "many") console.log(many(Number(argument)));
  if (what === "errors") console.log(errors());
  // Reading the handles of what was listed needs the reader too.
  if (what === "count") console.log(new Rules("ip").count("nat", argument!));
}
