/**
 * Plugins that make an interface. Facts from https://www.cni.dev/plugins/current/main/ and from
 * the configs that containernetworking/plugins 1.1 to 1.10 decode.
 */
import {
  any,
  boolean,
  choice,
  integer,
  list,
  map,
  object,
  type Schema,
  string,
} from "../schema.ts";
import { MTU, VETH_MTU } from "./common.ts";
import { bridgeName, interfaceName, mac } from "./text.ts";

const DOCS = "https://www.cni.dev/plugins/current/main/";
const MASQUERADE = choice("iptables", "nftables");
const VLAN_ID = integer(1, 4094, true);

export const MAIN: Readonly<Record<string, Schema>> = {
  bridge: {
    source: DOCS + "bridge/",
    kind: "main",
    complete: true,
    ipam: "optional",
    fields: {
      bridge: bridgeName,
      isGateway: boolean,
      isDefaultGateway: boolean,
      forceAddress: boolean,
      ipMasq: boolean,
      ipMasqBackend: MASQUERADE,
      mtu: VETH_MTU,
      hairpinMode: boolean,
      promiscMode: boolean,
      vlan: VLAN_ID,
      vlanTrunk: list(object({
        minID: integer(1, 4094),
        maxID: integer(1, 4094),
        id: integer(1, 4094),
      })),
      preserveDefaultVlan: boolean,
      macspoofchk: boolean,
      enabledad: boolean,
      disableContainerInterface: boolean,
      portIsolation: boolean,
    },
  },
  ptp: {
    source: DOCS + "ptp/",
    kind: "main",
    complete: true,
    ipam: "required",
    fields: { ipMasq: boolean, ipMasqBackend: MASQUERADE, mtu: VETH_MTU },
  },
  macvlan: {
    source: DOCS + "macvlan/",
    kind: "main",
    complete: true,
    ipam: "optional",
    fields: {
      master: interfaceName,
      mode: choice("bridge", "private", "vepa", "passthru"),
      mtu: MTU,
      mac,
      linkInContainer: boolean,
      bcqueuelen: integer(0, 0xffffffff),
    },
  },
  ipvlan: {
    source: DOCS + "ipvlan/",
    kind: "main",
    complete: true,
    ipam: "required",
    fields: {
      master: interfaceName,
      mode: choice("l2", "l3", "l3s"),
      mtu: MTU,
      linkInContainer: boolean,
    },
  },
  vlan: {
    source: DOCS + "vlan/",
    kind: "main",
    complete: true,
    ipam: "required",
    ipamOptionalSince: "1.10.0",
    required: ["master"],
    fields: {
      master: interfaceName,
      vlanId: integer(0, 4094),
      mtu: MTU,
      linkInContainer: boolean,
    },
  },
  "host-device": {
    source: DOCS + "host-device/",
    kind: "main",
    complete: true,
    ipam: "optional",
    fields: {
      device: interfaceName,
      hwaddr: mac,
      kernelpath: string,
      pciBusID: string,
      DPDKMode: boolean,
      useInterfaceNetwork: boolean,
    },
  },
  loopback: {
    source: "https://github.com/containernetworking/plugins/tree/main/plugins/main/loopback",
    kind: "main",
    complete: true,
    ipam: "optional",
    fields: {},
  },
  dummy: {
    source: DOCS + "dummy/",
    kind: "main",
    complete: true,
    ipam: "required",
    fields: {},
  },
  tap: {
    source: DOCS + "tap/",
    kind: "main",
    complete: true,
    ipam: "optional",
    fields: {
      multiQueue: boolean,
      mtu: MTU,
      mac,
      owner: integer(0, 0xffffffff),
      group: integer(0, 0xffffffff),
      selinuxContext: string,
      selinuxcontext: string,
      bridge: interfaceName,
    },
  },
  "mesos-cni-port-mapper": {
    source:
      "https://mesos.apache.org/documentation/latest/cni/#a-port-mapper-plugin-for-cni-networks",
    kind: "main",
    complete: true,
    ipam: "own",
    fields: {
      // What a chain and a device may be called is a matter of the port mapper's rules.
      chain: string,
      backend: choice("iptables", "nftables"),
      snat: boolean,
      excludeDevices: list(string),
      allowHostPorts: boolean,
      delegate: map(any),
    },
  },
};
