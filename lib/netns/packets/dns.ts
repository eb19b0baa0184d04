/** A DNS question by hand (RFC 1035), from inside a namespace: whether a server answers at all. */
import { familyOf, socketAddress } from "../../linux/inet.ts";
import { SystemError } from "../../linux/libc.ts";
import { SOCK_DGRAM, Socket } from "../../linux/socket.ts";

const PORT = 53;
const ATTEMPTS = 3;
const PATIENCE_MS = 400;
const RECURSION_DESIRED = 0x0100;
const TYPE_A = 1;
const CLASS_IN = 1;

const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** `NOERROR`, `REFUSED` and other codes of an answer; `timed out`; or errno's name. */
export type DnsOutcome = string;

/**
 * Asks a server for a name that every resolver knows without asking on (RFC 6761, localhost).
 * What the answer is does not matter, only that there is one.
 */
export async function askServer(netns: string, server: string): Promise<DnsOutcome> {
  using socket = Socket.open(familyOf(server), SOCK_DGRAM, 0, netns);
  const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  const buffer = new Uint8Array(512);
  try {
    socket.connect(socketAddress(server, PORT), `${server} port ${PORT}`);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      socket.send(question(id, "localhost"), `ask ${server}`);
      if (!await socket.readable(PATIENCE_MS)) continue;
      const length = socket.receive(buffer, `hear from ${server}`);
      const view = new DataView(buffer.buffer);
      if (length === undefined || length < 12 || view.getUint16(0) !== id) continue;
      const code = view.getUint8(3) & 0x0f;
      return RCODES[code] ?? `code ${code}`;
    }
  } catch (error) {
    if (error instanceof SystemError) return error.errnoName;
    throw error;
  }
  return "timed out";
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
