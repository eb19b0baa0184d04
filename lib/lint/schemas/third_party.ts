/** Plugins of other projects: only the fields that a rule needs to know are told apart. */
import {
  any,
  boolean,
  type Fields,
  integer,
  list,
  map,
  object,
  type Schema,
  string,
} from "../schema.ts";
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
      ...anyOf(
        "container_settings feature_control include_default_routes hostname ipAddrsNoIpam",
        "log_file_max_age log_file_max_count log_file_max_size endpoint_status_dir",
        "policy_setup_timeout_seconds vethPrefix num_queues windows_use_single_network",
        "windows_pause_container_wait",
      ),
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
      ...anyOf("subnet upgrade_host_local"),
    },
  },
  "cilium-cni": {
    source: "https://docs.cilium.io/en/stable/network/kubernetes/configuration/",
    kind: "main",
    complete: false,
    ipam: "own",
    fields: {
      mtu: integer(0, MAX_INT),
      "enable-debug": boolean,
      "log-file": string,
      ...anyOf("chaining-mode log-format eni azure alibaba-cloud enable-route-mtu"),
    },
  },
  "weave-net": {
    source: "https://github.com/weaveworks/weave/blob/master/site/kubernetes/kube-addon.md",
    kind: "main",
    complete: false,
    ipam: "own",
    fields: { hairpinMode: boolean, ...anyOf("addr") },
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
      ...anyOf(
        "confDir cniDir binDir readinessindicatorfile systemNamespaces multusNamespace",
        "globalNamespaces retryDeleteOnError logToStderr logOptions auxiliaryCNIChainName",
      ),
    },
  },
  "multus-shim": other(
    "meta",
    "https://github.com/k8snetworkplumbingwg/multus-cni/blob/master/docs/thick-plugin.md",
    "daemonSocketDir logLevel logFile logToStderr clusterNetwork defaultNetworks",
  ),
  whereabouts: other(
    "ipam",
    "https://github.com/k8snetworkplumbingwg/whereabouts/blob/master/doc/extended-configuration.md",
    "type range range_start range_end exclude ipRanges routes gateway addresses dns datastore",
    "kubernetes etcd_host etcd_username etcd_password etcd_key_file etcd_cert_file log_file",
    "log_level overlapping_ranges enable_overlapping_ranges leader_lease_duration network_name",
    "leader_renew_deadline leader_retry_period configuration_path reconciler_cron_expression",
    "node_slice_size sleep_for_race omitRange optimistic_ipam",
  ),
  sriov: other(
    "main",
    "https://github.com/k8snetworkplumbingwg/sriov-cni/blob/master/docs/configuration-reference.md",
    "deviceID vlan vlanQoS vlanProto mac spoofchk trust link_state min_tx_rate max_tx_rate",
    "logLevel logFile pciBusID mtu",
  ),
  "istio-cni": other(
    "meta",
    "https://github.com/istio/istio/tree/master/cni",
    "log_level plugin_log_level kubernetes log_uds_address cni_event_address cni_agent_run_dir",
    "ambient_enabled exclude_namespaces enablement_selectors pod_namespace native_nftables",
    "enable_ambient_detection_retry",
  ),
  "linkerd-cni": other(
    "meta",
    "https://github.com/linkerd/linkerd2-proxy-init/tree/main/cni-plugin",
    "log_level log-format policy kubernetes linkerd",
  ),
  "aws-cni": other(
    "main",
    "https://github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md",
    "vethPrefix mtu podSGEnforcingMode pluginLogFile pluginLogLevel",
  ),
  "egress-cni": other(
    "meta",
    "https://github.com/aws/amazon-vpc-cni-k8s/tree/master/cmd/egress-cni-plugin",
    "mtu enabled randomizeSNAT nodeIP pluginLogFile pluginLogLevel",
  ),
  "azure-vnet": other(
    "main",
    "https://github.com/Azure/azure-container-networking/blob/master/docs/cni.md",
    "mode master adapterName bridge logLevel logTarget infraVnetAddressSpace ipsToRouteViaHost",
    "podNamespaceForDualNetwork multiTenancy enableSnatOnHost enableExactMatchForPodName",
    "disableHairpinOnHostInterface disableIPTableLock cnsurl executionMode disableAsyncDelete",
    "windowsSettings AdditionalArgs vnetCidrs serviceCidrs snatOnHost",
  ),
  "azure-vnet-ipam": other(
    "ipam",
    "https://github.com/Azure/azure-container-networking/blob/master/docs/ipam.md",
    "type environment queryInterval addrSpace subnet ipAddress mode",
  ),
};

/** A plugin of which no more is known than what its keys are called. */
function other(kind: Schema["kind"], source: string, ...keys: string[]): Schema {
  return { source, kind, complete: false, ipam: "own", fields: anyOf(...keys) };
}

function anyOf(...keys: string[]): Fields {
  return Object.fromEntries(keys.join(" ").split(" ").map((key) => [key, any]));
}

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
  // Named like one of the above, with a letter more or less.
  ..."cnv-bridge cnv-tuning firewalld isolation macvtap route-overwrite veth vxlan".split(" "),
  ..."cni-ipvlan-vpc-k8s-unnumbered-ptp cni-nftables-portmap cni-nftables-firewall afxdp".split(
    " ",
  ),
];
