/**
 * Configs that work must not be called wrong: false alarms are the worst defect of a linter.
 * The forms below are those of the documentation of each project (named by the key), with names
 * and addresses of our own.
 */
import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { lint } from "../../lib/lint/lint.ts";
import type { Severity } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";

const hostLocal = { type: "host-local", subnet: "10.20.0.0/16", routes: [{ dst: "0.0.0.0/0" }] };
const bridge = { type: "bridge", bridge: "web0", isGateway: true, ipMasq: true, ipam: hostLocal };
const portmap = { type: "portmap", capabilities: { portMappings: true } };

function list(cniVersion: string, ...plugins: Record<string, unknown>[]) {
  return { cniVersion, name: "web", plugins };
}

const DOCUMENTED: Record<string, readonly Record<string, unknown>[]> = {
  "cni.dev: bridge, with addresses, without, and with ranges of both families": [
    {
      cniVersion: "1.0.0",
      name: "web",
      ...bridge,
      forceAddress: false,
      hairpinMode: true,
    },
    { cniVersion: "1.0.0", name: "web", type: "bridge", bridge: "web0", ipam: {} },
    { cniVersion: "1.0.0", name: "web", type: "bridge", bridge: "web0", portIsolation: true },
    {
      cniVersion: "1.0.0",
      name: "web",
      type: "bridge",
      bridge: "web0",
      vlanTrunk: [{ id: 101 }, { minID: 200, maxID: 299 }],
      preserveDefaultVlan: false,
      ipam: {
        type: "host-local",
        ranges: [
          [
            {
              subnet: "10.20.0.0/24",
              rangeStart: "10.20.0.20",
              rangeEnd: "10.20.0.50",
              gateway: "10.20.0.254",
            },
            { subnet: "172.20.5.0/24" },
          ],
          [{ subnet: "fd20:0:0:1::/64", rangeStart: "fd20:0:0:1::10", rangeEnd: "fd20:0:0:1::99" }],
        ],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.20.0.2" }, {
          dst: "fd20:0:0:1::/64",
        }],
        dataDir: "/run/leases/web",
      },
    },
  ],
  "cni.dev: host-device by name, hardware address, kernel path and bus": [
    { device: "enp0s1" },
    { hwaddr: "00:11:22:33:44:55" },
    { kernelpath: "/sys/devices/pci0000:00/0000:00:1f.6" },
    { pciBusID: "0000:3d:00.1" },
  ].map((device) => ({ cniVersion: "0.3.1", name: "web", type: "host-device", ...device })),
  "cni.dev: ipvlan, macvlan, vlan and ptp": [
    {
      name: "web",
      type: "ipvlan",
      master: "eth0",
      ipam: { type: "host-local", subnet: "10.20.2.0/24" },
    },
    {
      name: "web",
      type: "ipvlan",
      master: "eth0",
      mode: "l3s",
      linkInContainer: false,
      ipam: hostLocal,
    },
    { name: "web", type: "macvlan", master: "eth0", ipam: { type: "dhcp" } },
    {
      name: "web",
      type: "macvlan",
      bcqueuelen: 1000,
      mode: "passthru",
      mac: "02:11:22:33:44:55",
      ipam: hostLocal,
    },
    {
      cniVersion: "0.3.1",
      name: "web",
      type: "vlan",
      mtu: 1500,
      vlanId: 5,
      master: "eth0",
      ipam: hostLocal,
    },
    {
      name: "web",
      type: "ptp",
      ipMasq: true,
      mtu: 512,
      dns: { nameservers: ["10.20.0.1"] },
      ipam: hostLocal,
    },
    {
      name: "web",
      type: "ptp",
      ipam: {
        type: "host-local",
        subnet: "10.20.0.0/16",
        gateway: "169.254.1.1",
        resolvConf: "/etc/resolv.conf",
      },
    },
  ],
  "cni.dev: tap and dummy": [
    {
      cniVersion: "1.0.0",
      name: "web",
      type: "tap",
      mac: "00:11:22:33:44:55",
      mtu: 1500,
      multiQueue: true,
      owner: 0,
      group: 0,
      selinuxContext: "system_u:system_r:container_t:s0",
    },
    { cniVersion: "1.0.0", name: "web", type: "dummy", ipam: hostLocal },
  ],
  "cni.dev: dhcp and static": [
    {
      cniVersion: "1.0.0",
      name: "web",
      type: "macvlan",
      master: "eth0",
      ipam: {
        type: "dhcp",
        daemonSocketPath: "/run/cni/dhcp.sock",
        request: [{ skipDefault: false }, { option: "ntp-servers" }],
        provide: [{ option: "host-name", fromArg: "K8S_POD_NAME" }, { option: "12", value: "web" }],
      },
    },
    {
      cniVersion: "1.0.0",
      name: "web",
      ...bridge,
      ipam: {
        type: "static",
        addresses: [
          { address: "10.20.0.5/24", gateway: "10.20.0.254" },
          { address: "fd20:0:0:1::5/64", gateway: "fd20:0:0:1::1" },
        ],
        routes: [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.20.0.1" }],
        dns: { nameservers: ["192.0.2.53"], domain: "example.org", search: ["example.org"] },
      },
    },
    {
      cniVersion: "0.3.1",
      name: "web",
      ...bridge,
      capabilities: { ips: true },
      ipam: { type: "static", routes: [{ dst: "0.0.0.0/0" }] },
    },
  ],
  "cni.dev: chains of bandwidth, firewall, portmap, sbr, tuning and vrf": [
    list("0.4.0", bridge, {
      type: "bandwidth",
      ingressRate: 123,
      ingressBurst: 456,
      egressRate: 123,
      egressBurst: 456,
    }),
    list("0.4.0", bridge, { type: "bandwidth", capabilities: { bandwidth: true } }),
    list("0.4.0", bridge, { type: "firewall" }),
    list("1.0.0", bridge, { type: "firewall", backend: "firewalld", firewalldZone: "trusted" }),
    list("1.0.0", bridge, { type: "firewall", ingressPolicy: "same-bridge" }),
    list("0.3.1", bridge, {
      ...portmap,
      snat: true,
      externalSetMarkChain: "KUBE-MARK-MASQ",
      conditionsV4: ["!", "-d", "192.0.2.0/24"],
      conditionsV6: ["!", "-d", "fc00::/7"],
    }),
    list("0.3.1", bridge, { ...portmap, markMasqBit: 13, masqAll: false }),
    list("0.3.1", bridge, { type: "sbr", table: 100 }),
    list("0.3.1", bridge, {
      type: "tuning",
      sysctl: { "net.core.somaxconn": "500", "net/ipv4/conf/IFNAME/log_martians": "1" },
      mac: "c2:b0:57:49:47:f1",
      promisc: true,
      mtu: 1454,
      allmulti: true,
      txQLen: 1000,
    }),
    list("0.3.1", bridge, { type: "vrf", vrfname: "blue", table: 1001 }),
  ],
  "the specification: versions to choose from, and what a plugin gets": [
    {
      cniVersion: "1.1.0",
      cniVersions: ["0.3.1", "0.4.0", "1.0.0", "1.1.0"],
      name: "web",
      plugins: [bridge, {
        type: "tuning",
        capabilities: { mac: true },
        sysctl: { "net.core.somaxconn": "500" },
      }, portmap],
    },
    {
      cniVersion: "1.1.0",
      name: "web",
      type: "tuning",
      sysctl: { "net.core.somaxconn": "500" },
      runtimeConfig: { mac: "00:11:22:33:44:66" },
      prevResult: { ips: [] },
    },
  ],
  "Calico: the least, logging, pools, containers' settings, Kubernetes and host-local": [
    { name: "web", cniVersion: "0.1.0", type: "calico", ipam: { type: "calico-ipam" } },
    {
      name: "web",
      type: "calico",
      nodename: "agent-1",
      log_level: "DEBUG",
      log_file_path: "/var/log/calico.log",
      ipam: { type: "calico-ipam" },
    },
    {
      name: "web",
      type: "calico",
      etcd_endpoints: "http://192.0.2.1:2379,http://192.0.2.2:2379",
      ipam: {
        type: "calico-ipam",
        assign_ipv4: "true",
        assign_ipv6: "true",
        ipv4_pools: ["10.20.0.0/24", "pool-1"],
        ipv6_pools: ["fd20::1/120"],
      },
    },
    {
      name: "web",
      type: "calico",
      etcd_authority: "192.0.2.1:2379",
      ipam: { type: "calico-ipam" },
    },
    {
      name: "web",
      type: "calico",
      ipam: { type: "calico-ipam" },
      container_settings: { allow_ip_forwarding: true },
      readiness_gates: ["http://localhost:9099/readiness"],
      feature_control: { ip_addrs_no_ipam: true },
    },
    {
      name: "web",
      type: "calico",
      policy: { type: "k8s" },
      kubernetes: { kubeconfig: "/etc/kubeconfig", node_name: "n" },
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "usePodCidr" }], [{ subnet: "usePodCidrIPv6" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
    { name: "web", type: "calico", ipam: { type: "host-local", subnet: "usePodCidr" } },
    list(
      "0.3.1",
      {
        type: "calico",
        datastore_type: "kubernetes",
        mtu: 1440,
        nodename: "n",
        ipam: { type: "calico-ipam" },
        policy: { type: "k8s" },
        kubernetes: { kubeconfig: "/etc/kubeconfig" },
      },
      { ...portmap, snat: true },
      { type: "bandwidth", capabilities: { bandwidth: true } },
    ),
  ],
  "Cilium: alone, chained, and with an IPAM plugin that it delegates to": [
    {
      cniVersion: "0.3.1",
      name: "cilium",
      type: "cilium-cni",
      "enable-debug": false,
      "log-file": "/var/run/cilium/cilium-cni.log",
    },
    { name: "cilium", type: "cilium-cni", mtu: 1450 },
    list("0.3.1", { type: "ptp", ipam: hostLocal }, portmap, {
      type: "cilium-cni",
      "chaining-mode": "generic-veth",
    }),
    list("0.3.1", {
      type: "cilium-cni",
      ipam: { type: "host-local", ranges: [[{ subnet: "10.20.0.0/16", gateway: "10.20.0.1" }]] },
    }),
  ],
  "Weave: alone, in a list, without routes, and its IPAM for a bridge": [
    { cniVersion: "0.3.0", name: "weave", type: "weave-net", hairpinMode: true },
    list("0.3.0", { type: "weave-net", hairpinMode: true }, { ...portmap, snat: true }),
    { name: "weave", type: "weave-net", ipam: { routes: [] } },
    { name: "weave", type: "weave-net", ipam: { type: "weave-ipam", subnet: "10.32.5.0/24" } },
    {
      name: "web",
      type: "bridge",
      bridge: "weave",
      isDefaultGateway: true,
      ipam: { type: "weave-ipam", subnet: "10.22.0.0/16" },
    },
  ],
  "flannel: the least, with a delegate, and with an ipam to start from": [
    { name: "web", type: "flannel" },
    {
      name: "web",
      type: "flannel",
      subnetFile: "/tmp/subnet.env",
      dataDir: "/var/lib/cni/flannel",
      delegate: { bridge: "web0", mtu: 1400 },
    },
    { name: "web", type: "flannel", delegate: { type: "ipvlan", master: "eth0" } },
    {
      name: "web",
      type: "flannel",
      ipam: { type: "host-local", routes: [{ dst: "0.0.0.0/0" }], dataDir: "/run/leases" },
      delegate: { hairpinMode: true },
    },
    list(
      "0.3.1",
      { type: "flannel", delegate: { hairpinMode: true, isDefaultGateway: true } },
      portmap,
    ),
  ],
  "multus: delegates, a cluster network, and all its options": [
    {
      cniVersion: "0.3.1",
      name: "web",
      type: "multus",
      kubeconfig: "/etc/kubeconfig",
      delegates: [{ type: "weave-net", hairpinMode: true }, {
        type: "macvlan",
        master: "eth0",
        mode: "bridge",
        ipam: hostLocal,
      }],
    },
    {
      cniVersion: "0.3.1",
      name: "web",
      type: "multus",
      kubeconfig: "/etc/kubeconfig",
      confDir: "/etc/cni/multus",
      cniDir: "/var/lib/cni/multus",
      binDir: "/opt/cni/bin",
      logFile: "/var/log/multus.log",
      logLevel: "debug",
      logOptions: { maxAge: 5, compress: true },
      capabilities: { portMappings: true },
      namespaceIsolation: false,
      readinessindicatorfile: "",
      clusterNetwork: "/etc/cni/net.d/99-flannel.conf",
      defaultNetworks: ["sidecar"],
      systemNamespaces: ["kube-system"],
      multusNamespace: "kube-system",
      allowTryDeleteOnErr: false,
    },
    {
      name: "web",
      type: "multus",
      capabilities: { portMappings: true },
      kubeconfig: "/etc/kubeconfig",
      delegates: [{
        cniVersion: "0.3.1",
        name: "default",
        plugins: [{
          type: "flannel",
          name: "flannel.1",
          delegate: { isDefaultGateway: true, hairpinMode: true },
        }, portmap],
      }],
    },
  ],
  "Nomad: its bridge network": [
    list(
      "1.0.0",
      { type: "loopback" },
      {
        ...bridge,
        forceAddress: true,
        hairpinMode: false,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "172.26.64.0/20" }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "firewall", backend: "iptables", iptablesAdminChainName: "WEB-ADMIN" },
      { ...portmap, snat: true },
    ),
    list(
      "0.4.0",
      { type: "loopback" },
      { ...bridge, ipam: hostLocal },
      { type: "firewall", backend: "iptables", iptablesAdminChainName: "WEB-ADMIN" },
      portmap,
      { type: "consul-cni", log_level: "debug" },
    ),
  ],
  "Mesos: args of the operator's own, and the port mapper's forms": [
    { name: "web", ...bridge, args: { "com.example": { tier: "web" } } },
    {
      name: "web",
      type: "mesos-cni-port-mapper",
      chain: "MESOS-WEB",
      excludeDevices: ["web0"],
      delegate: bridge,
    },
    {
      cniVersion: "0.3.1",
      name: "web",
      type: "mesos-cni-port-mapper",
      chain: "MESOS-WEB",
      backend: "nftables",
      capabilities: { portMappings: true },
      delegate: { ...bridge, cniVersion: "0.4.0" },
      excludeDevices: ["web0", "docker0"],
    },
    list("1.0.0", bridge, {
      type: "mesos-cni-port-mapper",
      chain: "MESOS-WEB",
      capabilities: { portMappings: true },
    }),
  ],
  "anyone who routes through an address on the wire": [
    {
      name: "web",
      type: "macvlan",
      master: "eth0",
      ipam: {
        type: "static",
        addresses: [{ address: "10.20.0.5/32" }],
        routes: [{ dst: "169.254.1.1/32" }, { dst: "0.0.0.0/0", gw: "169.254.1.1" }],
      },
    },
  ],
  "a plugin that nobody has heard of": [
    {
      cniVersion: "1.0.0",
      name: "web",
      type: "acme-net",
      master: 7,
      mtu: "big",
      ipam: { type: "acme-ipam", subnet: 12 },
    },
  ],
};

function found(config: Record<string, unknown>, severity: Severity): string[] {
  const text = JSON.stringify(config, null, 2);
  const path = "plugins" in config ? "web.conflist" : "web.conf";
  const source = new Source({ path, content: new TextEncoder().encode(text) });
  return lint([source], new Settings()).filter((found) => found.severity === severity)
    .map(({ code, message }) => `${code} ${message}`);
}

for (const [what, configs] of Object.entries(DOCUMENTED)) {
  Deno.test(`no error in what is documented by ${what}`, () => {
    for (const config of configs) assertEquals(found(config, "error"), [], JSON.stringify(config));
  });
}

Deno.test("a network of both families as it should be has not even an info", () => {
  const config = {
    cniVersion: "1.0.0",
    name: "web",
    ...bridge,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.20.0.0/16" }], [{ subnet: "fd20:0:0:1::/64" }]],
      routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
    },
  };
  for (const severity of ["error", "warning", "info"] as const) {
    assertEquals(found(config, severity), []);
  }
});

Deno.test("the examples have no findings, not even infos", () => {
  const found = (sources: readonly Source[]) =>
    lint(sources, new Settings()).map(({ message }) => message);
  const sourcesOf = (name: string) => {
    const directory = fromFileUrl(new URL(`../../examples/${name}`, import.meta.url));
    return [...Deno.readDirSync(directory)].map(({ name }) => {
      const path = `${directory}/${name}`;
      return new Source({ path, listed: true, content: Deno.readFileSync(path) });
    });
  };
  assertEquals(found(sourcesOf("networks")), []);
  // No agent has all of them.
  for (const source of sourcesOf("recipes")) assertEquals(found([source]), []);
});
