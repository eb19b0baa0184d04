/**
 * Plugins that make an interface. Facts from https://www.cni.dev/plugins/current/main/ and from
 * the configs that containernetworking/plugins 1.1 to 1.10 decode.
 */
import * as t from "../schema.ts";
import { MTU, VETH_MTU } from "./common.ts";
import { bridgeName, chain, device, interfaceName, mac } from "./text.ts";

const MASQUERADE = t.choice("iptables", "nftables");
const ON_MASTER = { master: interfaceName, mtu: MTU, linkInContainer: t.boolean };
const TRUNK = t.object({
  minID: t.integer(1, 4094),
  maxID: t.integer(1, 4094),
  id: t.integer(1, 4094),
});

export const MAIN: t.Schemas = {
  bridge: t.standard("main", "optional", {
    bridge: bridgeName,
    ...t.each(t.boolean, "isGateway isDefaultGateway forceAddress ipMasq hairpinMode promiscMode"),
    ...t.each(t.boolean, "preserveDefaultVlan macspoofchk enabledad disableContainerInterface"),
    ...t.each(t.boolean, "portIsolation disableIPv6"),
    ipMasqBackend: MASQUERADE,
    mtu: VETH_MTU,
    vlan: t.integer(1, 4094, true),
    vlanTrunk: t.list(TRUNK),
  }),
  ptp: t.standard("main", "required", {
    ipMasq: t.boolean,
    ipMasqBackend: MASQUERADE,
    mtu: VETH_MTU,
  }),
  macvlan: t.standard("main", "optional", {
    ...ON_MASTER,
    mode: t.choice("bridge", "private", "vepa", "passthru"),
    mac,
    bcqueuelen: t.integer(0, 0xffffffff),
  }),
  ipvlan: t.standard("main", "required", { ...ON_MASTER, mode: t.choice("l2", "l3", "l3s") }),
  vlan: t.standard("main", "required", { ...ON_MASTER, vlanId: t.integer(0, 4094) }, {
    ipamOptionalSince: "1.10.0",
    required: ["master"],
  }),
  "host-device": t.standard("main", "optional", {
    device: interfaceName,
    hwaddr: mac,
    ...t.each(t.string, "kernelpath pciBusID"),
    ...t.each(t.boolean, "DPDKMode useInterfaceNetwork"),
  }),
  loopback: t.standard("main", "optional", {}),
  dummy: t.standard("main", "required", {}),
  tap: t.standard("main", "optional", {
    multiQueue: t.boolean,
    mtu: MTU,
    mac,
    ...t.each(t.integer(0, 0xffffffff), "owner group"),
    ...t.each(t.string, "selinuxContext selinuxcontext"),
    bridge: interfaceName,
  }),
  "mesos-cni-port-mapper": t.standard("main", "own", {
    chain,
    backend: MASQUERADE,
    ...t.each(t.boolean, "snat allowHostPorts"),
    excludeDevices: t.list(device),
    delegate: t.map(t.any),
  }, {
    required: ["chain"],
    source:
      "https://mesos.apache.org/documentation/latest/cni/#a-port-mapper-plugin-for-cni-networks",
  }),
};
