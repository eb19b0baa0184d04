/**
 * The bytes of netlink (linux/netlink.h): messages and their nested attributes. A container chooses
 * much of what the kernel says of its namespace, so whatever is read here is a value or an
 * OperatorError `kernel_answer`, never a defect.
 */
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

/** Writes a message: header, then the parts one after another, each padded to four bytes. */
export function encodeMessage(
  type: number,
  flags: number,
  sequence: number,
  parts: readonly Uint8Array[],
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + parts.reduce((sum, part) => sum + padded(part), 0));
  let offset = HEADER_BYTES;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += padded(part);
  }
  const header = new DataView(bytes.buffer);
  header.setUint32(0, bytes.length, true);
  header.setUint16(4, type, true);
  header.setUint16(6, flags, true);
  header.setUint32(8, sequence, true);
  return bytes;
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

/** The messages in a received datagram. @throws {OperatorError} `kernel_answer` */
export function* decodeMessages(bytes: Uint8Array): Generator<Message> {
  let rest = bytes;
  while (rest.length >= HEADER_BYTES) {
    const header = view(rest);
    const length = header.getUint32(0, true);
    if (length < HEADER_BYTES || length > rest.length) {
      throw malformed(`a message of ${length} bytes in ${rest.length}`);
    }
    yield {
      type: header.getUint16(4, true),
      flags: header.getUint16(6, true),
      sequence: header.getUint32(8, true),
      body: rest.subarray(HEADER_BYTES, length),
    };
    rest = rest.subarray(align(length));
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
  const value = new Uint8Array(parts.reduce((sum, part) => sum + padded(part), 0));
  let offset = 0;
  for (const part of parts) {
    value.set(part, offset);
    offset += padded(part);
  }
  return attribute(type | NESTED, value);
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
    return new TextDecoder().decode(end < 0 ? value : value.subarray(0, end));
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

/** Little-endian: the kernel's own order on every machine that this program is built for. */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  view(bytes).setUint32(0, value, true);
  return bytes;
}

export function u16(value: number): Uint8Array {
  const bytes = new Uint8Array(2);
  view(bytes).setUint16(0, value, true);
  return bytes;
}

export function u8(value: number): Uint8Array {
  return new Uint8Array([value]);
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function align(length: number): number {
  return (length + 3) & ~3;
}

function padded(part: Uint8Array): number {
  return align(part.length);
}
