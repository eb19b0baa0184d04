/** Plugins of other projects: only the fields that a rule needs to know are told apart. */
import { any, boolean, integer, list, map, object, type Schema, string } from "../schema.ts";
import { MAX_INT } from "./common.ts";

export const THIRD_PARTY: Readonly<Record<string, Schema>> = {
  calico: {
    source: "https://docs.tigera.io/calico/latest/reference/configure-cni-plugins",
    kind: "main",
    complete: false,
    ipam: "own",
    fields: {
      datastore_type: string,
      etcd_endpoints: string,
      etcd_authority: string,
      etcd_scheme: string,
      etcd_discovery_srv: string,
      etcd_key_file: string,
      etcd_cert_file: string,
      etcd_ca_cert_file: string,
      log_level: string,
      log_file_path: string,
      mtu: integer(0, MAX_INT),
      nodename: string,
      nodename_file_optional: boolean,
      policy: object({ type: string }),
      kubernetes: map(any),
    },
  },
  "calico-ipam": {
    source: "https://docs.tigera.io/calico/latest/reference/configure-cni-plugins",
    kind: "ipam",
    complete: false,
    ipam: "own",
    fields: {
      type: string,
      assign_ipv4: string,
      assign_ipv6: string,
      ipv4_pools: list(string),
      ipv6_pools: list(string),
    },
  },
  "cilium-cni": {
    source: "https://docs.cilium.io/en/stable/network/kubernetes/configuration/",
    kind: "main",
    complete: false,
    ipam: "own",
    fields: { mtu: integer(0, MAX_INT), "enable-debug": boolean, "log-file": string },
  },
  "weave-net": {
    source: "https://github.com/weaveworks/weave/blob/master/site/kubernetes/kube-addon.md",
    kind: "main",
    complete: false,
    ipam: "own",
    fields: { hairpinMode: boolean },
  },
  "weave-ipam": {
    source: "https://github.com/weaveworks/weave/blob/master/site/cni-plugin.md",
    kind: "ipam",
    complete: false,
    ipam: "own",
    fields: { type: string, subnet: string, ips: list(string) },
  },
  multus: {
    source: "https://github.com/k8snetworkplumbingwg/multus-cni/blob/master/docs/configuration.md",
    kind: "meta",
    complete: false,
    ipam: "own",
    fields: {
      kubeconfig: string,
      clusterNetwork: string,
      defaultNetworks: list(string),
      delegates: list(map(any)),
      logFile: string,
      logLevel: string,
      namespaceIsolation: boolean,
    },
  },
};
