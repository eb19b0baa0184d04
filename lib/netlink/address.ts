/** Addresses of interfaces (RTM_NEWADDR, linux/if_addr.h). */
import { AF_INET, AF_INET6 } from "../kernel/socket.ts";
import { type Message, opened } from "./message.ts";
import { scopeName } from "./names.ts";
import { IFA, IFADDRMSG_BYTES } from "./numbers.ts";

/** An address of an interface. */
export type Address = NonNullable<ReturnType<typeof decodeAddress>>;

const FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [0x01, "secondary"],
  [0x02, "nodad"],
  [0x04, "optimistic"],
  [0x08, "dadfailed"],
  [0x10, "homeaddress"],
  [0x20, "deprecated"],
  [0x40, "tentative"],
  [0x80, "permanent"],
  [0x100, "mngtmpaddr"],
  [0x200, "noprefixroute"],
  [0x400, "autojoin"],
  [0x800, "stable-privacy"],
];

/**
 * Decodes a message RTM_NEWADDR (struct ifaddrmsg and attributes); undefined for an address of
 * another family, such as MCTP, of which a container can give its loopback interface one.
 */
export function decodeAddress(message: Message) {
  const [header, attributes] = opened(message.body, IFADDRMSG_BYTES);
  if (![AF_INET, AF_INET6].includes(header.getUint8(0))) return undefined;
  const flags = attributes.u32(IFA.FLAGS) ?? header.getUint8(2);
  const family: "inet" | "inet6" = header.getUint8(0) === AF_INET6 ? "inet6" : "inet";
  // IFA_ADDRESS is the prefix's address: the peer's on a point-to-point link, else the same.
  const peer = attributes.address(IFA.ADDRESS);
  const address = attributes.address(IFA.LOCAL) ?? peer;
  if (address === undefined) return undefined;
  return {
    /** Index of its interface. */
    link: header.getUint32(4, true),
    family,
    /** Without prefix length. */
    address,
    prefixLength: header.getUint8(1),
    /** The other end's address, on a point-to-point link. */
    peer: peer === address ? undefined : peer,
    broadcast: attributes.address(IFA.BROADCAST),
    /** `global`, `link`, `host`, … */
    scope: scopeName(header.getUint8(3)),
    /** `secondary`, `tentative`, `dadfailed`, `permanent`, … */
    flags: FLAGS.filter(([bit]) => flags & bit).map(([, name]) =>
      // The same bit: IPv6 calls a secondary address temporary.
      name === "secondary" && family === "inet6" ? "temporary" : name
    ),
  };
}
