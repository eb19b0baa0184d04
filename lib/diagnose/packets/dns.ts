/** DNS questions by hand (RFC 1035), over UDP and TCP, from inside a namespace. */
import { addressText } from "../../base/ip.ts";
import { SOCK_DGRAM, SOCK_STREAM } from "../../kernel/socket.ts";
import { connected, connectedTo, heard, type Sender } from "./connect.ts";
import { concat } from "../../base/bytes.ts";
import { packed } from "./frame.ts";

const PORT = 53;
const RECURSION_DESIRED = 0x0100;
export const TYPE_A = 1, TYPE_NS = 2, TYPE_AAAA = 28;
const TYPE_CNAME = 5;
const SIZES: Readonly<Record<number, number>> = { [TYPE_A]: 4, [TYPE_AAAA]: 16 };
const CLASS_IN = 1;
/** Answers to others' questions, or to none, that are passed over. */
const MOST_STRANGERS = 100;

const RCODES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/** `NOERROR`, `REFUSED` and other codes of an answer; `timed out`; or errno's name. */
export type DnsOutcome = string;

/** Whether no server has said it: errno's names begin so, and no code of an answer. */
export function isUnsaid(outcome: DnsOutcome): boolean {
  return outcome === "timed out" || outcome.startsWith("E");
}

/** What a server says about a name. */
export interface DnsAnswer {
  outcome: DnsOutcome;
  addresses: string[];
  ms: number;
  /** Whether the name is another's (CNAME). */
  isAlias: boolean;
  /** Whether the server had more to say than UDP has room for. */
  truncated: boolean;
  /** Answers that came and fit no question. */
  strange: number;
}

export interface DnsQuery {
  type?: number;
  /** How long to wait in all. */
  ms?: number;
  /** Port to ask from. */
  token?: number;
}

/** Asks a server for the addresses of a name, by UDP. */
export async function resolveName(
  sender: Sender,
  server: string,
  name: string,
  { type = TYPE_A, ms = 1300, token }: DnsQuery = {},
): Promise<DnsAnswer> {
  const start = performance.now();
  const id = crypto.getRandomValues(new Uint16Array(1))[0]!;
  let strange = 0;
  let answer: Uint8Array | undefined;
  const probe = { ...sender, address: server, port: PORT, token };
  const outcome = await connected(probe, SOCK_DGRAM, async (socket) => {
    socket.send(question(id, name, type), `ask ${server}`);
    const isIts = (one: Uint8Array) => one.length >= 12 && (one[0]! << 8 | one[1]!) === id;
    const told = await heard(
      socket,
      ms,
      (one) => isIts(one) ? one : ++strange > MOST_STRANGERS ? "too many" as const : undefined,
    );
    if (told === undefined || told === "too many") return "timed out";
    answer = told;
    return outcomeOf(told);
  });
  return {
    outcome,
    addresses: answer ? recordsIn(answer, TYPE_A, TYPE_AAAA).map(addressText) : [],
    isAlias: answer !== undefined && recordsIn(answer, TYPE_CNAME).length > 0,
    ms: performance.now() - start,
    truncated: answer !== undefined && (answer[2]! & 2) !== 0,
    strange,
  };
}

/** Asks by TCP (RFC 7766), as for an answer that UDP had no room for. */
export async function resolveByTcp(
  sender: Sender,
  server: string,
  name: string,
  { type = TYPE_A, ms = 1300, token }: DnsQuery = {},
): Promise<DnsOutcome> {
  const probe = { ...sender, address: server, port: PORT, token };
  return await connected(probe, SOCK_STREAM, async (socket) => {
    if (!await connectedTo(socket, ms)) return "timed out";
    const message = question(1, name, type);
    const length = new Uint8Array([message.length >> 8, message.length & 0xff]);
    socket.send(concat([length, message]), `ask ${server}`);
    if (!await socket.readable(ms)) return "no answer";
    const buffer = new Uint8Array(1500);
    const heard = socket.receive(buffer, `hear from ${server}`) ?? 0;
    return heard >= 14 ? outcomeOf(buffer.subarray(2)) : heard === 0 ? "closed" : "NOERROR";
  });
}

function outcomeOf(message: Uint8Array): DnsOutcome {
  const code = message[3]! & 0x0f;
  return RCODES[code] ?? `code ${code}`;
}

/** What records of some types in the answer section hold; others are passed over. */
export function recordsIn(message: Uint8Array, ...types: readonly number[]): Uint8Array[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const found: Uint8Array[] = [];
  try {
    let at = 12;
    for (let i = view.getUint16(4); i > 0; i--) at = afterName(view, at) + 4;
    for (let i = view.getUint16(6); i > 0; i--) {
      at = afterName(view, at);
      const size = view.getUint16(at + 8);
      const type = view.getUint16(at);
      at += 10 + size;
      if (at > message.length) break;
      if (types.includes(type) && size === (SIZES[type] ?? size)) {
        found.push(message.subarray(at - size, at));
      }
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

/** A question about a name (RFC 1035, 4.1). */
export function question(id: number, name: string, type: number): Uint8Array<ArrayBuffer> {
  const labels = name.split(".").filter((one) => one !== "").flatMap((label) => {
    const bytes = new TextEncoder().encode(label).subarray(0, 63);
    return [bytes.length, ...bytes];
  });
  const asked = [...labels, 0, type >> 8, type & 0xff, 0, CLASS_IN];
  return packed(12, [[0, id], [2, RECURSION_DESIRED], [4, 1]], new Uint8Array(asked));
}
