/** What the kernel tells of the rules that a probe met (NFT_MSG_TRACE). */
import { addressBytes } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import { AF_NETLINK, SOCK_RAW, Socket } from "../../kernel/socket.ts";
import { Attributes, decodeMessages, view } from "../../netlink/message.ts";
import { NETLINK_NETFILTER } from "../../netlink/socket.ts";
import { NFNL_SUBSYS_NFTABLES } from "../../nft/batch.ts";
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, readPacket, type Seen } from "../packets/frame.ts";
import { concat } from "../packets/frame.ts";
import { type Traced, TraceTables } from "./trace_table.ts";

const NFT_MSG_TRACE = NFNL_SUBSYS_NFTABLES << 8 | 17;
const NFNLGRP_NFTRACE = 9;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const SO_RCVBUF = 8;
const SOL_SOCKET = 1;
const FAMILIES: Readonly<Record<number, string>> = {
  1: "inet",
  2: "ip",
  3: "arp",
  5: "netdev",
  7: "bridge",
  10: "ip6",
};
const MOST_OVERFLOWS = 8;
const MOST_EVENTS = 2000;
const TABLE_OF_OURS = "mesos_cni_trace_";

/** A rule or a policy that a packet met. */
export interface RuleMet {
  netns?: string;
  /** The packet's own number: one for each passage through the hooks. */
  id: number;
  family: string;
  table: string;
  chain: string;
  /** Absent for a chain's policy. */
  handle?: string;
  kind: "rule" | "policy" | "return";
  verdict:
    | "accept"
    | "drop"
    | "continue"
    | "jump"
    | "goto"
    | "return"
    | "stolen"
    | "queue"
    | "break";
  jump?: string;
  input?: number;
  output?: number;
  packet?: Seen;
}

const VERDICTS: Readonly<Record<number, RuleMet["verdict"]>> = {
  [-1]: "continue",
  [-2]: "break",
  [-3]: "jump",
  [-4]: "goto",
  [-5]: "return",
  0: "drop",
  1: "accept",
  2: "stolen",
  3: "queue",
  4: "accept",
};

/** Traces in one namespace, from when it is made. */
export class Trace implements Disposable {
  readonly #socket: Socket;
  readonly #tables: TraceTables;
  readonly #packets = new Map<number, Seen>();

  /** @throws {SystemError} */
  readonly #traced: Traced;

  constructor(traced: Traced, devices: readonly string[], readonly netns?: string) {
    this.#traced = traced;
    this.#socket = Socket.open(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, netns);
    try {
      const address = new Uint8Array(12);
      view(address).setUint16(0, AF_NETLINK, true);
      this.#socket.bind(address, "netlink");
      this.#socket.setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NFNLGRP_NFTRACE);
      this.#socket.setOption(SOL_SOCKET, SO_RCVBUF, 1 << 20);
      this.#tables = new TraceTables(traced, devices, netns);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
  }

  get missing(): readonly string[] {
    return this.#tables.missing;
  }

  /** What was met since, without what is ours. */
  met(): RuleMet[] {
    const buffer = new Uint8Array(64 << 10);
    const found: RuleMet[] = [];
    let overflows = 0;
    while (found.length < MOST_EVENTS) {
      let length;
      try {
        length = this.#socket.receiveFromKernel(buffer, "hear of rules");
      } catch (error) {
        if (!(error instanceof SystemError)) throw error;
        // What has overflowed is lost, and what came after it is not.
        if (error.errnoName === "ENOBUFS" && ++overflows < MOST_OVERFLOWS) continue;
        break;
      }
      if (length === undefined) break;
      for (const one of decodeMessages(buffer.subarray(0, length))) {
        if (one.type === NFT_MSG_TRACE) found.push(this.#read(one.body));
      }
    }
    // The kernel names the links of a packet once in each hook, with its first rule.
    const links = new Map<number, { input?: number; output?: number }>();
    for (const one of found) {
      one.packet = this.#packets.get(one.id);
      if (one.input !== undefined || one.output !== undefined) links.set(one.id, one);
      else {Object.assign(one, {
          input: links.get(one.id)?.input,
          output: links.get(one.id)?.output,
        });}
    }
    return found.filter(({ table }) => !table.startsWith(TABLE_OF_OURS));
  }

  #read(body: Uint8Array): RuleMet {
    const attributes = new Attributes(body.subarray(4));
    const big = (type: number) => {
      const bytes = attributes.bytes(type);
      return bytes && bytes.length >= 4 ? view(bytes).getUint32(0) : undefined;
    };
    const id = big(6) ?? 0;
    const network = attributes.bytes(8);
    const family = body[0]!;
    if (network && !this.#packets.has(id)) {
      const transport = attributes.bytes(9) ?? new Uint8Array();
      const link = attributes.bytes(7);
      const type = family === 3
        ? ETH_P_ARP
        : link && link.length >= 14
        ? view(link).getUint16(12)
        : network[0]! >> 4 === 6
        ? ETH_P_IPV6
        : ETH_P_IP;
      const packet = readPacket(type, concat([network, transport]));
      if (packet) {
        this.#packets.set(id, {
          ...packet,
          ...discovery(network, transport, this.#traced.addresses),
        });
      }
    }
    const verdict = attributes.nested(5);
    const code = verdict.bytes(1);
    const policy = big(16);
    const kind = ({ 1: "policy", 2: "return", 3: "rule" } as const)[big(4) ?? 0] ?? "rule";
    const number = kind === "policy" ? policy ?? 1 : code ? view(code).getInt32(0) : -1;
    const handle = attributes.bytes(3);
    return {
      netns: this.netns,
      id,
      family: FAMILIES[family] ?? String(family),
      table: attributes.text(1) ?? "",
      chain: attributes.text(2) ?? "",
      handle: kind === "rule" && handle ? view(handle).getBigUint64(0).toString() : undefined,
      kind,
      verdict: VERDICTS[number] ?? VERDICTS[number & 0xff] ?? "continue",
      jump: verdict.text(2),
      input: big(10),
      output: big(12),
    };
  }

  [Symbol.dispose](): void {
    this.#tables[Symbol.dispose]();
    this.#socket.close();
  }
}

/**
 * Whom neighbour discovery is about. A trace holds 20 bytes of it, which end within the target: the
 * rest is told by the group that it is sent to (RFC 4291, 2.7.1), or by who answers.
 */
function discovery(
  network: Uint8Array,
  transport: Uint8Array,
  addresses: readonly string[],
): Partial<Seen> {
  if (network[0]! >> 4 !== 6 || network[6] !== 58 || transport.length < 20) return {};
  const type = transport[0];
  if (type !== 135 && type !== 136) return {};
  const tail = type === 136 ? network.subarray(21, 24) : network.subarray(37, 40);
  const target = addresses.find((one) => {
    if (!one.includes(":")) return false;
    const bytes = addressBytes(one);
    return transport.subarray(8, 20).every((byte, i) => byte === bytes[i]) &&
      tail.every((byte, i) => byte === bytes[13 + i]);
  });
  return { protocol: type === 135 ? "nd request" : "nd reply", target };
}
