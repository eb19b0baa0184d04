/** The bridge plugin's config, read once. */
import { isInterfaceName } from "../../lib/cni/config.ts";
import { readCniArgs } from "../shared/cni_args.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { ipamType } from "../shared/ipam.ts";
import { readMac } from "../shared/mac.ts";
import type { Call } from "../shared/standard_plugin.ts";

export type BridgeConfig = ReturnType<typeof readBridgeConfig>;

const LAST_VLAN = 4094;

/** @throws {CniError} */
export function readBridgeConfig(call: Call) {
  const { config, invocation } = call;
  const { MAC } = readCniArgs(invocation.args, ["MAC"]);
  const mac = config.object("runtimeConfig")?.text("mac") ||
    config.object("args")?.object("cni")?.text("mac") || MAC;
  const mtu = config.integer("mtu") ?? 0;
  const isDefaultGateway = config.flag("isDefaultGateway");
  const read = {
    bridge: readBridgeName(call),
    isGateway: config.flag("isGateway") || isDefaultGateway,
    isDefaultGateway,
    forceAddress: config.flag("forceAddress"),
    ipMasq: config.flag("ipMasq"),
    /** In bytes; undefined: the kernel's choice. */
    mtu: mtu > 0 ? mtu : undefined,
    hairpin: config.flag("hairpinMode"),
    promiscuous: config.flag("promiscMode"),
    /** The container's untagged VLAN. */
    vlan: config.integerFrom("vlan", 0, LAST_VLAN) || undefined,
    /** Whether VLANs are filtered though the container has none. */
    hasTrunk: config.has("vlanTrunk"),
    /** VLANs that the container gets tagged, in order. */
    trunk: readTrunk(call),
    preserveDefaultVlan: config.flag("preserveDefaultVlan"),
    macSpoofCheck: config.flag("macspoofchk"),
    /** Duplicate address detection. */
    dad: config.flag("enabledad"),
    /** Whether the container's end does without IPv6, and so sends none of its multicast. */
    disableIpv6: config.flag("disableIPv6"),
    /** Whether the container's end stays down and without addresses. */
    disableContainerInterface: config.flag("disableContainerInterface"),
    portIsolation: config.flag("portIsolation"),
    /** The hardware address that somebody asks for. */
    mac: mac ? readMac(mac) : undefined,
    /** Type of the IPAM plugin; undefined: no addresses. */
    ipam: ipamType(call),
  };
  if (read.disableContainerInterface && read.ipam !== undefined) {
    throw wrong("disableContainerInterface and ipam exclude each other: take one out");
  }
  if (read.hairpin && read.promiscuous) {
    throw wrong("hairpinMode and promiscMode exclude each other: take one out");
  }
  return read;
}

function readBridgeName({ config }: Call): string {
  const name = config.text("bridge") ?? "cni0";
  return isInterfaceName(name) ? name : config.fail("bridge", "the name of an interface");
}

function readTrunk({ config }: Call): number[] {
  const ids = new Set<number>();
  for (const entry of config.objects("vlanTrunk")) {
    const first = entry.integerFrom("minID", 1, LAST_VLAN);
    const last = entry.integerFrom("maxID", 1, LAST_VLAN);
    const id = entry.integerFrom("id", 1, LAST_VLAN);
    if ((first === undefined) !== (last === undefined)) {
      throw wrong(`${entry.where} has one of minID and maxID; it must have both or none`);
    }
    if (first !== undefined && last! < first) entry.fail("maxID", "not less than minID");
    for (let id = first ?? 1; id <= (last ?? 0); id++) ids.add(id);
    if (id !== undefined) ids.add(id);
  }
  return [...ids].sort((a, b) => a - b);
}
