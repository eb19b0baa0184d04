/** Plugins of other projects: only the fields that a rule needs to know are told apart. */
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

/** Of one range or of several, in `ipRanges`. */
const WHEREABOUTS_RANGE: Fields = {
  range: rangeOfAddresses,
  range_start: string,
  range_end: string,
  exclude: list(string),
};

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
      include_default_routes: boolean,
      hostname: string,
      log_file_max_age: number,
      log_file_max_count: number,
      log_file_max_size: number,
      endpoint_status_dir: string,
      policy_setup_timeout_seconds: number,
      num_queues: number,
      windows_use_single_network: boolean,
      ...anyOf(
        "container_settings feature_control ipAddrsNoIpam vethPrefix windows_pause_container_wait",
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
  whereabouts: {
    source:
      "https://github.com/k8snetworkplumbingwg/whereabouts/blob/master/doc/extended-configuration.md",
    kind: "ipam",
    complete: false,
    ipam: "own",
    fields: {
      type: string,
      ...WHEREABOUTS_RANGE,
      ipRanges: list(object(WHEREABOUTS_RANGE)),
      routes: list(object(ROUTE)),
      gateway: string,
      dns: object(DNS),
      enable_overlapping_ranges: boolean,
      leader_lease_duration: number,
      leader_renew_deadline: number,
      leader_retry_period: number,
      sleep_for_race: number,
      ...strings(
        "datastore etcd_host etcd_username etcd_password etcd_key_file etcd_cert_file log_file",
        "log_level network_name configuration_path reconciler_cron_expression node_slice_size",
      ),
      ...anyOf("addresses kubernetes overlapping_ranges omitRange optimistic_ipam"),
    },
  },
  sriov: {
    source:
      "https://github.com/k8snetworkplumbingwg/sriov-cni/blob/master/docs/configuration-reference.md",
    kind: "main",
    complete: false,
    ipam: "own",
    fields: {
      vlan: integer(0, 4094),
      vlanQoS: integer(0, 7),
      min_tx_rate: number,
      max_tx_rate: number,
      link_state: choice("auto", "enable", "disable"),
      ...strings("deviceID vlanProto mac spoofchk trust vlan_trunk logLevel logFile"),
      ...anyOf("pciBusID mtu"),
    },
  },
  "istio-cni": {
    source: "https://github.com/istio/istio/tree/master/cni",
    kind: "meta",
    complete: false,
    ipam: "own",
    fields: {
      exclude_namespaces: list(string),
      ambient_enabled: boolean,
      native_nftables: boolean,
      ...strings("plugin_log_level cni_agent_run_dir pod_namespace"),
      ...anyOf(
        "log_level kubernetes log_uds_address cni_event_address enablement_selectors",
        "enable_ambient_detection_retry",
      ),
    },
  },
  "linkerd-cni": other(
    "meta",
    "https://github.com/linkerd/linkerd2-proxy-init/tree/main/cni-plugin",
    "log_level log-format policy kubernetes linkerd",
  ),
  "aws-cni": {
    source: "https://github.com/aws/amazon-vpc-cni-k8s/blob/master/README.md",
    kind: "main",
    complete: false,
    ipam: "own",
    // Its mtu is a string: "9001".
    fields: strings("vethPrefix mtu podSGEnforcingMode pluginLogFile pluginLogLevel"),
  },
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
  return fieldsOf(any, keys);
}

function strings(...keys: string[]): Fields {
  return fieldsOf(string, keys);
}

function fieldsOf(type: Type, keys: readonly string[]): Fields {
  return Object.fromEntries(keys.join(" ").split(" ").map((key) => [key, type]));
}
