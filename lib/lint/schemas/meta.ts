/**
 * Plugins that work on an interface of another plugin. Facts from
 * https://www.cni.dev/plugins/current/meta/ and from the configs that containernetworking/plugins
 * 1.1 to 1.10 decode.
 */
import * as t from "../schema.ts";
import { MAX_INT, MTU } from "./common.ts";
import { interfaceName, mac } from "./text.ts";

const MAPPING: t.Fields = {
  ...t.each(t.integer(1, 65535), "hostPort containerPort"),
  ...t.each(t.string, "protocol hostIP"),
};

const RATES: t.Fields = {
  ...t.each(t.integer(0, MAX_INT), "ingressRate egressRate"),
  // In bits; the kernel's burst is 32 bits of bytes.
  ...t.each(t.integer(0, 8 * 0xffffffff - 1), "ingressBurst egressBurst"),
};

export const META: t.Schemas = {
  portmap: chained({
    backend: t.choice("iptables", "nftables"),
    ...t.each(t.boolean, "snat masqAll"),
    ...t.each(t.list(t.string), "conditionsV4 conditionsV6"),
    markMasqBit: t.integer(0, 31),
    externalSetMarkChain: t.string,
    runtimeConfig: t.object({ portMappings: t.list(t.object(MAPPING)) }),
  }),
  bandwidth: chained({
    ...RATES,
    // On disk, it stays what it is unless a runtime has something to say.
    runtimeConfig: t.object({ bandwidth: t.object(RATES) }),
  }, { since: "0.3.0" }),
  firewall: chained({
    // Any other value means the default: firewalld if it runs, else iptables.
    backend: { kind: "choice", values: ["iptables", "firewalld"], strict: false },
    ...t.each(t.string, "iptablesAdminChainName firewalldZone"),
    ingressPolicy: t.choice("open", "same-bridge", "isolated"),
  }, { since: "0.4.0" }),
  tuning: chained({
    dataDir: t.string,
    sysctl: t.map(t.string),
    mac,
    ...t.each(t.boolean, "promisc allmulti"),
    mtu: MTU,
    txQLen: t.integer(0, 0x7fffffff),
  }),
  sbr: chained({
    table: t.integer(0, 0x7fffffff),
    gateways: t.list(t.string),
    addSourceHints: t.boolean,
  }),
  vrf: chained({ vrfname: interfaceName, table: t.integer(0, 0xffffffff) }, {
    since: "0.3.1",
    required: ["vrfname"],
  }),
  flannel: t.standard("meta", "own", {
    ...t.each(t.string, "subnetFile dataDir"),
    delegate: t.map(t.any),
    runtimeConfig: t.any,
  }, { source: "https://github.com/flannel-io/cni-plugin#readme" }),
};

function chained(fields: t.Fields, more: Partial<t.Schema> = {}): t.Schema {
  return t.standard("meta", "own", fields, { chained: "or fails", ...more });
}
