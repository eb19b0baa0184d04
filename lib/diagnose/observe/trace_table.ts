/**
 * Tables of ours that ask the kernel to trace the rules that a probe meets (`meta nftrace set 1`).
 *
 * They belong to the socket that made them (NFT_TABLE_F_OWNER, Linux 5.12), so the kernel removes
 * them when it is closed, also by kill -9. An older kernel keeps them by their name, which holds
 * the pid of their maker: whose maker is gone, the next run removes.
 */
import { inodeOf } from "../../kernel/proc.ts";
import { addressBytes } from "../../base/ip.ts";
import { cString, SystemError } from "../../kernel/libc.ts";
import { AF_NETLINK, SOCK_RAW, Socket } from "../../kernel/socket.ts";
import {
  attribute,
  Attributes,
  decodeMessages,
  encodeMessage,
  fixedPart,
  nested,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_REQUEST,
  NLMSG_ERROR,
} from "../../netlink/message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../netlink/socket.ts";
import { nfHeader, NFNL_SUBSYS_NFTABLES } from "../../nft/batch.ts";
import { compare, meta, payload, setTrace } from "../../nft/expressions.ts";
import { be32 } from "../../nft/wire.ts";
import { concat } from "../packets/frame.ts";
import type { Tokens } from "./filter.ts";

const PREFIX = "mesos_cni_trace_";
const message = (number: number) => NFNL_SUBSYS_NFTABLES << 8 | number;
const NFT_MSG_NEWTABLE = message(0);
const NFT_MSG_GETTABLE = message(1);
const NFT_MSG_DELTABLE = message(2);
const NFT_MSG_NEWCHAIN = message(3);
const NFT_MSG_NEWRULE = message(6);
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
const NFT_TABLE_F_OWNER = 2;
/** Families (NFPROTO_*). */
const INET = 1, ARP = 3, NETDEV = 5, BRIDGE = 7;
/** Before everything else, defragmentation by connection tracking (-400) included. */
const FIRST = -2_000_000_000;
const HOOKS = { prerouting: 0, output: 3, ingress: 0, arpInput: 0, arpOutput: 1 };
const NFPROTO_ANY_FAMILIES = [INET, ARP, NETDEV, BRIDGE];
const EOPNOTSUPP = 95;

/** What to trace: the probes' packets, and ARP about addresses. */
export interface Traced {
  tokens: Tokens;
  addresses: readonly string[];
}

let made = 0;

/** The tables in one namespace, until they are disposed of. */
export class TraceTables implements Disposable {
  readonly #socket: Socket;
  #sequence = 0;
  readonly #families: number[] = [];
  #owned = true;
  // Several diagnoses of one process trace in the agent's namespace at once.
  readonly #name = `${PREFIX}${Deno.pid}_${++made}`;
  /** Why some rules are not traced, for the report. */
  readonly missing: string[] = [];

  /**
   * @param devices whose ingress is traced, where rules of netdev and bridge may be
   * @throws {SystemError} where the kernel has no nf_tables
   */
  constructor(traced: Traced, devices: readonly string[], netns?: string) {
    removeStale(netns);
    this.#socket = Socket.open(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, netns);
    try {
      this.#make(INET, "rules of inet, ip and ip6", [
        ["prerouting", HOOKS.prerouting, undefined],
        ["output", HOOKS.output, undefined],
      ], traced);
      this.#make(
        NETDEV,
        "rules of netdev and bridge",
        devices.map((device, i) => [`ingress${i}`, HOOKS.ingress, device]),
        traced,
      );
      this.#make(ARP, "rules of arp", [
        ["input", HOOKS.arpInput, undefined],
        ["output", HOOKS.arpOutput, undefined],
      ], traced);
      this.#make(BRIDGE, "rules of bridge", [["output", HOOKS.output, undefined]], traced);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  #make(
    family: number,
    what: string,
    chains: readonly (readonly [name: string, hook: number, device: string | undefined])[],
    traced: Traced,
  ): void {
    if (chains.length === 0) return;
    const build = () => {
      const changes: [number, Uint8Array[]][] = [[NFT_MSG_NEWTABLE, [
        attribute(1, cString(this.#name)),
        ...this.#owned ? [attribute(2, be32(NFT_TABLE_F_OWNER))] : [],
      ]]];
      for (const [name, hook, device] of chains) {
        changes.push([NFT_MSG_NEWCHAIN, [
          attribute(1, cString(this.#name)),
          attribute(3, cString(name)),
          nested(4, [
            attribute(1, be32(hook)),
            attribute(2, be32(FIRST)),
            ...device === undefined ? [] : [attribute(3, cString(device))],
          ]),
          attribute(7, cString("filter")),
        ]]);
        for (const rule of rulesFor(family, traced)) {
          changes.push([NFT_MSG_NEWRULE, [
            attribute(1, cString(this.#name)),
            attribute(2, cString(name)),
            nested(4, rule),
          ]]);
        }
      }
      return changes;
    };
    try {
      this.#apply(family, build());
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (this.#owned && this.#families.length === 0 && error.errno === EOPNOTSUPP) {
        this.#owned = false;
        try {
          this.#apply(family, build());
        } catch {
          this.missing.push(what);
          return;
        }
      } else {
        this.missing.push(what);
        return;
      }
    }
    this.#families.push(family);
  }

  #apply(family: number, changes: readonly (readonly [number, Uint8Array[]])[]): void {
    const first = this.#sequence + 1;
    const frame = (type: number) =>
      encodeMessage(type, NLM_F_REQUEST, ++this.#sequence, [nfHeader(0, NFNL_SUBSYS_NFTABLES)]);
    const batch = [
      frame(NFNL_MSG_BATCH_BEGIN),
      ...changes.map(([type, parts]) =>
        encodeMessage(type, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, ++this.#sequence, [
          nfHeader(family),
          ...parts,
        ])
      ),
      frame(NFNL_MSG_BATCH_END),
    ];
    this.#socket.send(concat(batch), "trace a probe");
    const buffer = new Uint8Array(64 << 10);
    let failure: SystemError | undefined;
    for (let answered = 0; answered < changes.length;) {
      const length = this.#socket.receiveFromKernel(buffer, "trace a probe");
      if (length === undefined) break;
      for (const one of decodeMessages(buffer.subarray(0, length))) {
        if (one.type !== NLMSG_ERROR || one.sequence < first) continue;
        const number = -fixedPart(one.body, 4).getInt32(0, true);
        if (number > 0) failure ??= new SystemError(number, "trace a probe");
        answered++;
      }
    }
    if (failure) throw failure;
  }

  [Symbol.dispose](): void {
    try {
      for (const family of this.#families) {
        this.#apply(family, [[NFT_MSG_DELTABLE, [attribute(1, cString(this.#name))]]]);
      }
    } catch {
      // An owned table goes with the socket; else the next run removes it.
    }
    this.#socket.close();
  }
}

/** Removes what a killed run left in a namespace, on a kernel that does not do so by itself. */
export function removeStale(netns?: string): void {
  using socket = new NetlinkSocket(NETLINK_NETFILTER, netns);
  for (const family of NFPROTO_ANY_FAMILIES) {
    let names: string[];
    try {
      names = socket.dump(
        NFT_MSG_GETTABLE,
        [nfHeader(family)],
        "list tables",
        ({ body }) => body[0] === family ? new Attributes(body.subarray(4)).text(1) : undefined,
      );
    } catch (error) {
      if (error instanceof SystemError) continue;
      throw error;
    }
    for (const name of names) {
      const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split("_")[0]) : NaN;
      if (!pid || pid === Deno.pid || isRunning(pid)) continue;
      try {
        removeTable(family, name, netns);
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
      }
    }
  }
}

function removeTable(family: number, name: string, netns?: string): void {
  using socket = Socket.open(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, netns);
  const frame = (type: number) =>
    encodeMessage(type, NLM_F_REQUEST, 1, [nfHeader(0, NFNL_SUBSYS_NFTABLES)]);
  socket.send(
    concat([
      frame(NFNL_MSG_BATCH_BEGIN),
      encodeMessage(NFT_MSG_DELTABLE, NLM_F_REQUEST, 2, [
        nfHeader(family),
        attribute(1, cString(name)),
      ]),
      frame(NFNL_MSG_BATCH_END),
    ]),
    `remove the table ${name}`,
  );
}

function isRunning(pid: number): boolean {
  try {
    inodeOf(`/proc/${pid}`);
    return true;
  } catch {
    return false;
  }
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
