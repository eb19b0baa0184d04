/**
 * Whether a text is an IP address or prefix, and of which family: what results and routes need,
 * without loading a library on a plugin's path (ipaddr.js is for arithmetic elsewhere).
 */

export type Family = 4 | 6;

const OCTET = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = new RegExp(`^${OCTET}(?:\\.${OCTET}){3}$`);
const GROUP = /^[0-9a-fA-F]{1,4}$/;

/** The family of an address without prefix length; undefined if it is none. */
export function familyOf(address: string): Family | undefined {
  if (IPV4.test(address)) return 4;
  return isIpv6(address) ? 6 : undefined;
}

/** The family of an address in CIDR notation (`10.0.0.1/8`); undefined if it is none. */
export function familyOfCidr(cidr: string): Family | undefined {
  const [address, length, ...more] = cidr.split("/");
  if (address === undefined || length === undefined || more.length > 0) return undefined;
  const family = familyOf(address);
  const longest = family === 4 ? 32 : 128;
  return /^(?:0|[1-9]\d{0,2})$/.test(length) && Number(length) <= longest ? family : undefined;
}

/** RFC 4291, section 2.2: eight groups, of which "::" may stand for some; the last two may be dotted. */
function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const [head, tail] = halves.map((half) => half === "" ? [] : half.split(":"));
  const groups = [...head!, ...(tail ?? [])];
  const last = (tail ?? head)!.at(-1);
  const dotted = last !== undefined && IPV4.test(last);
  if (dotted) groups.pop();
  const count = groups.length + (dotted ? 2 : 0);
  return groups.every((group) => GROUP.test(group)) && (tail ? count < 8 : count === 8);
}
