/**
 * Plugins that work on an interface of another plugin. Facts from
 * https://www.cni.dev/plugins/current/meta/ and from the configs that containernetworking/plugins
 * 1.1 to 1.10 decode.
 */
import {
  any,
  boolean,
  choice,
  type Fields,
  integer,
  list,
  map,
  object,
  type Schema,
  string,
} from "../schema.ts";
import { MAX_INT, MTU } from "./common.ts";
import { interfaceName, mac } from "./text.ts";

const DOCS = "https://www.cni.dev/plugins/current/meta/";

const MAPPING: Fields = {
  hostPort: integer(1, 65535),
  containerPort: integer(1, 65535),
  protocol: string,
  hostIP: string,
};

const RATES: Fields = {
  ingressRate: integer(0, MAX_INT),
  // In bits; the kernel's burst is 32 bits of bytes.
  ingressBurst: integer(0, 8 * 0xffffffff - 1),
  egressRate: integer(0, MAX_INT),
  egressBurst: integer(0, 8 * 0xffffffff - 1),
};

export const META: Readonly<Record<string, Schema>> = {
  portmap: {
    source: DOCS + "portmap/",
    kind: "meta",
    complete: true,
    ipam: "own",
    chained: "or fails",
    fields: {
      backend: choice("iptables", "nftables"),
      snat: boolean,
      conditionsV4: list(string),
      conditionsV6: list(string),
      masqAll: boolean,
      markMasqBit: integer(0, 31),
      externalSetMarkChain: string,
      runtimeConfig: object({ portMappings: list(object(MAPPING)) }),
    },
  },
  bandwidth: {
    source: DOCS + "bandwidth/",
    kind: "meta",
    complete: true,
    ipam: "own",
    chained: "or fails",
    since: "0.3.0",
    fields: {
      ...RATES,
      // On disk, it stays what it is unless a runtime has something to say.
      runtimeConfig: object({ bandwidth: object(RATES) }),
    },
  },
  firewall: {
    source: DOCS + "firewall/",
    kind: "meta",
    complete: true,
    ipam: "own",
    chained: "or fails",
    since: "0.4.0",
    fields: {
      // Any other value means the default: firewalld if it runs, else iptables.
      backend: { kind: "choice", values: ["iptables", "firewalld"], strict: false },
      iptablesAdminChainName: string,
      firewalldZone: string,
      ingressPolicy: choice("open", "same-bridge", "isolated"),
    },
  },
  tuning: {
    source: DOCS + "tuning/",
    kind: "meta",
    complete: true,
    ipam: "own",
    chained: "or fails",
    fields: {
      dataDir: string,
      sysctl: map(string),
      mac,
      promisc: boolean,
      mtu: MTU,
      txQLen: integer(0, 0x7fffffff),
      allmulti: boolean,
    },
  },
  sbr: {
    source: DOCS + "sbr/",
    kind: "meta",
    complete: true,
    ipam: "own",
    chained: "or fails",
    fields: {
      table: integer(0, 0x7fffffff),
      gateways: list(string),
      addSourceHints: boolean,
    },
  },
  vrf: {
    source: DOCS + "vrf/",
    kind: "meta",
    complete: true,
    ipam: "own",
    chained: "or fails",
    since: "0.3.1",
    required: ["vrfname"],
    fields: { vrfname: interfaceName, table: integer(0, 0xffffffff) },
  },
  flannel: {
    source: "https://github.com/flannel-io/cni-plugin#readme",
    kind: "meta",
    complete: true,
    ipam: "own",
    fields: {
      subnetFile: string,
      dataDir: string,
      delegate: map(any),
      runtimeConfig: any,
    },
  },
};
