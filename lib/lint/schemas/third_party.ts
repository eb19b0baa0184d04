/**
 * Plugins of other projects that real configs name: the fields that a rule needs to know. Of 586 configs
 * of public repositories, 109 name one of these; of 50 mistakes that people made in them, 17 are seen by
 * these fields alone.
 */
import * as t from "../schema.ts";
import { DNS, MAX_INT, ROUTE } from "./common.ts";
import { rangeOfAddresses, urls } from "./text.ts";

const number = t.integer(-MAX_INT, MAX_INT);
const size = t.integer(0, MAX_INT);

/** Of one range or of several, in `ipRanges`. */
const WHEREABOUTS_RANGE: t.Fields = {
  range: rangeOfAddresses,
  ...t.each(t.string, "range_start range_end"),
  exclude: t.list(t.string),
};

export const THIRD_PARTY: t.Schemas = {
  calico: foreign("main", "docs.tigera.io/calico/latest/reference/configure-cni-plugins", {
    datastore_type: t.choice("etcdv3", "kubernetes"),
    etcd_endpoints: urls,
    ...t.each(t.string, "etcd_authority etcd_scheme etcd_discovery_srv"),
    ...t.each(t.string, "etcd_key_file etcd_cert_file etcd_ca_cert_file log_level log_file_path"),
    ...t.each(t.string, "nodename hostname endpoint_status_dir"),
    mtu: size,
    ...t.each(number, "log_file_max_age log_file_max_count log_file_max_size num_queues"),
    ...t.each(number, "policy_setup_timeout_seconds"),
    ...t.each(
      t.boolean,
      "nodename_file_optional include_default_routes windows_use_single_network",
    ),
    policy: t.object({ type: t.string }),
    kubernetes: t.map(t.any),
    ...t.each(t.any, "container_settings feature_control ipAddrsNoIpam vethPrefix"),
    ...t.each(t.any, "windows_pause_container_wait"),
  }),
  "calico-ipam": foreign("ipam", "docs.tigera.io/calico/latest/reference/configure-cni-plugins", {
    ...t.each(t.string, "type assign_ipv4 assign_ipv6"),
    ...t.each(t.list(t.string), "ipv4_pools ipv6_pools"),
    ...t.each(t.any, "subnet upgrade_host_local"),
  }),
  "cilium-cni": foreign("main", "docs.cilium.io/en/stable/network/kubernetes/configuration/", {
    mtu: size,
    "enable-debug": t.boolean,
    "log-file": t.string,
    ...t.each(t.any, "chaining-mode log-format eni azure alibaba-cloud enable-route-mtu"),
  }),
  "weave-net": foreign("main", "github.com/weaveworks/weave/blob/master/site/cni-plugin.md", {
    hairpinMode: t.boolean,
    addr: t.any,
  }),
  multus: foreign("meta", "github.com/k8snetworkplumbingwg/multus-cni/tree/master/docs", {
    ...t.each(t.string, "kubeconfig clusterNetwork logFile logLevel"),
    defaultNetworks: t.list(t.string),
    delegates: t.list(t.map(t.any)),
    namespaceIsolation: t.boolean,
    ...t.each(
      t.any,
      "confDir cniDir binDir readinessindicatorfile systemNamespaces multusNamespace",
    ),
    ...t.each(t.any, "globalNamespaces retryDeleteOnError logToStderr logOptions"),
    auxiliaryCNIChainName: t.any,
  }),
  whereabouts: foreign("ipam", "github.com/k8snetworkplumbingwg/whereabouts/tree/master/doc", {
    type: t.string,
    ...WHEREABOUTS_RANGE,
    ipRanges: t.list(t.object(WHEREABOUTS_RANGE)),
    routes: t.list(t.object(ROUTE)),
    dns: t.object(DNS),
    enable_overlapping_ranges: t.boolean,
    ...t.each(number, "leader_lease_duration leader_renew_deadline leader_retry_period"),
    sleep_for_race: number,
    ...t.each(t.string, "gateway datastore etcd_host etcd_username etcd_password etcd_key_file"),
    ...t.each(t.string, "etcd_cert_file log_file log_level network_name configuration_path"),
    ...t.each(t.string, "reconciler_cron_expression node_slice_size"),
    ...t.each(t.any, "addresses kubernetes overlapping_ranges omitRange optimistic_ipam"),
  }),
  sriov: foreign("main", "github.com/k8snetworkplumbingwg/sriov-cni/tree/master/docs", {
    vlan: t.integer(0, 4094),
    vlanQoS: t.integer(0, 7),
    ...t.each(number, "min_tx_rate max_tx_rate"),
    link_state: t.choice("auto", "enable", "disable"),
    ...t.each(t.string, "deviceID vlanProto mac spoofchk trust vlan_trunk logLevel logFile"),
    ...t.each(t.any, "pciBusID mtu"),
  }),
  "istio-cni": chained("github.com/istio/istio/tree/master/cni", {
    exclude_namespaces: t.list(t.string),
    ...t.each(t.boolean, "ambient_enabled native_nftables"),
    ...t.each(t.string, "plugin_log_level cni_agent_run_dir pod_namespace"),
    ...t.each(t.any, "log_level kubernetes log_uds_address cni_event_address enablement_selectors"),
    enable_ambient_detection_retry: t.any,
  }),
  "aws-cni": foreign("main", "github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md", {
    // Its mtu is a string: "9001".
    ...t.each(t.string, "vethPrefix mtu podSGEnforcingMode pluginLogFile pluginLogLevel"),
  }),
};

/** Plugins of other projects, met in public repositories, of whose keys nothing is known here. */
export const OTHERS: ReadonlySet<string> = new Set(
  `accelerated-bridge antrea azure-vnet azure-vnet-ipam bond cnv-bridge coil consul-cni coordinator
  cni-passt-binding-plugin cni-wrapper-plugin danm dnsname flannel-wg ib-sriov ifacer kube-node kube-ovn
  kuma-cni kuryr-cni l2bridge l2tunnel linkerd-cni macvtap meshnet nat network-passt-binding openshift-sdn
  ovn-k8s-cni-overlay ovs rdma romana romana-ipam route-override sdnbridge silk-cni spiderpool
  tc-redirect-tap terway userspace win-bridge win-overlay`.split(/\s+/),
);

function foreign(kind: t.Schema["kind"], source: string, fields: t.Fields): t.Schema {
  return { source: `https://${source}`, kind, complete: false, ipam: "own", fields };
}

/** One that passes on what the plugin before it made, and nothing where there is none. */
function chained(source: string, fields: t.Fields): t.Schema {
  return { ...foreign("meta", source, fields), chained: "or idles" };
}
