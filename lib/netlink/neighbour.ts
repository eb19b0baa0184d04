/** Neighbours: which hardware address an IP address has (RTM_NEWNEIGH, linux/neighbour.h). */
import { AF_INET, AF_INET6 } from "../kernel/socket.ts";
import { hexPairs } from "./link.ts";
import { type Message, opened } from "./message.ts";
import { NDA, NDMSG_BYTES } from "./numbers.ts";

/** An entry of the ARP or neighbour-discovery cache. */
export type Neighbour = NonNullable<ReturnType<typeof decodeNeighbour>>;

const NTF_PROXY = 0x08;
const NTF_ROUTER = 0x80;

const STATES: Readonly<Record<number, string>> = {
  0x00: "NONE",
  0x01: "INCOMPLETE",
  0x02: "REACHABLE",
  0x04: "STALE",
  0x08: "DELAY",
  0x10: "PROBE",
  0x20: "FAILED",
  0x40: "NOARP",
  0x80: "PERMANENT",
};

/**
 * Decodes a message RTM_NEWNEIGH (struct ndmsg and attributes); undefined for an entry of
 * another kind, such as a bridge's forwarding table.
 */
export function decodeNeighbour(message: Message) {
  const [header, attributes] = opened(message.body, NDMSG_BYTES);
  if (![AF_INET, AF_INET6].includes(header.getUint8(0))) return undefined;
  const address = attributes.address(NDA.DST);
  if (address === undefined) return undefined;
  const mac = attributes.bytes(NDA.LLADDR);
  const state = header.getUint16(8, true);
  const flags = header.getUint8(10);
  return {
    /** Index of the interface. */
    link: header.getInt32(4, true),
    address,
    mac: mac && hexPairs(mac),
    /** `REACHABLE`, `STALE`, `FAILED`, `PERMANENT`, … */
    state: STATES[state] ?? `0x${state.toString(16)}`,
    router: (flags & NTF_ROUTER) !== 0,
    proxy: (flags & NTF_PROXY) !== 0,
  };
}
