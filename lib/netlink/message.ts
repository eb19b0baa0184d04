/**
 * The bytes of netlink (linux/netlink.h): messages and their nested attributes. A container chooses
 * much of what the kernel says of its namespace, so whatever is read here is a value or an
 * OperatorError `kernel_answer`, never a defect.
 */
import { textOf } from "../base/bytes.ts";
import { addressText } from "../base/ip.ts";
import { OperatorError } from "../base/error.ts";

/** Flags of a message. */
export const NLM_F_REPLACE = 0x100;
export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const HEADER_BYTES = 16;
/** The two high bits of an attribute's type are NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const TYPE_MASK = 0x3fff;
const NESTED = 0x8000;

/** A received message; `body` is what follows its header. */
export interface Message {
  type: number;
  flags: number;
  sequence: number;
  body: Uint8Array;
}

/** Writes a message: header, then the parts. */
export function encodeMessage(
  type: number,
  flags: number,
  sequence: number,
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const header = structure(HEADER_BYTES, [4, type, 2], [6, flags, 2], [8, sequence, 4]);
  const bytes = joined([header, ...parts]);
  view(bytes).setUint32(0, bytes.length, true);
  return bytes;
}

/** Parts one after another, each padded to four bytes. */
export function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + align(part.length), 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += align(part.length);
  }
  return bytes;
}

/**
 * A structure of C, as messages begin with one.
 *
 * @param fields that are not zero: where they begin, and how many bytes they have
 */
export function structure(
  bytes: number,
  ...fields: (readonly [offset: number, value: number, bytes: 1 | 2 | 4])[]
): Uint8Array<ArrayBuffer> {
  const written = new Uint8Array(bytes);
  for (const [offset, value, width] of fields) {
    // Little-endian: the kernel's own order on every machine that this program is built for.
    for (let i = 0; i < width; i++) written[offset + i] = value >>> 8 * i;
  }
  return written;
}

/** What is said of an answer that is not as its protocol has it. */
export function malformed(what: string): OperatorError {
  return new OperatorError("kernel_answer", `the kernel's answer can't be read: ${what}`);
}

/** What a message begins with, of so many bytes. @throws {OperatorError} `kernel_answer` */
export function fixedPart(body: Uint8Array, bytes: number): DataView {
  if (body.length < bytes) throw malformed(`a message of ${body.length} bytes, not ${bytes}`);
  return view(body);
}

/** The same, and the attributes behind it. @throws {OperatorError} `kernel_answer` */
export function opened(body: Uint8Array, bytes: number): [header: DataView, Attributes] {
  return [fixedPart(body, bytes), new Attributes(body.subarray(bytes))];
}

/**
 * The messages in a received datagram.
 *
 * @param isAny false for those alone that tell of the answer itself: of ten thousand others, none is taken apart
 * @throws {OperatorError} `kernel_answer`
 */
export function* decodeMessages(bytes: Uint8Array, isAny = true): Generator<Message> {
  const headers = view(bytes);
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = headers.getUint32(at, true);
    if (length < HEADER_BYTES || length > bytes.length - at) {
      throw malformed(`a message of ${length} bytes in ${bytes.length - at}`);
    }
    const type = headers.getUint16(at + 4, true);
    const flags = headers.getUint16(at + 6, true);
    if (isAny || type === NLMSG_DONE || type === NLMSG_ERROR || flags & NLM_F_DUMP_INTR) {
      const sequence = headers.getUint32(at + 8, true);
      yield { type, flags, sequence, body: bytes.subarray(at + HEADER_BYTES, at + length) };
    }
    at += align(length);
  }
}

/** Writes an attribute. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + value.length);
  const header = view(bytes);
  header.setUint16(0, bytes.length, true);
  header.setUint16(2, type, true);
  bytes.set(value, 4);
  return bytes;
}

/** Writes an attribute that holds others. */
export function nested(type: number, parts: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NESTED, joined(parts));
}

/**
 * Attributes by type; of several of one type, the last. A number is undefined where its attribute is
 * absent or too short.
 */
export class Attributes {
  readonly #values = new Map<number, Uint8Array>();

  /** @throws {OperatorError} `kernel_answer` */
  constructor(bytes: Uint8Array) {
    for (const [type, value] of eachAttribute(bytes)) this.#values.set(type, value);
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#values.get(type);
  }

  u8(type: number): number | undefined {
    return this.#values.get(type)?.[0];
  }

  u16(type: number): number | undefined {
    return this.#fields(type, 2)?.getUint16(0, true);
  }

  u32(type: number): number | undefined {
    return this.#fields(type, 4)?.getUint32(0, true);
  }

  u64(type: number): bigint | undefined {
    return this.#fields(type, 8)?.getBigUint64(0, true);
  }

  /** A number in network order, as nf_tables has them. */
  be16(type: number): number | undefined {
    return this.#fields(type, 2)?.getUint16(0);
  }

  be32(type: number): number | undefined {
    return this.#fields(type, 4)?.getUint32(0);
  }

  be64(type: number): bigint | undefined {
    return this.#fields(type, 8)?.getBigUint64(0);
  }

  #fields(type: number, bytes: number): DataView | undefined {
    const value = this.#values.get(type);
    return value && value.length >= bytes ? view(value) : undefined;
  }

  /** An IP address. @throws {OperatorError} `kernel_answer` for one of another length */
  address(type: number): string | undefined {
    const value = this.#values.get(type);
    return value && addressOf(value);
  }

  i32(type: number): number | undefined {
    const value = this.u32(type);
    return value === undefined ? undefined : value | 0;
  }

  /** A string, without the NUL that ends it. */
  text(type: number): string | undefined {
    const value = this.#values.get(type);
    if (!value) return undefined;
    const end = value.indexOf(0);
    return textOf(end < 0 ? value : value.subarray(0, end));
  }

  nested(type: number): Attributes {
    return new Attributes(this.#values.get(type) ?? new Uint8Array());
  }
}

/** The text of an IP address. @throws {OperatorError} `kernel_answer` unless it has 4 or 16 bytes */
export function addressOf(bytes: Uint8Array): string {
  if (bytes.length === 4 || bytes.length === 16) return addressText(bytes);
  throw malformed(`an address of ${bytes.length} bytes`);
}

/**
 * Each attribute in `bytes`, in their order, with its type's flags taken off.
 *
 * @throws {OperatorError} `kernel_answer`
 */
export function* eachAttribute(bytes: Uint8Array): Generator<[type: number, value: Uint8Array]> {
  let rest = bytes;
  while (rest.length >= 4) {
    const header = view(rest);
    const length = header.getUint16(0, true);
    if (length < 4 || length > rest.length) {
      throw malformed(`an attribute of ${length} bytes in ${rest.length}`);
    }
    yield [header.getUint16(2, true) & TYPE_MASK, rest.subarray(4, length)];
    rest = rest.subarray(align(length));
  }
}

export const u32 = (value: number) => structure(4, [0, value, 4]);
export const u16 = (value: number) => structure(2, [0, value, 2]);
export const u8 = (value: number) => structure(1, [0, value, 1]);

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
