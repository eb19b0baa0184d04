/** The host forwards packets between its interfaces. */
import { writeSysctl } from "../../lib/kernel/sysctl.ts";
import { isV6 } from "./addresses.ts";

/** Turns it on for the families of the addresses; it stays on. @throws {SystemError} */
export function enableForwarding(addresses: Iterable<string>): void {
  const families = new Set(Array.from(addresses, isV6));
  if (families.has(false)) writeSysctl("net/ipv4/ip_forward", "1");
  if (families.has(true)) writeSysctl("net/ipv6/conf/all/forwarding", "1");
}
