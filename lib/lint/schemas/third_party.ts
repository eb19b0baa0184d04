/** Plugins of other projects that real configs name: the fields that a rule needs to know. */
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
  type Type,
} from "../schema.ts";
import { DNS, MAX_INT, ROUTE } from "./common.ts";
import { rangeOfAddresses } from "./text.ts";

const number = integer(-MAX_INT, MAX_INT);
const size = integer(0, MAX_INT);

/** Of one range or of several, in `ipRanges`. */
const WHEREABOUTS_RANGE: Fields = {
  range: rangeOfAddresses,
  ...each(string, "range_start range_end"),
  exclude: list(string),
};

export const THIRD_PARTY: Readonly<Record<string, Schema>> = {
  calico: foreign("main", "docs.tigera.io/calico/latest/reference/configure-cni-plugins", {
    ...each(string, "datastore_type etcd_endpoints etcd_authority etcd_scheme etcd_discovery_srv"),
    ...each(string, "etcd_key_file etcd_cert_file etcd_ca_cert_file log_level log_file_path"),
    ...each(string, "nodename hostname endpoint_status_dir"),
    mtu: size,
    ...each(number, "log_file_max_age log_file_max_count log_file_max_size num_queues"),
    ...each(number, "policy_setup_timeout_seconds"),
    ...each(boolean, "nodename_file_optional include_default_routes windows_use_single_network"),
    policy: object({ type: string }),
    kubernetes: map(any),
    ...each(any, "container_settings feature_control ipAddrsNoIpam vethPrefix"),
    ...each(any, "windows_pause_container_wait"),
  }),
  "calico-ipam": foreign("ipam", "docs.tigera.io/calico/latest/reference/configure-cni-plugins", {
    ...each(string, "type assign_ipv4 assign_ipv6"),
    ...each(list(string), "ipv4_pools ipv6_pools"),
    ...each(any, "subnet upgrade_host_local"),
  }),
  "cilium-cni": foreign("main", "docs.cilium.io/en/stable/network/kubernetes/configuration/", {
    mtu: size,
    "enable-debug": boolean,
    "log-file": string,
    ...each(any, "chaining-mode log-format eni azure alibaba-cloud enable-route-mtu"),
  }),
  "weave-net": foreign("main", "github.com/weaveworks/weave/blob/master/site/cni-plugin.md", {
    hairpinMode: boolean,
    addr: any,
  }),
  multus: foreign("meta", "github.com/k8snetworkplumbingwg/multus-cni/tree/master/docs", {
    ...each(string, "kubeconfig clusterNetwork logFile logLevel"),
    defaultNetworks: list(string),
    delegates: list(map(any)),
    namespaceIsolation: boolean,
    ...each(any, "confDir cniDir binDir readinessindicatorfile systemNamespaces multusNamespace"),
    ...each(any, "globalNamespaces retryDeleteOnError logToStderr logOptions"),
    auxiliaryCNIChainName: any,
  }),
  whereabouts: foreign("ipam", "github.com/k8snetworkplumbingwg/whereabouts/tree/master/doc", {
    type: string,
    ...WHEREABOUTS_RANGE,
    ipRanges: list(object(WHEREABOUTS_RANGE)),
    routes: list(object(ROUTE)),
    dns: object(DNS),
    enable_overlapping_ranges: boolean,
    ...each(number, "leader_lease_duration leader_renew_deadline leader_retry_period"),
    sleep_for_race: number,
    ...each(string, "gateway datastore etcd_host etcd_username etcd_password etcd_key_file"),
    ...each(string, "etcd_cert_file log_file log_level network_name configuration_path"),
    ...each(string, "reconciler_cron_expression node_slice_size"),
    ...each(any, "addresses kubernetes overlapping_ranges omitRange optimistic_ipam"),
  }),
  sriov: foreign("main", "github.com/k8snetworkplumbingwg/sriov-cni/tree/master/docs", {
    vlan: integer(0, 4094),
    vlanQoS: integer(0, 7),
    ...each(number, "min_tx_rate max_tx_rate"),
    link_state: choice("auto", "enable", "disable"),
    ...each(string, "deviceID vlanProto mac spoofchk trust vlan_trunk logLevel logFile"),
    ...each(any, "pciBusID mtu"),
  }),
  "istio-cni": chained("github.com/istio/istio/tree/master/cni", {
    exclude_namespaces: list(string),
    ...each(boolean, "ambient_enabled native_nftables"),
    ...each(string, "plugin_log_level cni_agent_run_dir pod_namespace"),
    ...each(any, "log_level kubernetes log_uds_address cni_event_address enablement_selectors"),
    enable_ambient_detection_retry: any,
  }),
  "linkerd-cni": chained("github.com/linkerd/linkerd2-proxy-init/tree/main/cni-plugin", {
    log_level: string,
    linkerd: object({
      ...each(number, "incoming-proxy-port outgoing-proxy-port proxy-uid proxy-gid"),
      "ports-to-redirect": list(number),
      ...each(list(string), "inbound-ports-to-ignore outbound-ports-to-ignore subnets-to-ignore"),
      ...each(boolean, "simulate use-wait-flag ipv6"),
    }),
    ...each(any, "log-format policy kubernetes"),
  }),
  "aws-cni": foreign("main", "github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md", {
    // Its mtu is a string: "9001".
    ...each(string, "vethPrefix mtu podSGEnforcingMode pluginLogFile pluginLogLevel"),
  }),
};

/** Plugins of other projects, met in public repositories, of whose keys nothing is known here. */
export const OTHERS: ReadonlySet<string> = new Set(
  `accelerated-bridge antrea azure-vnet azure-vnet-ipam bond cnv-bridge coil consul-cni coordinator
  cni-passt-binding-plugin cni-wrapper-plugin danm dnsname flannel-wg ib-sriov ifacer kube-node kube-ovn
  kuma-cni kuryr-cni l2bridge l2tunnel macvtap meshnet nat network-passt-binding openshift-sdn
  ovn-k8s-cni-overlay ovs rdma romana romana-ipam route-override sdnbridge silk-cni spiderpool
  tc-redirect-tap terway userspace win-bridge win-overlay`.split(/\s+/),
);

function foreign(kind: Schema["kind"], source: string, fields: Fields): Schema {
  return { source: `https://${source}`, kind, complete: false, ipam: "own", fields };
}

/** One that passes on what the plugin before it made, and nothing where there is none. */
function chained(source: string, fields: Fields): Schema {
  return { ...foreign("meta", source, fields), chained: "or idles" };
}

/** The same type for keys in a row. */
function each(type: Type, keys: string): Fields {
  return Object.fromEntries(keys.split(" ").map((key) => [key, type]));
}
