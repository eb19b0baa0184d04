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

/** File names of other plugins that are in use, of which no field is known. */
export const OTHER_TYPES: readonly string[] = [
  ..."accelerated-bridge antrea aws-bridge aws-cni azure-cns azure-ipam azure-vnet azure-vnet-ipam"
    .split(" "),
  ..."azure-vnet-telemetry bond calico-python canal cilium coil consul-cni contivk8s coordinator"
    .split(" "),
  ..."danm dcos-l4lb dnsname ecs-bridge ecs-eni ecs-ipam ecs-serviceconnect egress-cni".split(" "),
  ..."egress-v4-cni egress-v6-cni fabric galaxy-bridge galaxy-flannel galaxy-k8s-vlan galaxy-sdn"
    .split(" "),
  ..."galaxy-underlay-veth galaxy-veth genie gke hybridnet ib-sriov istio-cni k8s-vlan".split(" "),
  ..."kindnet kube-ovn kube-router kuma-cni l2bridge linkerd-cni loopback-calico lxd".split(" "),
  ..."minuteman multus-shim nat netavark nuage-cni-k8s nuage-cni-mesos opflex-agent-cni".split(" "),
  ..."opflex-agent-cni-ipam openshift-sdn ovn-k8s-cni-overlay ovs ovs-cni ovs-mirror-consumer"
    .split(" "),
  ..."ovs-mirror-producer rdma romana romana-ipam route-override sdnbridge spiderpool spire".split(
    " ",
  ),
  ..."sriov sriov-cni tc-redirect-tap terway terway-plugin tungsten-fabric userspace".split(" "),
  ..."vethPlugin vpc-branch-eni vpc-branch-pat-eni vpc-bridge vpc-eni vpc-shared-eni".split(" "),
  ..."vpc-tunnel vrouter weave whereabouts win-bridge win-overlay wincni.exe wireguard".split(" "),
  ..."contrail-k8s-cni cni-ipvlan-vpc-k8s-ipam cni-ipvlan-vpc-k8s-ipvlan vhost-user".split(" "),
  ..."cni-ipvlan-vpc-k8s-unnumbered-ptp cni-nftables-portmap cni-nftables-firewall afxdp".split(
    " ",
  ),
];
