/** What the kernel tells of the rules that a probe met (NFT_MSG_TRACE). */
import { addressBytes } from "../../base/ip.ts";
import { SystemError } from "../../kernel/libc.ts";
import type { Socket } from "../../kernel/socket.ts";
import { type Attributes, decodeMessages, opened, view } from "../../netlink/message.ts";
import { groupSocket, NETLINK_NETFILTER } from "../../netlink/socket.ts";
import { nfMessage } from "../../nft/changes.ts";
import { NFPROTO } from "../../nft/wire.ts";
import { ETH_P_ARP, ETH_P_IP, ETH_P_IPV6, readPacket, type Seen } from "../packets/frame.ts";
import { concat } from "../../base/bytes.ts";
import type { Tokens } from "../packets/filter.ts";
import { TABLE_OF_OURS, type Traced, TraceTables } from "./trace_table.ts";

const NFT_MSG_TRACE = nfMessage(17);
const NFNLGRP_NFTRACE = 9;
const SO_RCVBUF = 8;
const SOL_SOCKET = 1;
const FAMILIES = new Map<number, string>(Object.entries(NFPROTO).map(([name, one]) => [one, name]));
/** From 0 on those of netfilter (NF_DROP …), and from -1 down those of nf_tables (NFT_CONTINUE …). */
const VERDICTS = ["drop", "accept", "stolen", "queue", "accept"] as const;
const NFT_VERDICTS = ["continue", "break", "jump", "goto", "return"] as const;
const MOST_OVERFLOWS = 8;
const MOST_EVENTS = 2000;

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
  verdict: (typeof VERDICTS)[number] | (typeof NFT_VERDICTS)[number];
  jump?: string;
  input?: number;
  output?: number;
  packet?: Seen;
}

/** Traces in one namespace, from when it is made. */
export class Trace implements Disposable {
  readonly #socket: Socket;
  readonly #tables: TraceTables;

  /** @throws {SystemError} */
  constructor(
    private readonly traced: Traced,
    devices: readonly string[],
    readonly netns?: string,
  ) {
    this.#socket = groupSocket(NETLINK_NETFILTER, NFNLGRP_NFTRACE, netns);
    try {
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
    const found: ReturnType<typeof decodeTrace>[] = [];
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
        if (one.type === NFT_MSG_TRACE) found.push(decodeTrace(one.body, this.traced.addresses));
      }
    }
    return withPackets(found, this.traced.tokens)
      .filter(({ table }) => !table.startsWith(TABLE_OF_OURS))
      .map((one) => ({ netns: this.netns, ...one }));
  }

  [Symbol.dispose](): void {
    this.#tables[Symbol.dispose]();
    this.#socket.close();
  }
}

/**
 * What was told, each with its packet and links: the kernel tells of them once in each hook, with its first
 * rule. A packet keeps what it was before it was translated; but its number may be that of one that has been
 * dropped, whose memory it has got.
 */
export function withPackets(
  told: readonly ReturnType<typeof decodeTrace>[],
  { first, last }: Tokens,
): RuleMet[] {
  const about = ({ target, sourcePort = 0, destinationPort = 0 }: Seen) =>
    target ?? [sourcePort, destinationPort].find((one) => one >= first && one <= last);
  const packets = new Map<number, Seen>();
  const links = new Map<number, Pick<RuleMet, "input" | "output">>();
  return told.map(({ met, packet }) => {
    const known = packets.get(met.id);
    const isNew = packet && (!known || ![undefined, about(known)].includes(about(packet)));
    if (isNew) packets.set(met.id, packet);
    const { id, input, output } = met;
    if (input !== undefined || output !== undefined) links.set(id, { input, output });
    return { ...met, ...links.get(id), packet: packets.get(id) };
  });
}

/**
 * Decodes NFT_MSG_TRACE, with the packet where it is told of.
 *
 * @param addresses whom neighbour discovery may be about
 * @throws {OperatorError} `kernel_answer`
 */
export function decodeTrace(
  body: Uint8Array,
  addresses: readonly string[],
): { met: RuleMet; packet?: Seen } {
  const [header, attributes] = opened(body, 4);
  const family = header.getUint8(0);
  const verdict = attributes.nested(5);
  const kind = ({ 1: "policy", 2: "return", 3: "rule" } as const)[attributes.be32(4) ?? 0] ??
    "rule";
  const number = kind === "policy" ? attributes.be32(16) ?? 1 : (verdict.be32(1) ?? 0xffffffff) | 0;
  const met: RuleMet = {
    id: attributes.be32(6) ?? 0,
    family: FAMILIES.get(family) ?? String(family),
    table: attributes.text(1) ?? "",
    chain: attributes.text(2) ?? "",
    handle: kind === "rule" ? attributes.be64(3)?.toString() : undefined,
    kind,
    verdict: NFT_VERDICTS[-1 - number] ?? VERDICTS[number & 0xff] ?? "continue",
    jump: verdict.text(2),
    input: attributes.be32(10),
    output: attributes.be32(12),
  };
  return { met, packet: packetIn(family, attributes, addresses) };
}

function packetIn(
  family: number,
  attributes: Attributes,
  addresses: readonly string[],
): Seen | undefined {
  const network = attributes.bytes(8);
  if (!network) return undefined;
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
  return packet && { ...packet, ...discovery(network, transport, addresses) };
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
