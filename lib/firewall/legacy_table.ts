/** What the kernel itself tells of iptables' tables of the legacy kind, where their program is gone. */
import type { Family } from "../base/ip.ts";
import { holdsAny } from "../kernel/memory.ts";
import { AF_INET, AF_INET6, askOption, SOCK_DGRAM, Socket } from "../kernel/socket.ts";
import { legacyTables } from "./tool.ts";

/** SOL_IP and SOL_IPV6; the options are the same (linux/netfilter_ipv4/ip_tables.h). */
const LEVELS = { 4: 0, 6: 41 } as const;
const IPT_SO_GET_INFO = 64;
const IPT_SO_GET_ENTRIES = 65;
/** struct ipt_getinfo, whose last number is the size of all entries; and what is before them. */
const INFO_BYTES = 84;
const SIZE_IN_INFO = 80;
const HEAD_BYTES = 40;
const SIZE_IN_HEAD = 32;

/** Whether there is a rule that holds one of these: a comment, a chain, an address. @throws {SystemError} */
export function legacyHolds(family: Family, marks: readonly Uint8Array[]): boolean {
  using socket = Socket.open(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
  return legacyTables(family).some((table) => {
    const name = new TextEncoder().encode(table);
    const info = new Uint8Array(INFO_BYTES);
    info.set(name);
    askOption(socket.fd, LEVELS[family], IPT_SO_GET_INFO, info);
    const size = new DataView(info.buffer).getUint32(SIZE_IN_INFO, true);
    const entries = new Uint8Array(HEAD_BYTES + size);
    entries.set(name);
    new DataView(entries.buffer).setUint32(SIZE_IN_HEAD, size, true);
    askOption(socket.fd, LEVELS[family], IPT_SO_GET_ENTRIES, entries);
    return holdsAny(marks)(entries.subarray(HEAD_BYTES));
  });
}
