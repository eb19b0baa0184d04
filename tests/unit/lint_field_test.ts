/**
 * What configs of public repositories and mutations of them showed to be wrong with the linter: it
 * was silent where each container fails, and spoke where none does. Which plugin fails how was tried
 * with the standard plugins 1.10.0 and with Debian's 1.1.1.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { lint } from "../../lib/lint/lint.ts";
import type { Reader } from "../../lib/lint/reader.ts";
import type { Context } from "../../lib/lint/rule.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source, type SourceOptions } from "../../lib/lint/source.ts";
import { fakeMachine, fakePlugins } from "../fixtures/lint/machine.ts";

type Fields = Record<string, unknown>;

interface Case {
  what: string;
  /** A config, or several of one directory; a text where it is no JSON. */
  files: Fields | Fields[] | string;
  name?: string;
  /** Found in a directory. */
  path?: string;
  for?: Reader;
  context?: Context;
  facts?: SourceOptions["facts"];
  /** `SEVERITY CODE` of the last file, in the order of the text; infos only where they are named. */
  expect: string[];
  /** What the first of them says. */
  says?: string;
}

const THERE = fakePlugins({ bridge: 0o755, "host-local": 0o755 });
const ROUTES = [{ dst: "0.0.0.0/0" }];
const hostLocal = (more: Fields = {}) => ({
  type: "host-local",
  subnet: "10.1.0.0/16",
  routes: ROUTES,
  ...more,
});
const fixed = (address: string, more: Fields = {}) => ({
  type: "static",
  addresses: [{ address, gateway: "10.1.0.1", ...more }],
  routes: ROUTES,
});
const net = (fields: Fields) => ({ cniVersion: "1.0.0", name: "net", ...fields });
const bridge = (more: Fields = {}, ipam: Fields = hostLocal()) =>
  net({ type: "bridge", bridge: "cni0", isGateway: true, ipam, ...more });
const chain = (...plugins: Fields[]) => {
  const { cniVersion: _1, name: _2, ...first } = bridge();
  return net({ plugins: [first, ...plugins] });
};
const macvlan = (ipam: Fields, more: Fields = {}) =>
  net({ type: "macvlan", master: "eth0", ipam, ...more });
const mapper = (delegate: Fields) =>
  net({
    ...{ type: "mesos-cni-port-mapper", chain: "MESOS-NET", excludeDevices: ["cni0"] },
    delegate,
  });
const rates = { ingressRate: 8e6, ingressBurst: 8e4, egressRate: 8e6, egressBurst: 8e4 };
const text = (fields: Fields) => JSON.stringify(fields, null, 2) + "\n";

const SPOKE: Case[] = [
  ...["router", "ovn", "gre", "eni-ipam", "rdma-cni", "azure-cni", "firewalld", "vxlan"].map((
    type,
  ): Case => ({
    what: `${type} may be a plugin, too: no error`,
    files: net({ type }),
    expect: ["warning CNI117"],
    says: "there is no directory of plugins here to look in",
  })),
  {
    what: "a plugin that is known by its name alone",
    files: net({ type: "tc-redirect-tap" }),
    expect: [],
  },
  {
    what: "an unknown type that is among this machine's plugins",
    files: net({ type: "router" }),
    context: { usualPlugins: fakePlugins({ router: 0o755 }) },
    expect: [],
  },
  {
    what: "an unknown type that is not among this machine's plugins",
    files: net({ type: "router" }),
    context: { usualPlugins: fakePlugins({ bridge: 0o755 }) },
    expect: ["warning CNI117"],
    says: "there is none in /plugins",
  },
  {
    what: "an unknown type of IPAM plugin",
    files: bridge({}, { type: "eni-ipam" }),
    expect: ["warning CNI117"],
  },
  {
    what: "a misspelt type may be a plugin's that nobody here knows",
    files: net({ type: "brigde" }),
    expect: ["warning CNI117"],
    says: 'did you mean "bridge"? --plugins-dir=DIR looks where the agent has its plugins',
  },
  {
    what: "whereabouts reads zeros in front, on purpose",
    files: macvlan({ type: "whereabouts", range: "00192.00168.1.0/24" }),
    expect: [],
  },
  {
    what: "static may get its addresses by CNI_ARGS",
    files: macvlan({ type: "static" }),
    for: "libcni",
    expect: [],
  },
  {
    what: "static without addresses, where it is not known who calls it",
    files: macvlan({ type: "static" }),
    expect: ["warning CNI404"],
  },
  {
    what: "a next hop of 0.0.0.0 is a route on the wire",
    files: bridge({}, hostLocal({ routes: [{ dst: "0.0.0.0/0", gw: "0.0.0.0" }] })),
    expect: [],
  },
  {
    what: "a gateway of 0.0.0.0 is none",
    files: macvlan(fixed("10.1.0.5/16", { gateway: "0.0.0.0" })),
    for: "libcni",
    expect: [],
  },
  {
    what: "vlan does without addresses since 1.10.0",
    files: net({ type: "vlan", master: "eth0", vlanId: 5, ipam: {} }),
    expect: ["warning CNI504"],
    says: "before version 1.10.0",
  },
  {
    what: "what a template has for a secret is none",
    files: net({ type: "calico", policy: { k8s_auth_token: "<token>" }, etcd_password: "__PW__" }),
    facts: { mode: 0o644, uid: 0 },
    expect: ["warning CNI012"],
  },
  {
    what: "an empty ipam, in a version that a stock agent can't use anyway",
    files: net({ type: "bridge", bridge: "cni0", ipam: {} }),
    expect: [],
  },
  {
    what: "an attachment of a single pod has one address",
    files: macvlan(fixed("10.1.0.5/16")),
    for: "libcni",
    expect: [],
  },
  {
    what: "whereabouts' keys in host-local",
    files: bridge({}, hostLocal({ exclude: ["10.1.0.5/32"] })),
    expect: ["warning CNI501"],
    says: "it belongs to the IPAM plugin whereabouts",
  },
  {
    what: "the port mapper takes keys in any case, and null for absent",
    files: net({
      type: "mesos-cni-port-mapper",
      Chain: "MESOS-NET",
      backend: null,
      ExcludeDevices: ["cni0"],
      delegate: { type: "bridge", bridge: "cni0", isGateway: true, ipam: hostLocal() },
    }),
    expect: [],
  },
  {
    what: "a port mapper whose containers are to reach the host's ports",
    files: net({
      type: "mesos-cni-port-mapper",
      chain: "MESOS-NET",
      snat: true,
      delegate: { type: "bridge", bridge: "cni0", isGateway: true, ipam: hostLocal() },
    }),
    expect: [],
  },
  {
    what: "a key of firewall's that nobody reads is no misspelt name",
    files: chain({ type: "firewall", ifName: "eth0" }),
    name: "net.conflist",
    expect: ["info CNI501"],
    says: 'firewall knows no key "ifName"; check the spelling',
  },
  {
    what: "flannel hands what it is given to its delegate",
    files: net({ plugins: [{ type: "flannel", capabilities: { portMappings: true } }] }),
    name: "net.conflist",
    expect: [],
  },
  {
    what: "istio before the plugin that makes the interface",
    files: net({ plugins: [{ type: "istio-cni" }, { type: "calico" }] }),
    name: "net.conflist",
    expect: [],
  },
  {
    what: "istio as an attachment of its own, beside the default network",
    files: net({ plugins: [{ type: "istio-cni" }] }),
    name: "net.conflist",
    for: "libcni",
    expect: [],
  },
  {
    what: "the linter's own settings, in the directory of configs",
    files: '{ "rules": { "CNI414": "off" } }',
    path: "net.d/.mesos-cni-lint.json",
    expect: ["info CNI202"],
  },
];

const SILENT: Case[] = [
  {
    what: "istio-cni alone, which makes no interface",
    files: net({ plugins: [{ type: "istio-cni" }] }),
    name: "net.conflist",
    expect: ["warning CNI507"],
    says: "istio-cni makes no interface",
  },
  ...(["stock-agent", "isolator"] as const).map((reader): Case => ({
    what: `on an agent (${reader}), nobody fills in kube-router's subnet`,
    files: net({
      cniVersion: "0.2.0",
      type: "bridge",
      bridge: "kube-bridge",
      ipam: { type: "host-local" },
    }),
    for: reader,
    expect: ["error CNI404"],
  })),
  {
    what: "two addresses of static give a bridge two gateways",
    files: bridge({}, {
      type: "static",
      addresses: [
        { address: "10.1.0.5/16", gateway: "10.1.0.1" },
        { address: "10.2.0.5/16", gateway: "10.2.0.1" },
      ],
      routes: ROUTES,
    }),
    expect: ["error CNI303", "warning CNI418"],
  },
  {
    what: "host-local 1.10.0 refuses a link-local gateway",
    files: macvlan(
      hostLocal({ subnet: "fd00::/64", gateway: "fe80::1", routes: [{ dst: "::/0" }] }),
    ),
    expect: ["warning CNI409"],
    says: "refuses since 1.10.0",
  },
  {
    what: "host-local 1.10.0 refuses a gateway outside, also of ptp",
    files: net({ type: "ptp", ipam: hostLocal({ gateway: "169.254.1.1", routes: [] }) }),
    expect: ["warning CNI409", "warning CNI414"],
    says: "refuses since 1.10.0",
  },
  ...[
    ["a string", "10.1.0.5", "error CNI419"],
    ["no address", ["10.1.0"], "error CNI419"],
    ["one outside the range", ["10.9.0.5"], "error CNI419"],
  ].map(([what, ips, found]): Case => ({
    what: `addresses that args ask for: ${what}`,
    files: bridge({ args: { cni: { ips } } }),
    expect: [found as string],
  })),
  {
    what: "an address that args ask static for, without its prefix length",
    files: bridge({ args: { cni: { ips: ["10.1.0.5"] } } }, { type: "static", routes: ROUTES }),
    expect: ["error CNI419"],
  },
  {
    what: "an address that runtimeConfig asks for, outside the range",
    files: bridge({ runtimeConfig: { ips: ["192.168.0.1"] } }),
    expect: ["warning CNI512", "error CNI419"],
  },
  {
    what: "two networks of flannel on one bridge",
    files: [
      net({ name: "a", type: "flannel" }),
      net({ name: "b", type: "flannel", subnetFile: "/run/flannel/b.env" }),
    ],
    expect: ["error CNI303"],
  },
  {
    what: "two networks of flannel with one lease",
    files: [net({ name: "a", type: "flannel" }), net({ name: "b", type: "flannel" })],
    expect: ["warning CNI303"],
    says: "get the same addresses",
  },
  {
    what: "a bridge that is flannel's",
    files: [net({ name: "a", type: "flannel" }), bridge()],
    expect: ["error CNI303"],
  },
  {
    what: "a chain that only Kubernetes keeps",
    files: chain({
      type: "portmap",
      capabilities: { portMappings: true },
      externalSetMarkChain: "KUBE-MARK-MASQ",
    }),
    name: "net.conflist",
    context: { machine: fakeMachine({ hasNatChain: () => false }) },
    expect: ["info CNI708", "error CNI801"],
  },
  {
    what: "a new version for a stock agent that calls another's bridge",
    files: bridge(),
    for: "stock-agent",
    context: { plugins: THERE, machine: fakeMachine() },
    expect: ["error CNI116"],
  },
  {
    what: "a new version for a stock agent that calls this program's bridge",
    files: bridge(),
    for: "stock-agent",
    context: { plugins: THERE, machine: fakeMachine({ isThisProgram: () => true }) },
    expect: [],
  },
  {
    what: "what the backend nftables has no use for",
    files: chain({
      ...{ type: "portmap", capabilities: { portMappings: true }, backend: "nftables" },
      ...{ externalSetMarkChain: "MARK", conditionsV4: ["-s", "10.0.0.0/8"] },
      conditionsV6: ["ip6", "saddr", "fd00::/8"],
    }),
    name: "net.conflist",
    expect: ["error CNI508", "error CNI508", "warning CNI508"],
  },
  {
    what: "no IPv6 on the interface, and an address of it",
    files: bridge({
      disableIPv6: true,
      ipam: hostLocal({ subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }),
    }),
    expect: ["error CNI508"],
  },
  {
    what: "no IPv6 on the interface, and none in the network",
    files: bridge({ disableIPv6: true }),
    expect: [],
  },
  {
    what: "bandwidth twice",
    files: chain({ type: "bandwidth", ...rates }, { type: "bandwidth", ...rates }),
    name: "net.conflist",
    expect: ["error CNI514"],
  },
  {
    what: "bandwidth on macvlan",
    files: net({
      plugins: [
        { type: "macvlan", master: "eth0", ipam: hostLocal() },
        { type: "bandwidth", ...rates },
      ],
    }),
    name: "net.conflist",
    expect: ["error CNI514"],
  },
  {
    what: "bits where megabits are meant",
    files: chain({ type: "bandwidth", ingressRate: 100, ingressBurst: 100 }),
    name: "net.conflist",
    expect: ["warning CNI503"],
    says: "less than a packet a second",
  },
  {
    what: "a burst that no packet fits into",
    files: chain({ type: "bandwidth", ingressRate: 8e6, ingressBurst: 8000 }),
    name: "net.conflist",
    expect: ["warning CNI503"],
    says: "packets of more than 1000 bytes are dropped",
  },
  {
    what: "a condition of iptables in one word",
    files: chain({
      type: "portmap",
      capabilities: { portMappings: true },
      conditionsV4: ["-s 10.0.0.0/8"],
    }),
    name: "net.conflist",
    expect: ["error CNI503"],
    says: '"-s", "10.0.0.0/8"',
  },
  {
    what: "a plugin that every user may write to",
    files: bridge(),
    context: { plugins: fakePlugins({ bridge: 0o777, "host-local": 0o755 }) },
    expect: ["warning CNI207"],
  },
  {
    what: "ptp without addresses",
    files: net({ type: "ptp" }),
    expect: ["error CNI504"],
  },
  {
    what: "a subnet of which nothing is left to give",
    files: bridge({}, hostLocal({ subnet: "10.1.0.0/31" })),
    expect: ["error CNI406"],
    says: "too small to take addresses from",
  },
  {
    what: "more brackets than any reader takes",
    files: `{"type": "bridge", "args": ${"[".repeat(101)}${"]".repeat(101)}}`,
    expect: ["error CNI009"],
  },
  {
    what: "more plugins than are looked at",
    files: net({ plugins: Array(201).fill({ type: "loopback" }) }),
    name: "net.conflist",
    expect: ["warning CNI009"],
  },
  { what: "an empty file", files: "\n", expect: ["error CNI001"], says: "the file is empty" },
  {
    what: "multus without a network",
    files: net({ type: "multus", kubeconfig: "/etc/cni/net.d/multus.kubeconfig" }),
    expect: ["error CNI607"],
  },
  {
    what: "a port mapper in a port mapper",
    files: mapper({ type: "mesos-cni-port-mapper", chain: "OTHER", delegate: { type: "bridge" } }),
    expect: ["error CNI506", "warning CNI606"],
    says: "can't be another one",
  },
  {
    what: "a name and addresses for the delegate of flannel",
    files: net({ type: "flannel", delegate: { name: "inner", ipam: hostLocal() } }),
    expect: ["error CNI609", "error CNI609"],
  },
  {
    what: "an iptables that knows no comments",
    files: mapper({ type: "bridge", bridge: "cni0", isGateway: true, ipam: hostLocal() }),
    context: { machine: fakeMachine({ hasCommentMatch: () => false }) },
    expect: ["error CNI805"],
    says: "comment match",
  },
  {
    what: "etcd by https, of whatever authority",
    files: net({ type: "calico", etcd_endpoints: "https://10.0.0.1:2379" }),
    expect: ["warning CNI703"],
    says: "etcd_ca_cert_file",
  },
  ...[
    ["MESOS-PORT-MAPPER-FOR-THE-WEB-TIER", "has 34 characters"],
    ["PREROUTING", "iptables' own"],
    ["MESOS WEB; DROP", "no chain's name"],
  ].map(([chain, says]): Case => ({
    what: `a chain of the name ${chain}`,
    files: { ...mapper(bridge()), chain },
    expect: ["error CNI503"],
    says,
  })),
  {
    what: "a port mapper without a chain",
    files: { ...mapper(bridge()), chain: undefined },
    expect: ["error CNI504"],
  },
  {
    what: "what no device is called",
    files: { ...mapper(bridge()), excludeDevices: ["cni0", "mesos-cni0-and-then-some"] },
    expect: ["error CNI503"],
    says: "no device's name",
  },
  {
    what: "a datastore that Calico has not, and a server without its scheme",
    files: net({ type: "calico", datastore_type: "etcd", etcd_endpoints: "10.0.0.1:2379" }),
    expect: ["error CNI503", "error CNI503"],
  },
  {
    what: "an MTU that IPv6 can't be used with",
    files: bridge({ mtu: 1200 }, hostLocal({ subnet: "fd00::/64", routes: [{ dst: "::/0" }] })),
    expect: ["error CNI508"],
  },
  {
    what: "ptp with an address without a gateway",
    files: net({
      type: "ptp",
      ipam: { type: "static", addresses: [{ address: "10.1.0.5/16" }], routes: ROUTES },
    }),
    expect: ["error CNI504", "warning CNI418"].sort(),
  },
  {
    what: "a device that two networks take away from the host",
    files: [
      net({ name: "a", type: "host-device", device: "eth1" }),
      net({ name: "b", type: "host-device", device: "eth1" }),
    ],
    expect: ["warning CNI307"],
  },
  {
    what: "macvlan that has its master alone, and ipvlan on the same",
    files: [
      macvlan(hostLocal(), { name: "a", mode: "passthru" }),
      net({
        name: "b",
        type: "ipvlan",
        master: "eth0",
        ipam: hostLocal({ subnet: "10.2.0.0/16" }),
      }),
    ],
    expect: ["warning CNI307"],
  },
  {
    what: "two networks on a bridge that neither names",
    files: ["a", "b"].map((name) => net({ name, type: "bridge" })),
    expect: ["warning CNI306"],
  },
  {
    what: "an address of static that the neighbour gives away",
    files: [bridge({ name: "a" }), macvlan(fixed("10.1.0.5/16"), { name: "b" })],
    expect: ["warning CNI302", "warning CNI418"],
  },
  {
    what: "one sysctl twice",
    files: text(chain({ type: "tuning", sysctl: { "net.core.somaxconn": "500" } }))
      .replace('"500"', '"500",\n"net.core.somaxconn": "600"'),
    name: "net.conflist",
    expect: ["error CNI002"],
  },
  {
    what: "a list in a .json, for libcni",
    files: chain(),
    name: "net.json",
    for: "libcni",
    expect: ["error CNI110"],
  },
  {
    what: "a directory that every user may write to",
    files: bridge(),
    facts: { mode: 0o600, uid: 0, directoryMode: 0o777 },
    expect: ["warning CNI204"],
  },
  {
    what: "a port of the host in two files",
    files: ["a", "b"].map((name, i) => ({
      ...chain({
        type: "portmap",
        capabilities: { portMappings: true },
        runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
      }),
      name,
      plugins: [
        { type: "bridge", bridge: name, ipam: hostLocal({ subnet: `10.${i}.0.0/16` }) },
        {
          type: "portmap",
          capabilities: { portMappings: true },
          runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
        },
      ],
    })),
    name: "net.conflist",
    expect: ["warning CNI512", "error CNI307"],
  },
];

const UNCLEAR: Case[] = [
  ...[
    ["NBSP", text(bridge()).replace('  "name"', '\u00a0\u00a0"name"'), "U+00A0"],
    ["a line separator", text(bridge()).replace('\n  "name"', '\u2028"name"'), "U+2028"],
    ["a NUL at the end", text(bridge()) + "\0", "a byte with the value 0"],
    ["NaN", text(bridge()).replace("true", "NaN"), "no number"],
    ["a diff", ' {\n-  "name": "a"\n+  "name": "b"\n }\n', "a patch"],
    ["HCL", 'network "web" {\n  driver = "bridge"\n}\n', "HCL"],
    ["HCL's values", 'name = "net"\ntype = "bridge"\n', "HCL"],
    ["a prompt", "root@agent1:~# cat /etc/cni/net.d/net.conf\n{}\n", "a terminal"],
    ["INI", "[network]\nname=net\n", "INI"],
    ["numbered lines", '1  {\n2    "name": "net"\n3  }\n', "numbered"],
  ].map(([what, files, says]): Case => ({
    what: what!,
    files: files!,
    expect: ["error CNI001"],
    says,
  })),
  ...["__CNI_MTU__", "@MTU@", "%d", "%t", "{{ .Mtu }}", "{{\n  .Mtu\n}}", "${MTU}", "$MTU", "<mtu>"]
    .map((value): Case => ({
      what: `${value} for a number`,
      files: text(bridge({ mtu: 1 })).replace('"mtu": 1', `"mtu": ${value}`),
      expect: ["error CNI012"],
      says: "is a placeholder of a template",
    })),
  ...["br-$1", "net-%[1]d", "net-%q"].map((name): Case => ({
    what: `${name} for a name`,
    files: bridge({ name }),
    expect: ["error CNI012"],
  })),
  {
    what: "a template's subnet, range and gateway: once, and nothing that follows",
    files: bridge({ bridge: "{{ bridge }}" }, {
      type: "host-local",
      subnet: "${SUBNET}",
      rangeStart: "__START__",
      gateway: "<gateway>",
      routes: ROUTES,
    }),
    expect: ["error CNI012"],
  },
  {
    what: "a key beside itself in another case",
    files: bridge({ isgateway: false }),
    expect: ["warning CNI501"],
    says: "plugins in Go take the last of the two",
  },
];

function found({ files, name, path, for: reader, context, facts, expect }: Case) {
  const all = Array.isArray(files) ? files : [files];
  const sources = all.map((file, i) =>
    new Source({
      path: path ?? `net.d/${i}-${name ?? "net.conf"}`,
      listed: path !== undefined,
      content: new TextEncoder().encode(typeof file === "string" ? file : text(file)),
      facts: facts ?? { mode: 0o600, uid: 0 },
    })
  );
  return lint(sources, new Settings(), { ...context, reader }).filter(({ source, ...one }) =>
    source === sources.at(-1) &&
    (one.severity !== "info" || expect.includes(`info ${one.code}`))
  );
}

for (
  const [kind, cases] of [
    ["speaks only where it must", SPOKE],
    ["is not silent", SILENT],
    ["says what it is", UNCLEAR],
  ] as const
) {
  for (const one of cases) {
    Deno.test(`the linter ${kind}: ${one.what}`, () => {
      const all = found(one);
      const shown = all.map(({ severity, code }) => `${severity} ${code}`);
      assertEquals(shown.sort(), [...one.expect].sort(), JSON.stringify(all.map((a) => a.message)));
      assert(!all.some(({ code, fix }) => code === "CNI117" && fix));
      if (one.says) {
        const said = all.map(({ message, help }) => `${message}; ${help}`).join("\n");
        assertStringIncludes(said, one.says);
      }
    });
  }
}

Deno.test("JSON that is no network gets no version", () => {
  const shown = found({
    what: "",
    files: { name: "package", version: "1.0.0" },
    expect: ["info CNI105"],
  });
  assert(shown.every(({ code }) => code !== "CNI105"));
});
