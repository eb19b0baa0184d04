/** Settings of the ports of a bridge, and their VLANs (linux/if_bridge.h, linux/if_link.h). */
import { type Change, changing } from "./change.ts";
import { attribute, nested, structure, u16, u8 } from "./message.ts";
import { IFINFOMSG_BYTES, IFLA, RTM } from "./numbers.ts";

const AF_BRIDGE = 7;
const BRIDGE_FLAGS_MASTER = 1;
const BRIDGE_VLAN_INFO_PVID = 1 << 1;
const BRIDGE_VLAN_INFO_UNTAGGED = 1 << 2;

export interface PortSettings {
  /** Whether frames may go back by the port that they came in by. */
  hairpin?: boolean;
  /** Whether frames of isolated ports are kept from this one. */
  isolated?: boolean;
}

/**
 * Changes how a bridge treats a port. The kernel's `EINVAL` or `EOPNOTSUPP`: it is no port of a
 * bridge.
 *
 * @param index of the interface that is the port
 */
export function setPort(index: number, { hairpin, isolated }: PortSettings): Change {
  const flag = (type: number, on?: boolean) => on === undefined ? [] : [attribute(type, u8(+on))];
  return changing(RTM.SETLINK, `change the bridge's port ${index}`, [
    header(index),
    nested(IFLA.PROTINFO, [
      ...flag(IFLA.BRPORT_MODE, hairpin),
      ...flag(IFLA.BRPORT_ISOLATED, isolated),
    ]),
  ]);
}

/** Lets a port carry a VLAN; `native`: as its untagged one (`pvid untagged` of `bridge vlan`). */
export function addPortVlan(index: number, id: number, native: boolean): Change {
  const flags = native ? BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED : 0;
  return vlanChange(RTM.SETLINK, index, id, flags, `add VLAN ${id} to the bridge's port ${index}`);
}

/** Keeps a VLAN from a port, if it has it. */
export function deletePortVlan(index: number, id: number): Change {
  const what = `take VLAN ${id} off the bridge's port ${index}`;
  return { ...vlanChange(RTM.DELLINK, index, id, 0, what), unless: "ENOENT" };
}

function vlanChange(type: number, index: number, id: number, flags: number, what: string): Change {
  return changing(type, what, [
    header(index),
    nested(IFLA.AF_SPEC, [
      attribute(IFLA.BRIDGE_FLAGS, u16(BRIDGE_FLAGS_MASTER)),
      attribute(IFLA.BRIDGE_VLAN_INFO, structure(4, [0, flags, 2], [2, id, 2])),
    ]),
  ]);
}

function header(index: number): Uint8Array {
  return structure(IFINFOMSG_BYTES, [0, AF_BRIDGE, 1], [4, index, 4]);
}
