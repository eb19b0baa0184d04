/** The connections that the kernel tracks (linux/netfilter/nfnetlink_conntrack.h). */
import {
  attribute,
  type Attributes,
  type Message,
  nested,
  opened,
  u32,
  u8,
} from "../netlink/message.ts";
import { addressBytes, type Family, familyOfKnown } from "../base/ip.ts";
import { errno, unless } from "../base/unless.ts";
import { nfHeader, withNfnetlink } from "./batch.ts";
import { NFPROTO, PROTOCOL_NUMBERS, TABLE_FAMILY } from "./wire.ts";

/** Of the subsystem NFNL_SUBSYS_CTNETLINK. */
const message = (number: number) => 1 << 8 | number;
const IPCTNL_MSG_CT_GET = message(1);
const IPCTNL_MSG_CT_DELETE = message(2);

const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_STATUS = 3;
/** IPS_SEEN_REPLY (linux/netfilter/nf_conntrack_common.h) */
const SEEN_REPLY = 2;
const CTA_ID = 12;
const CTA_ZONE = 18;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
/** The source's; the destination's is the next. */
const CTA_IP_SRC = { 4: 1, 6: 3 } as const;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
/** Bits of CTA_FILTER_ORIG_FLAGS (net/netfilter/nf_internals.h). */
const FILTER_IP_SRC = 1 << 0;
const FILTER_IP_DST = 1 << 1;
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_PROTO_DST_PORT = 1 << 5;
const NESTED = 0x8000;

/** A connection that is tracked: who asked for what, and who answers. */
export type Flow = NonNullable<ReturnType<typeof decodeFlow>>;

/** Decodes a tracked connection (IPCTNL_MSG_CT_NEW); undefined for one without ports. */
export function decodeFlow({ body }: Message, family: Family) {
  const [, flow] = opened(body, 4);
  const [asked, answers] = [CTA_TUPLE_ORIG, CTA_TUPLE_REPLY].map((type) => flow.nested(type));
  const addressIn = (tuple: Attributes, at: number) => tuple.nested(CTA_TUPLE_IP).address(at);
  const at = CTA_IP_SRC[family];
  const source = addressIn(asked!, at);
  const destination = addressIn(asked!, at + 1);
  const answerer = addressIn(answers!, at);
  const [sourcePort, port] = [CTA_PROTO_SRC_PORT, CTA_PROTO_DST_PORT].map((one) =>
    asked!.nested(CTA_TUPLE_PROTO).be16(one)
  );
  if (!source || !destination || !answerer || port === undefined) return undefined;
  const identity = [CTA_TUPLE_ORIG, CTA_ID, CTA_ZONE].flatMap((type) => {
    const value = flow.bytes(type);
    // A copy, since the next answer comes into the same buffer.
    return value ? [attribute(type === CTA_TUPLE_ORIG ? type | NESTED : type, value)] : [];
  });
  return {
    source,
    destination,
    port,
    sourcePort,
    isAnswered: ((flow.be32(CTA_STATUS) ?? SEEN_REPLY) & SEEN_REPLY) !== 0,
    /** Where the answers come from: the destination, or what it was translated to. */
    answerer,
    /** The attributes that it is deleted by. */
    identity,
  };
}

/** The parts of a message about all connections of a protocol to a port, to an address or from one, or of any. */
function filterOf(
  family: Family,
  protocol: "tcp" | "udp",
  port: number | undefined,
  { source, destination }: Partial<Pick<Flow, "source" | "destination">> = {},
): Uint8Array[] {
  const address = [source, destination].flatMap((one, i) =>
    one === undefined ? [] : [attribute(CTA_IP_SRC[family] + i, addressBytes(one))]
  );
  const ports = port === undefined
    ? []
    : [attribute(CTA_PROTO_DST_PORT, new Uint8Array([port >> 8, port & 0xff]))];
  const number = attribute(CTA_PROTO_NUM, u8(PROTOCOL_NUMBERS[protocol]));
  const flags = FILTER_PROTO_NUM | (port === undefined ? 0 : FILTER_PROTO_DST_PORT) |
    (source === undefined ? 0 : FILTER_IP_SRC) | (destination === undefined ? 0 : FILTER_IP_DST);
  return [
    nfHeader(NFPROTO[TABLE_FAMILY[family]]),
    nested(CTA_TUPLE_ORIG, [
      ...address.map((one) => nested(CTA_TUPLE_IP, [one])),
      nested(CTA_TUPLE_PROTO, [number, ...ports]),
    ]),
    nested(CTA_FILTER, [attribute(CTA_FILTER_ORIG_FLAGS, u32(flags))]),
  ];
}

/**
 * The connections to ports, whatever the address. The kernel walks its whole table for this (some
 * ms), and filters by one port at most: so it is one walk for all of them.
 *
 * @param most after so many the others are passed over
 * @throws {SystemError}
 */
export function flowsTo(
  family: Family,
  protocol: "tcp" | "udp",
  ports: readonly number[],
  most = Infinity,
): Flow[] {
  const [port, ...more] = ports;
  if (port === undefined) return [];
  const filter = filterOf(family, protocol, more.length === 0 ? port : undefined);
  let left = most;
  return withNfnetlink((socket) =>
    socket.dump(IPCTNL_MSG_CT_GET, filter, "list tracked connections", (message) => {
      const flow = decodeFlow(message, family);
      if (!flow || !ports.includes(flow.port)) return undefined;
      left--;
      return flow;
    }, () => left > 0)
  );
}

/** The connections of TCP that come from an address. @throws {SystemError} */
export function flowsFrom(source: string, most: number): Flow[] {
  const family = familyOfKnown(source);
  let left = most;
  return withNfnetlink((socket) =>
    socket.dump(
      IPCTNL_MSG_CT_GET,
      filterOf(family, "tcp", undefined, { source }),
      "list tracked connections",
      (message) => {
        const flow = decodeFlow(message, family);
        if (flow?.source !== source) return undefined;
        left--;
        return flow;
      },
      () => left > 0,
    )
  );
}

/**
 * Forgets all connections to a port of an address, which the kernel finds itself since 6.11.
 *
 * @returns undefined where it can't
 * @throws {SystemError}
 */
export function forgetAllTo(
  family: Family,
  protocol: "tcp" | "udp",
  { destination, port }: Pick<Flow, "destination" | "port">,
): true | undefined {
  const filter = filterOf(family, protocol, port, { destination });
  return unless(errno("EINVAL", "EOPNOTSUPP"), () => {
    withNfnetlink((socket) =>
      socket.request(IPCTNL_MSG_CT_DELETE, 0, filter, "forget tracked connections")
    );
    return true;
  });
}

/** Flows that are forgotten by one system call: as many errors as that have room in a socket. */
const AT_ONCE = 100;

/**
 * Forgets connections, so that their next packets meet the rules of now: a flow keeps the translation
 * that it began with for as long as it lives. There may be as many as the kernel tracks, if somebody
 * has flooded a port.
 *
 * @throws {SystemError}
 */
export function forgetFlows(family: Family, flows: readonly Flow[]): void {
  const changes = flows.map(({ identity }) => ({
    type: IPCTNL_MSG_CT_DELETE,
    flags: 0,
    parts: [nfHeader(NFPROTO[TABLE_FAMILY[family]]), ...identity],
    what: "forget a tracked connection",
    unless: "ENOENT", // it has ended by itself in the meantime
  }));
  for (let at = 0; at < changes.length; at += AT_ONCE) {
    withNfnetlink((socket) => socket.requestAll(changes.slice(at, at + AT_ONCE)));
  }
}
