/** Packets by hand: IPv4, IPv6, TCP, UDP, ICMP and ARP, written and read. */
import { addressBytes, addressText } from "../../base/ip.ts";
import { concat } from "../../base/bytes.ts";
import { macBytes } from "../../netlink/link_changes.ts";

export const ETH_P_IP = 0x0800;
export const ETH_P_ARP = 0x0806;
export const ETH_P_IPV6 = 0x86dd;
export const IPPROTO = { icmp: 1, tcp: 6, udp: 17, "ipv6-icmp": 58 } as const;
export type Protocol = "tcp" | "udp" | "icmp";

/** What a probe sends: both ends, and the number that tells it from every other packet. */
export interface Flow {
  protocol: Protocol;
  source: string;
  destination: string;
  /** A port nobody uses, or the identifier of an ICMP echo. */
  token: number;
  /** Of TCP and UDP. */
  port: number;
}

/** Of a connection that is begun by hand. */
export const FIRST_SEQUENCE = 0x6d636e69;

/** TCP's flags. */
export const FIN = 1, SYN = 2, RST = 4, ACK = 16;

/** An IP packet of a flow, without the header of the link. */
export function ipPacket(
  { protocol, source, destination, token, port }: Flow,
  {
    flags = SYN,
    sequence = FIRST_SEQUENCE,
    acknowledge = 0,
    payload = new Uint8Array(),
  } = {},
): Uint8Array<ArrayBuffer> {
  const from = addressBytes(source);
  const to = addressBytes(destination);
  const body = protocol === "tcp"
    ? tcp(token, port, flags, sequence, acknowledge, payload)
    : protocol === "udp"
    ? udp(token, port, payload)
    : echo(from.length === 16, token, payload);
  const number = IPPROTO[protocol === "icmp" && from.length === 16 ? "ipv6-icmp" : protocol];
  const at = protocol === "tcp" ? 16 : protocol === "udp" ? 6 : 2;
  const sum = checksum(
    protocol === "icmp" && from.length === 4
      ? [body]
      : [pseudo(from, to, body.length, number), body],
  );
  new DataView(body.buffer).setUint16(at, sum === 0 && protocol === "udp" ? 0xffff : sum);
  return concat([header(from, to, number, body.length), body]);
}

/** What is not zero of a header: where it begins, and its bytes, or a number of 16 bits. */
type Field = readonly [at: number, value: number | readonly number[] | Uint8Array];

/** A header as protocols draw it, in network order, with what follows it. */
export function packed(
  size: number,
  fields: readonly Field[],
  payload: Uint8Array = new Uint8Array(),
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size + payload.length);
  for (const [at, value] of fields) {
    bytes.set(typeof value === "number" ? [value >> 8, value & 0xff] : value, at);
  }
  bytes.set(payload, size);
  return bytes;
}

/** The four bytes of a number. */
const word = (value: number) => [value >>> 24, value >>> 16, value >>> 8, value];

function header(from: Uint8Array, to: Uint8Array, protocol: number, length: number): Uint8Array {
  if (from.length === 16) {
    return packed(40, [[0, [0x60]], [4, length], [6, [protocol, 64]], [8, from], [24, to]]);
  }
  const fields: Field[] = [[0, [0x45]], [2, 20 + length], [6, 0x4000], [8, [64, protocol]]];
  const ends: Field[] = [[12, from], [16, to]];
  const sum = checksum([packed(20, [...fields, ...ends])]);
  return packed(20, [...fields, [10, sum], ...ends]);
}

function tcp(
  from: number,
  to: number,
  flags: number,
  sequence: number,
  acknowledge: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const isSyn = (flags & SYN) !== 0;
  const size = isSyn ? 24 : 20;
  const fields: Field[] = [
    ...[[0, from], [2, to], [4, word(sequence)], [8, word(acknowledge)]] as const,
    ...[[12, [(size / 4) << 4, flags]], [14, 64240]] as const,
  ];
  // The one option that every SYN has: the largest segment. What is sent before there is a connection is no part of it.
  return isSyn
    ? packed(size, [...fields, [20, [2, 4, 0x05, 0xb4]]])
    : packed(size, fields, payload);
}

function udp(from: number, to: number, payload: Uint8Array): Uint8Array<ArrayBuffer> {
  return packed(8, [[0, from], [2, to], [4, 8 + payload.length]], payload);
}

/** An ICMP echo, also without its checksum for a socket that computes it. */
export function echo(
  isV6: boolean,
  id: number,
  payload: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return packed(8, [[0, [isV6 ? 128 : 8]], [4, id], [6, 1]], payload);
}

/** What checksums cover besides: the sum of both families' is one. */
function pseudo(from: Uint8Array, to: Uint8Array, length: number, protocol: number): Uint8Array {
  return concat([from, to, packed(4, [[0, length], [2, protocol]])]);
}

/** RFC 1071. */
export function checksum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += part[i]! << 8 | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** A frame for Ethernet. */
export function frame(
  to: string,
  from: string,
  type: number,
  packet: Uint8Array,
): Uint8Array<ArrayBuffer> {
  return packed(14, [[0, macBytes(to)], [6, macBytes(from)], [12, type]], packet);
}

/** A packet as it was seen. */
export interface Seen {
  protocol:
    | "tcp"
    | "udp"
    | "icmp"
    | "icmp error"
    | "arp request"
    | "arp reply"
    | "nd request"
    | "nd reply";
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  /** TCP's flags, or ICMP's type. */
  flags: number;
  sequence: number;
  acknowledge: number;
  /** Who is asked for, or answers, of ARP and neighbour discovery. */
  target?: string;
  /** Of an ICMP error, its code, and what it quotes. */
  code?: number;
  quoted?: Seen;
}

const NOTHING = {
  sourcePort: 0,
  destinationPort: 0,
  flags: 0,
  sequence: 0,
  acknowledge: 0,
};

/** Reads a packet from its network header on; undefined for what no probe sends or hears. */
export function readPacket(type: number, bytes: Uint8Array): Seen | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type === ETH_P_ARP) {
    if (bytes.length < 28) return undefined;
    const protocol = ({ 1: "arp request", 2: "arp reply" } as const)[view.getUint16(6)];
    if (!protocol) return undefined;
    const source = addressText(bytes.subarray(14, 18));
    const destination = addressText(bytes.subarray(24, 28));
    const target = protocol === "arp request" ? destination : source;
    return { ...NOTHING, protocol, source, destination, target };
  }
  const isV6 = type === ETH_P_IPV6;
  const size = isV6 ? 40 : ((bytes[0] ?? 0) & 15) * 4;
  if ((!isV6 && type !== ETH_P_IP) || size < 20 || bytes.length < size + 8) return undefined;
  const base = {
    ...NOTHING,
    source: addressText(isV6 ? bytes.subarray(8, 24) : bytes.subarray(12, 16)),
    destination: addressText(isV6 ? bytes.subarray(24, 40) : bytes.subarray(16, 20)),
  };
  const number = isV6 ? bytes[6] : bytes[9];
  if (number === IPPROTO.tcp || number === IPPROTO.udp) {
    const isTcp = number === IPPROTO.tcp;
    const whole = isTcp && bytes.length >= size + 14;
    return {
      ...base,
      protocol: isTcp ? "tcp" : "udp",
      sourcePort: view.getUint16(size),
      destinationPort: view.getUint16(size + 2),
      sequence: isTcp ? view.getUint32(size + 4) : 0,
      acknowledge: whole ? view.getUint32(size + 8) : 0,
      flags: whole ? bytes[size + 13]! : 0,
    };
  }
  if (number !== IPPROTO.icmp && number !== IPPROTO["ipv6-icmp"]) return undefined;
  const kind = bytes[size]!;
  const common = { ...base, flags: kind };
  if (isV6 ? kind < 5 : [3, 11, 12, 5].includes(kind)) {
    return {
      ...common,
      protocol: "icmp error",
      code: bytes[size + 1]!,
      quoted: readPacket(type, bytes.subarray(size + 8)),
    };
  }
  if (isV6 && (kind === 135 || kind === 136) && bytes.length >= size + 24) {
    return {
      ...common,
      protocol: kind === 135 ? "nd request" : "nd reply",
      target: addressText(bytes.subarray(size + 8, size + 24)),
    };
  }
  return {
    ...common,
    protocol: "icmp",
    sourcePort: view.getUint16(size + 4),
    destinationPort: view.getUint16(size + 4),
  };
}

/** What ICMP errors say, by type and code (RFC 792, RFC 1812; RFC 4443). */
const ICMP_SAYS: Readonly<Record<4 | 6, Readonly<Record<string, string>>>> = {
  4: {
    "3 0": "it has no route there",
    "3 1": "nobody there has the address",
    "3 2": "the protocol is not spoken there",
    "3 3": "the port is unreachable",
    "3 9": "the network is prohibited",
    "3 10": "the host is prohibited",
    "3 13": "it is prohibited by a firewall",
    "11 0": "it was passed on too often",
  },
  6: {
    "1 0": "it has no route there",
    "1 1": "it is prohibited by a firewall",
    "1 3": "nobody there has the address",
    "1 4": "the port is unreachable",
    "1 5": "the source address is prohibited",
    "1 6": "the route there refuses it",
    "3 0": "it was passed on too often",
  },
};

export function icmpText(family: 4 | 6, type: number, code: number): string {
  const said = ICMP_SAYS[family][`${type} ${code}`];
  return `${said === undefined ? "" : `${said}, `}ICMP type ${type} code ${code}`;
}
