/**
 * Tables of ours that ask the kernel to trace the rules that a probe meets (`meta nftrace set 1`).
 *
 * They belong to the socket that made them (NFT_TABLE_F_OWNER), so the kernel removes them when it
 * is closed, also by kill -9.
 */
import { addressBytes } from "../../base/ip.ts";
import { cString, SystemError } from "../../kernel/libc.ts";
import { attribute, nested, NLM_F_CREATE } from "../../netlink/message.ts";
import { BatchSocket, type Change, nfHeader, NFNL_SUBSYS_NFTABLES } from "../../nft/batch.ts";
import { nfMessage, NFT_MSG_NEWRULE } from "../../nft/changes.ts";
import { compare, meta, payload, setTrace } from "../../nft/expressions.ts";
import { be32 } from "../../nft/wire.ts";
import type { Tokens } from "./filter.ts";

const NFT_MSG_NEWTABLE = nfMessage(0);
const NFT_MSG_NEWCHAIN = nfMessage(3);
const NFT_TABLE_F_OWNER = 2;
/** Families (NFPROTO_*). */
const INET = 1, ARP = 3, NETDEV = 5, BRIDGE = 7;
/** Numbers of hooks: of inet and bridge, of netdev, of arp. */
const PREROUTING = 0, OUTPUT = 3, INGRESS = 0, ARP_INPUT = 0, ARP_OUTPUT = 1;
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
  readonly #socket: BatchSocket;
  /** Why some rules are not traced, for the report. */
  readonly missing: string[] = [];

  /**
   * @param devices whose ingress is traced, where rules of netdev and bridge may be
   * @throws {SystemError} where the kernel has no netlink of netfilter
   */
  constructor(traced: Traced, devices: readonly string[], netns?: string) {
    this.#socket = new BatchSocket(netns);
    // Several diagnoses of one process trace in the agent's namespace at once.
    const table = `${TABLE_OF_OURS}${Deno.pid}_${++made}`;
    const hooks: [family: number, what: string, hooks: (readonly [number, string?])[]][] = [
      [INET, "rules of inet, ip and ip6", [[PREROUTING], [OUTPUT]]],
      [NETDEV, "rules of netdev and bridge", devices.map((device) => [INGRESS, device] as const)],
      [ARP, "rules of arp", [[ARP_INPUT], [ARP_OUTPUT]]],
      [BRIDGE, "rules of bridge", [[OUTPUT]]],
    ];
    for (const [family, what, chains] of hooks) {
      if (chains.length === 0) continue;
      try {
        const changes = tableOf(family, table, chains, rulesFor(family, traced));
        this.#socket.apply(NFNL_SUBSYS_NFTABLES, changes, "trace a probe");
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        this.missing.push(what);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** A table with a chain at each hook, all with the same rules. */
function tableOf(
  family: number,
  table: string,
  chains: readonly (readonly [hook: number, device?: string])[],
  rules: readonly Uint8Array[][],
): Change[] {
  const change = (type: number, ...parts: Uint8Array[]): Change => ({
    type,
    flags: NLM_F_CREATE,
    parts: [nfHeader(family), attribute(1, cString(table)), ...parts],
  });
  return [
    change(NFT_MSG_NEWTABLE, attribute(2, be32(NFT_TABLE_F_OWNER))),
    ...chains.flatMap(([hook, device], i) => [
      change(
        NFT_MSG_NEWCHAIN,
        attribute(3, cString(`chain${i}`)),
        nested(4, [
          attribute(1, be32(hook)),
          attribute(2, be32(FIRST)),
          ...device === undefined ? [] : [attribute(3, cString(device))],
        ]),
        attribute(7, cString("filter")),
      ),
      ...rules.map((rule) =>
        change(NFT_MSG_NEWRULE, attribute(2, cString(`chain${i}`)), nested(4, rule))
      ),
    ]),
  ];
}

function rulesFor(family: number, { tokens, addresses }: Traced): Uint8Array[][] {
  const arp = family === ARP || family === NETDEV;
  const ports = [6, 17].flatMap((protocol) => [0, 2].map((offset) => [protocol, offset] as const));
  const echoes = [1, 58].map((protocol) => [protocol, 4] as const);
  // The ports, or the identifier, of what an error quotes, behind its own header and the quoted one.
  const errors = [[1, 3, 28], [58, 2, 48]].flatMap(([protocol, type, at]) =>
    [0, 2, 4].map((offset) => [protocol!, type!, at! + offset] as const)
  );
  return [
    ...family === ARP ? [] : [...ports, ...echoes].map(([protocol, offset]) => [
      ...l4(protocol),
      payload("transport", offset, 2),
      ...isToken(tokens),
    ]),
    ...family === ARP ? [] : errors.map(([protocol, type, offset]) => [
      ...l4(protocol),
      payload("transport", 0, 1),
      equal(new Uint8Array([type])),
      payload("transport", offset, 2),
      ...isToken(tokens),
    ]),
    ...addresses.flatMap((address) => {
      const bytes = addressBytes(address);
      if (bytes.length === 16) {
        return family === ARP ? [] : [135, 136].map((type) => [
          ...l4(58),
          payload("transport", 0, 1),
          equal(new Uint8Array([type])),
          payload("transport", 8, 16),
          equal(bytes),
        ]);
      }
      if (!arp) return [];
      const isArp = family === ARP ? [] : [meta("protocol"), equal(big16(0x0806))];
      return [24, 14].map((offset) => [...isArp, payload("network", offset, 4), equal(bytes)]);
    }),
  ].map((matches) => [...matches, ...setTrace()]);
}

function l4(protocol: number): Uint8Array[] {
  return [meta("l4proto"), equal(new Uint8Array([protocol]))];
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
