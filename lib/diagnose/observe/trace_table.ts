/**
 * Tables of ours that ask the kernel to trace the rules that a probe meets (`meta nftrace set 1`).
 * They belong to the socket that made them, so the kernel removes them when it is closed, also by
 * kill -9.
 */
import { addressBytes } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { BatchSocket } from "../../nft/batch.ts";
import { addChain, addRule, addTable, type ChainHook, type Table } from "../../nft/changes.ts";
import { compare, meta, payload, setTrace } from "../../nft/expressions.ts";
import type { Tokens } from "../packets/filter.ts";

/** Before everything else, defragmentation by connection tracking (-400) included. */
const FIRST = -2_000_000_000;
export const TABLE_OF_OURS = "mesos_cni_trace_";

/** What to trace: the probes' packets, and ARP about addresses. */
export interface Traced {
  tokens: Tokens;
  addresses: readonly string[];
}

let made = 0;

/** The tables in one namespace, until they are disposed of. */
export class TraceTables implements Disposable {
  readonly #batches: BatchSocket;
  // Several diagnoses of one process trace in the agent's namespace at once.
  readonly #name = `${TABLE_OF_OURS}${Deno.pid}_${++made}`;
  /** Why some rules are not traced, for the report. */
  readonly missing: string[] = [];

  /**
   * @param devices whose ingress is traced, where rules of netdev and bridge may be
   * @throws {SystemError} where the kernel has no nf_tables
   */
  constructor(traced: Traced, devices: readonly string[], netns?: string) {
    this.#batches = new BatchSocket(netns);
    const ingress = devices.map((device) => ({ hook: "ingress", device }) as const);
    this.#make("inet", "rules of inet, ip and ip6", [
      { hook: "prerouting" },
      { hook: "output" },
    ], traced);
    this.#make("netdev", "rules of netdev and bridge", ingress, traced);
    this.#make("arp", "rules of arp", [{ hook: "arpInput" }, { hook: "arpOutput" }], traced);
    this.#make("bridge", "rules of bridge", [{ hook: "output" }], traced);
  }

  #make(
    family: Table["family"],
    what: string,
    hooks: readonly Pick<ChainHook, "hook" | "device">[],
    traced: Traced,
  ): void {
    if (hooks.length === 0) return;
    const table = { family, name: this.#name };
    const rules = rulesFor(family, traced);
    try {
      this.#batches.apply([
        addTable(table, { isOwned: true }),
        ...hooks.flatMap((hook, i) => [
          addChain(table, `${hook.hook}${i}`, { type: "filter", priority: FIRST, ...hook }),
          ...rules.map((rule) => addRule(table, `${hook.hook}${i}`, rule)),
        ]),
      ], "trace a probe");
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.missing.push(what);
    }
  }

  [Symbol.dispose](): void {
    this.#batches[Symbol.dispose]();
  }
}

/**
 * Where a token stands: as a port, as an echo's identifier; and as one of these in what an error quotes, behind
 * its own header and the quoted one.
 */
const TOKENS_AT: readonly { protocol: number; type?: number; offsets: readonly number[] }[] = [
  ...[6, 17].map((protocol) => ({ protocol, offsets: [0, 2] })),
  ...[1, 58].map((protocol) => ({ protocol, offsets: [4] })),
  { protocol: 1, type: 3, offsets: [28, 30, 32] },
  { protocol: 58, type: 2, offsets: [48, 50, 52] },
];

function rulesFor(family: Table["family"], { tokens, addresses }: Traced): Uint8Array[][] {
  const arp = family === "arp" || family === "netdev";
  return [
    ...family === "arp"
      ? []
      : TOKENS_AT.flatMap(({ protocol, type, offsets }) =>
        offsets.map((offset) => [
          ...l4(protocol, type),
          payload("transport", offset, 2),
          ...isToken(tokens),
        ])
      ),
    ...addresses.flatMap((address) => {
      const bytes = addressBytes(address);
      if (bytes.length === 16) {
        return family === "arp" ? [] : [135, 136].map((type) => [
          ...l4(58, type),
          payload("transport", 8, 16),
          equal(bytes),
        ]);
      }
      if (!arp) return [];
      const isArp = family === "arp" ? [] : [meta("protocol"), equal(big16(0x0806))];
      return [24, 14].map((offset) => [...isArp, payload("network", offset, 4), equal(bytes)]);
    }),
  ].map((matches) => [...matches, ...setTrace()]);
}

/** A protocol, and of ICMP a type. */
function l4(protocol: number, type?: number): Uint8Array[] {
  const isType = type === undefined
    ? []
    : [payload("transport", 0, 1), equal(new Uint8Array([type]))];
  return [meta("l4proto"), equal(new Uint8Array([protocol])), ...isType];
}

function equal(value: Uint8Array): Uint8Array {
  return compare("eq", value);
}

/** The register holds one of the probes' ports or identifiers. */
function isToken({ first, last }: Tokens): Uint8Array[] {
  return [compare("gte", big16(first)), compare("lte", big16(last))];
}

function big16(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array([value >> 8, value & 0xff]);
}
