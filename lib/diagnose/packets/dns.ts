/** A DNS question by hand (RFC 1035), from inside a namespace: whether a server answers at all. */
import { addressText } from "../../base/ip.ts";
import { addressFamilyOf, socketAddress } from "../../kernel/socket.ts";
import { SystemError } from "../../kernel/libc.ts";
import { SOCK_DGRAM, Socket } from "../../kernel/socket.ts";

const PORT = 53;
const ATTEMPTS = 3;
const PATIENCE_MS = 400;
const RECURSION_DESIRED = 0x0100;
const TYPE_A = 1;
const CLASS_IN = 1;

const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** `NOERROR`, `REFUSED` and other codes of an answer; `timed out`; or errno's name. */
export type DnsOutcome = string;

/** What a server says about a name. */
export interface DnsAnswer {
  outcome: DnsOutcome;
  /** IPv4 addresses. */
  addresses: string[];
}

/**
 * Asks a server for a name that every resolver knows without asking on (RFC 6761, localhost).
 * What the answer is does not matter, only that there is one.
 */
export async function askServer(netns: string, server: string): Promise<DnsOutcome> {
  return (await resolveName(netns, server, "localhost")).outcome;
}

/** Asks a server for the IPv4 addresses of a name. */
export async function resolveName(
  netns: string,
  server: string,
  name: string,
): Promise<DnsAnswer> {
  using socket = Socket.open(addressFamilyOf(server), SOCK_DGRAM, 0, netns);
  const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  const buffer = new Uint8Array(512);
  try {
    socket.connect(socketAddress(server, PORT), `${server} port ${PORT}`);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      socket.send(question(id, name), `ask ${server}`);
      if (!await socket.readable(PATIENCE_MS)) continue;
      const length = socket.receive(buffer, `hear from ${server}`);
      const view = new DataView(buffer.buffer);
      if (length === undefined || length < 12 || view.getUint16(0) !== id) continue;
      const code = view.getUint8(3) & 0x0f;
      return { outcome: RCODES[code] ?? `code ${code}`, addresses: answers(buffer, length) };
    }
  } catch (error) {
    if (error instanceof SystemError) return { outcome: error.errnoName, addresses: [] };
    throw error;
  }
  return { outcome: "timed out", addresses: [] };
}

/** The addresses in the answer section; records of other types are passed over. */
function answers(buffer: Uint8Array<ArrayBuffer>, length: number): string[] {
  const view = new DataView(buffer.buffer, 0, length);
  const found: string[] = [];
  try {
    let at = 12;
    for (let i = view.getUint16(4); i > 0; i--) at = afterName(view, at) + 4;
    for (let i = view.getUint16(6); i > 0; i--) {
      at = afterName(view, at);
      const size = view.getUint16(at + 8);
      if (view.getUint16(at) === TYPE_A && size === 4) {
        found.push(addressText(buffer.subarray(at + 10, at + 14)));
      }
      at += 10 + size;
    }
  } catch (error) {
    // A message that ends early has no more answers.
    if (!(error instanceof RangeError)) throw error;
  }
  return found;
}

/** Names are labels up to an empty one, or end in a pointer of two bytes (RFC 1035, 4.1.4). */
function afterName(view: DataView, at: number): number {
  while (true) {
    const size = view.getUint8(at);
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    at += size + 1;
  }
}

function question(id: number, name: string): Uint8Array<ArrayBuffer> {
  const labels = name.split(".").flatMap((label) => [
    label.length,
    ...new TextEncoder().encode(label),
  ]);
  const bytes = new Uint8Array(12 + labels.length + 5);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, id);
  view.setUint16(2, RECURSION_DESIRED);
  view.setUint16(4, 1);
  bytes.set(labels, 12);
  view.setUint16(12 + labels.length + 1, TYPE_A);
  view.setUint16(12 + labels.length + 3, CLASS_IN);
  return bytes;
}
