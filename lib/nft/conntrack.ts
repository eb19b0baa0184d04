/** The connections that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h). */
import { SystemError } from "../kernel/libc.ts";
import { attribute, type Message, nested, opened, u32 } from "../netlink/message.ts";
import { AF_INET, AF_INET6 } from "../kernel/socket.ts";
import { nfHeader, NFNL_SUBSYS_CTNETLINK, withNfnetlink } from "./batch.ts";

const message = (number: number) => NFNL_SUBSYS_CTNETLINK << 8 | number;
const IPCTNL_MSG_CT_GET = message(1);
const IPCTNL_MSG_CT_DELETE = message(2);

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
/** The source's; the destination's is the next. */
const CTA_IP_SRC = { 4: 1, 6: 3 } as const;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
/** Bits of CTA_FILTER_ORIG_FLAGS (net/netfilter/nf_internals.h). */
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_PROTO_DST_PORT = 1 << 5;
const IPPROTO_TCP = 6;
const IPPROTO_UDP = 17;
const NESTED = 0x8000;
const ENOENT = 2;

/**
 * Decodes a tracked connection (IPCTNL_MSG_CT_NEW), with the attributes that it is deleted by;
 * undefined if it is not of UDP.
 */
export function decodeUdpFlow(
  { body }: Message,
  family: 4 | 6,
): { destination: string; port: number; identity: Uint8Array[] } | undefined {
  const [, flow] = opened(body, 4);
  const tuple = flow.nested(CTA_TUPLE_ORIG);
  const proto = tuple.nested(CTA_TUPLE_PROTO);
  const destination = tuple.nested(CTA_TUPLE_IP)
    .address(family === 4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  const port = proto.be16(CTA_PROTO_DST_PORT);
  if (proto.u8(CTA_PROTO_NUM) !== IPPROTO_UDP || !destination || port === undefined) return;
  const identity = [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].flatMap((type) => {
    const value = flow.bytes(type);
    // A copy, since the next answer comes into the same buffer.
    return value ? [attribute(type === CTA_TUPLE_ORIG ? type | NESTED : type, value)] : [];
  });
  return { destination, port, identity };
}

/**
 * Forgets tracked UDP flows to ports, so that their next packet meets the rules of now: a flow
 * keeps the translation that it began with for as long as it lives.
 *
 * The kernel walks its whole table for this (some ms), so it is one walk for all the ports.
 *
 * @param matches whether a flow to this destination is meant
 * @returns how many were forgotten
 * @throws {SystemError}
 */
export function forgetUdpFlows(
  family: 4 | 6,
  ports: readonly number[],
  matches: (destination: string, port: number) => boolean,
): number {
  if (ports.length === 0) return 0;
  const header = headerOf(family);
  const only = ports.length === 1 ? ports[0]! : undefined;
  // The kernel filters by one port at most: so each flow is looked at here again.
  const flows = dump(family, IPPROTO_UDP, only, (message) => {
    const flow = decodeUdpFlow(message, family);
    return flow && matches(flow.destination, flow.port) ? flow.identity : undefined;
  });
  for (const identity of flows) {
    try {
      const parts = [header, ...identity];
      withNfnetlink((socket) =>
        socket.request(IPCTNL_MSG_CT_DELETE, 0, parts, "forget a tracked connection")
      );
    } catch (error) {
      // It ended by itself in the meantime.
      if (!(error instanceof SystemError && error.errno === ENOENT)) throw error;
    }
  }
  return flows.length;
}

function headerOf(family: 4 | 6): Uint8Array {
  return nfHeader(family === 4 ? AF_INET : AF_INET6);
}

/** Walks the connections of a protocol, and of one port where it is given. */
function dump<T>(
  family: 4 | 6,
  protocol: number,
  port: number | undefined,
  decode: (message: Message) => T | undefined,
): T[] {
  const wanted = [attribute(CTA_PROTO_NUM, new Uint8Array([protocol]))];
  if (port !== undefined) {
    wanted.push(attribute(CTA_PROTO_DST_PORT, new Uint8Array([port >> 8, port & 0xff])));
  }
  const flags = FILTER_PROTO_NUM | (port === undefined ? 0 : FILTER_PROTO_DST_PORT);
  const filter = [
    headerOf(family),
    nested(CTA_TUPLE_ORIG, [nested(CTA_TUPLE_PROTO, wanted)]),
    nested(CTA_FILTER, [attribute(CTA_FILTER_ORIG_FLAGS, u32(flags))]),
  ];
  const what = "list tracked connections";
  return withNfnetlink((socket) => socket.dump(IPCTNL_MSG_CT_GET, filter, what, decode));
}

/** A connection that is tracked: who asked for what, and who answers. */
export interface Flow {
  source: string;
  destination: string;
  port: number;
  /** Where the answers come from: the destination, or what it was translated to. */
  answerer: string;
}

/** Decodes a tracked connection (IPCTNL_MSG_CT_NEW) with its two ends; undefined for one without ports. */
export function decodeFlow({ body }: Message, family: 4 | 6): Flow | undefined {
  const [, flow] = opened(body, 4);
  const [asked, answers] = [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY].map((type) => flow.nested(type));
  const at = CTA_IP_SRC[family];
  const source = asked!.nested(CTA_TUPLE_IP).address(at);
  const destination = asked!.nested(CTA_TUPLE_IP).address(at + 1);
  const answerer = answers!.nested(CTA_TUPLE_IP).address(at);
  const port = asked!.nested(CTA_TUPLE_PROTO).be16(CTA_PROTO_DST_PORT);
  return source && destination && answerer && port !== undefined
    ? { source, destination, port, answerer }
    : undefined;
}

/** The connections to a port, whatever its address. @throws {SystemError} */
export function flowsTo(family: 4 | 6, protocol: "tcp" | "udp", port: number): Flow[] {
  const number = protocol === "tcp" ? IPPROTO_TCP : IPPROTO_UDP;
  return dump(family, number, port, (message) => decodeFlow(message, family))
    .filter((one) => one.port === port);
}
