/** IP addresses between text and bytes, by the C library (inet_pton(3)), and socket addresses. */
import { OperatorError } from "../error.ts";
import { cString, openLibc } from "./libc.ts";
import { AF_INET, AF_INET6 } from "./socket.ts";

const libc = openLibc({
  inet_pton: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  inet_ntop: { parameters: ["i32", "buffer", "buffer", "u32"], result: "pointer" },
});

/** Longest IPv6 address as text, with its NUL. */
const INET6_ADDRSTRLEN = 46;

/** The family of an address given as text or as its bytes. */
export function familyOf(address: string | Uint8Array): typeof AF_INET | typeof AF_INET6 {
  const isV6 = typeof address === "string" ? address.includes(":") : address.length === 16;
  return isV6 ? AF_INET6 : AF_INET;
}

/**
 * The 4 or 16 bytes of an address, most significant first.
 *
 * @throws {OperatorError} if `text` is no address (it has no prefix length and no zone)
 */
export function addressBytes(text: string): Uint8Array<ArrayBuffer> {
  const family = familyOf(text);
  const bytes = new Uint8Array(family === AF_INET ? 4 : 16);
  if (libc().inet_pton(family, cString(text), bytes) !== 1) {
    throw new OperatorError("bad_address", `not an IP address: ${JSON.stringify(text)}`);
  }
  return bytes;
}

/** The usual text of an address of 4 or 16 bytes. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new TypeError(`an address of ${bytes.length} bytes`);
  const text = new Uint8Array(INET6_ADDRSTRLEN);
  libc().inet_ntop(AF_INET6, new Uint8Array(bytes), text, text.length);
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
}

/** Whether `text` is an IP address, without prefix length. */
export function isAddress(text: string): boolean {
  try {
    addressBytes(text);
    return true;
  } catch (error) {
    if (error instanceof OperatorError) return false;
    throw error;
  }
}

/** The bytes of a struct sockaddr_in or sockaddr_in6. */
export function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = addressBytes(address);
  const isV4 = bytes.length === 4;
  const view = new DataView(new ArrayBuffer(isV4 ? 16 : 28));
  view.setUint16(0, isV4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  new Uint8Array(view.buffer).set(bytes, isV4 ? 4 : 8);
  return new Uint8Array(view.buffer);
}
