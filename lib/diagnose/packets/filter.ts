/** A filter of packet sockets (classic BPF, linux/filter.h): what belongs to one probe, no more. */
import { addressBytes } from "../../base/ip.ts";
import { RST } from "./frame.ts";

/** Loads from the network header (SKF_NET_OFF), whatever header the link has. */
const NET = -0x100000;
/** The protocol of the packet (SKF_AD_OFF + SKF_AD_PROTOCOL). */
const PROTOCOL = -0x1000;
const LOAD_WORD = 0x20,
  LOAD_HALF = 0x28,
  LOAD_BYTE = 0x30,
  JUMP_EQUAL = 0x15,
  JUMP_LEAST = 0x35,
  JUMP_ABOVE = 0x25,
  JUMP_SET = 0x45,
  RETURN = 0x06;
/** As much of a packet as is looked at. */
export const SNAP_BYTES = 256;

/** The numbers that tell this program's probes from all other packets. */
export interface Tokens {
  first: number;
  last: number;
}

type Step = {
  code: number;
  k: number;
  yes?: string;
  no?: string;
  /** Steps to go over if the condition does not hold. */
  skip?: number;
  label?: string;
};

/**
 * The bytes of a filter that lets pass what has one of the tokens as a port or an echo's identifier, errors
 * that quote such a packet, and ARP and neighbour discovery about one of the addresses.
 */
export function probeFilter(
  { first, last }: Tokens,
  addresses: readonly string[],
): Uint8Array<ArrayBuffer> {
  const steps: Step[] = [];
  const load = (code: number, offset: number, label?: string) =>
    steps.push({ code, k: offset, label });
  const equal = (k: number, yes?: string, no?: string) =>
    steps.push({ code: JUMP_EQUAL, k, yes, no });
  const give = (k: number, label?: string) => steps.push({ code: RETURN, k, label });
  /** Takes what has a token at one of these offsets. */
  const tokens = (label: string | undefined, ...offsets: number[]) => {
    offsets.forEach((offset, i) => {
      load(LOAD_HALF, NET + offset, i === 0 ? label : undefined);
      steps.push({ code: JUMP_LEAST, k: first, skip: 1 });
      steps.push({ code: JUMP_ABOVE, k: last, no: "take" });
    });
    give(0);
  };

  load(LOAD_HALF, PROTOCOL);
  equal(0x0800, "ip");
  equal(0x86dd, "ip6");
  equal(0x0806, "arp", "drop");

  load(LOAD_BYTE, NET + 9, "ip");
  equal(6, "ports4");
  equal(17, "ports4");
  equal(1, "icmp4", "drop");
  tokens("ports4", 20, 22);
  tokens("icmp4", 24, 48, 50, 52);

  load(LOAD_BYTE, NET + 6, "ip6");
  equal(6, "ports6");
  equal(17, "ports6");
  equal(58, "icmp6", "drop");
  tokens("ports6", 40, 42);
  load(LOAD_BYTE, NET + 40, "icmp6");
  equal(135, "nd");
  equal(136, "nd");
  tokens(undefined, 44, 88, 90, 92);
  load(LOAD_WORD, NET + 60, "nd");
  for (const address of addresses.filter((one) => one.includes(":"))) equal(word(address), "take");
  give(0);

  load(LOAD_WORD, NET + 24, "arp");
  const v4 = addresses.filter((one) => !one.includes(":"));
  for (const address of v4) equal(word(address), "take");
  load(LOAD_WORD, NET + 14);
  for (const address of v4) equal(word(address), "take");
  give(0, "drop");
  give(SNAP_BYTES, "take");
  return assemble(steps);
}

/** Lets pass what resets or refuses a connection of TCP. */
export function resetFilter(): Uint8Array<ArrayBuffer> {
  return assemble([
    { code: LOAD_HALF, k: PROTOCOL },
    { code: JUMP_EQUAL, k: 0x0800, yes: "ip" },
    { code: JUMP_EQUAL, k: 0x86dd, no: "drop" },
    { code: LOAD_BYTE, k: NET + 6 },
    { code: JUMP_EQUAL, k: 6, no: "drop" },
    { code: LOAD_BYTE, k: NET + 40 + 13 },
    { code: JUMP_SET, k: RST, yes: "take", no: "drop" },
    { code: LOAD_BYTE, k: NET + 9, label: "ip" },
    { code: JUMP_EQUAL, k: 6, no: "drop" },
    { code: LOAD_BYTE, k: NET + 20 + 13 },
    { code: JUMP_SET, k: RST, yes: "take" },
    { code: RETURN, k: 0, label: "drop" },
    { code: RETURN, k: SNAP_BYTES, label: "take" },
  ]);
}

/** The last four bytes of an address. */
function word(address: string): number {
  const bytes = addressBytes(address).slice(-4);
  return new DataView(bytes.buffer).getUint32(0);
}

/** struct sock_filter, one after another; jumps go forward only. */
function assemble(steps: readonly Step[]): Uint8Array<ArrayBuffer> {
  const labels = new Map(steps.flatMap(({ label }, i) => label === undefined ? [] : [[label, i]]));
  const bytes = new Uint8Array(steps.length * 8);
  const view = new DataView(bytes.buffer);
  steps.forEach(({ code, k, yes, no, skip }, i) => {
    const distance = (label?: string) => label === undefined ? 0 : labels.get(label)! - i - 1;
    view.setUint16(i * 8, code, true);
    if ([JUMP_EQUAL, JUMP_LEAST, JUMP_ABOVE, JUMP_SET].includes(code)) {
      bytes[i * 8 + 2] = distance(yes);
      bytes[i * 8 + 3] = skip ?? distance(no);
    }
    view.setUint32(i * 8 + 4, k >>> 0, true);
  });
  return bytes;
}
