/** Giving addresses to interfaces, and taking them (RTM_NEWADDR, RTM_DELADDR; linux/if_addr.h). */
import { addressText } from "../base/ip.ts";
import { addressFamilyOf } from "../kernel/socket.ts";
import { type Change, changing, making } from "./change.ts";
import { attribute, structure } from "./message.ts";
import { IFA, IFADDRMSG_BYTES, RTM } from "./numbers.ts";

const IFA_F_NODAD = 0x02;

/** An address with the length of its network's prefix. */
export interface InterfaceAddress {
  /** 4 or 16 bytes. */
  bytes: Uint8Array;
  prefixLength: number;
}

/**
 * Gives an interface an address. The kernel's `EEXIST`: it has it.
 *
 * @param isAlone nobody else can have it: of IPv6, the kernel need not look before the address answers
 */
export function addAddress(
  index: number,
  name: string,
  address: InterfaceAddress,
  isAlone = false,
): Change {
  // Of IPv4 there is nothing to leave out, and the flag would only be shown.
  const flags = isAlone && address.bytes.length === 16 ? IFA_F_NODAD : 0;
  return making(RTM.NEWADDR, `add ${show(address)} to ${name}`, [
    ...parts(index, address, flags),
    ...broadcast(address),
  ]);
}

/** Takes an address off an interface. The kernel's `EADDRNOTAVAIL`: it does not have it. */
export function deleteAddress(index: number, name: string, address: InterfaceAddress): Change {
  return changing(RTM.DELADDR, `take ${show(address)} off ${name}`, parts(index, address));
}

function parts(index: number, { bytes, prefixLength }: InterfaceAddress, flags = 0): Uint8Array[] {
  const family = addressFamilyOf(bytes);
  return [
    structure(IFADDRMSG_BYTES, [0, family, 1], [1, prefixLength, 1], [2, flags, 1], [4, index, 4]),
    attribute(IFA.LOCAL, bytes),
    attribute(IFA.ADDRESS, bytes),
  ];
}

/** The last address of an IPv4 network that is large enough to have one (RFC 3021). */
function broadcast({ bytes, prefixLength }: InterfaceAddress): Uint8Array[] {
  if (bytes.length !== 4 || prefixLength > 30) return [];
  const last = bytes.map((byte, i) => {
    const bits = Math.min(8, Math.max(0, prefixLength - i * 8));
    return byte | (0xff >> bits);
  });
  return [attribute(IFA.BROADCAST, last)];
}

const show = ({ bytes, prefixLength }: InterfaceAddress) => `${addressText(bytes)}/${prefixLength}`;
