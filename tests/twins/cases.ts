/** The cases of the plugins that make an interface, and of those that give addresses. */
import type { JsonObject } from "../../lib/base/json.ts";
import { call, DIR, host, inside, life, NS2, short, type Twin } from "./case.ts";

const VERSION = "1.0.0";
const V4 = { type: "host-local", dataDir: `${DIR}/ipam`, subnet: "10.77.0.0/24" };
const DUAL = {
  type: "host-local",
  dataDir: `${DIR}/ipam`,
  ranges: [[{ subnet: "10.77.0.0/24" }], [{ subnet: "fd77::/64" }]],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
};

const net = (type: string, fields: JsonObject = {}): JsonObject => ({
  cniVersion: VERSION,
  name: "net-1",
  type,
  ...fields,
});
const bridge = (fields: JsonObject = {}): JsonObject =>
  net("bridge", { bridge: "br77", ipam: V4, ...fields });
const ptp = (fields: JsonObject = {}): JsonObject => net("ptp", { ipam: V4, ...fields });
const macvlan = (fields: JsonObject = {}): JsonObject =>
  net("macvlan", { master: "up0", ipam: V4, ...fields });
const local = (ipam: JsonObject = {}, fields: JsonObject = {}): JsonObject =>
  net("host-local", { ipam: { ...V4, ...ipam }, ...fields });
const fixed = (ipam: JsonObject = {}, fields: JsonObject = {}): JsonObject =>
  net("static", {
    ipam: {
      type: "static",
      addresses: [{ address: "10.78.0.5/24", gateway: "10.78.0.1" }],
      ...ipam,
    },
    ...fields,
  });
const UP0 = [
  host("ip link add up0 type veth peer name up1"),
  host("ip link set up0 up"),
  host(
    "ip link set up1 up",
  ),
];
const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"];

const LOOPBACK: Twin[] = [
  { id: "loopback-life", type: "loopback", steps: life(net("loopback")) },
  {
    id: "loopback-down",
    type: "loopback",
    steps: [
      call("ADD", net("loopback")),
      inside("ip link set lo down"),
      call("CHECK", net("loopback"), { prev: 0 }),
    ],
  },
  {
    id: "loopback-foreign-address",
    type: "loopback",
    steps: [
      inside("ip address add 10.1.1.1/32 dev lo"),
      call("ADD", net("loopback")),
    ],
  },
  {
    id: "loopback-no-namespace",
    type: "loopback",
    steps: [
      call("DEL", net("loopback"), { ns: null }),
      call("DEL", net("loopback"), { ns: "/nowhere" }),
    ],
  },
];

const HOST_LOCAL: Twin[] = [
  { id: "host-local-life", type: "host-local", steps: life(local()) },
  ...VERSIONS.map((cniVersion): Twin => ({
    id: `host-local-${cniVersion}`,
    type: "host-local",
    steps: short(local({ routes: [{ dst: "10.0.0.0/8", gw: "10.77.0.9" }] }, { cniVersion })),
  })),
  {
    id: "host-local-round-robin",
    type: "host-local",
    steps: [
      call("ADD", local(), { id: "a" }),
      call("ADD", local(), { id: "b" }),
      call("DEL", local(), { id: "a" }),
      call("ADD", local(), { id: "c" }),
    ],
  },
  {
    id: "host-local-exhausted",
    type: "host-local",
    steps: ["a", "b", "c", "d"].map((id) =>
      call("ADD", local({ rangeStart: "10.77.0.10", rangeEnd: "10.77.0.12" }), { id })
    ),
  },
  {
    id: "host-local-wraps",
    type: "host-local",
    steps: [
      ...["a", "b", "c"].map((id) => call("ADD", local({ rangeEnd: "10.77.0.4" }), { id })),
      call("DEL", local({ rangeEnd: "10.77.0.4" }), { id: "b" }),
      call("ADD", local({ rangeEnd: "10.77.0.4" }), { id: "d" }),
    ],
  },
  {
    id: "host-local-sets",
    type: "host-local",
    steps: life(local({
      subnet: "10.77.9.0/24",
      ranges: [
        [{ subnet: "10.77.0.0/30" }, { subnet: "10.77.1.0/28", rangeStart: "10.77.1.5" }],
        [{ subnet: "fd77::/64", gateway: "fd77::77" }],
      ],
    })),
  },
  {
    id: "host-local-several-ranges",
    type: "host-local",
    steps: ["a", "b", "c"].map((id) =>
      call(
        "ADD",
        net("host-local", {
          ipam: {
            type: "host-local",
            dataDir: `${DIR}/ipam`,
            ranges: [[{ subnet: "10.77.0.0/30" }, { subnet: "10.77.1.0/30" }]],
          },
        }),
        { id },
      )
    ),
  },
  {
    id: "host-local-twice",
    type: "host-local",
    steps: [call("ADD", local()), call("ADD", local()), call("ADD", local(), { ifName: "eth1" })],
  },
  {
    id: "host-local-asked-args",
    differs: { "what a failed ADD changed is as before": [5, 6, 7] },
    type: "host-local",
    steps: [
      call("ADD", local(), { args: "IP=10.77.0.33" }),
      call("ADD", local(), { id: "b", args: "IP=10.77.0.33" }),
      call("ADD", local(), { id: "c", args: "IP=10.77.0.1" }),
      call("ADD", local(), { id: "g", args: "FOO=1;IgnoreUnknown=1" }),
      call("ADD", local(), { id: "h" }),
      call("ADD", local(), { id: "d", args: "IP=10.99.0.1" }),
      call("ADD", local(), { id: "e", args: "IP=nonsense" }),
      call("ADD", local(), { id: "f", args: "FOO=1" }),
    ],
  },
  {
    id: "host-local-asked-config",
    type: "host-local",
    steps: [
      call("ADD", local({}, { args: { cni: { ips: ["10.77.0.44"] } } })),
      call("ADD", local({}, { runtimeConfig: { ips: ["10.77.0.45"] } }), { id: "b" }),
      call("ADD", local({}, { runtimeConfig: { ips: ["10.77.0.46/24"] } }), { id: "c" }),
    ],
  },
  {
    id: "host-local-ranges-of-runtime",
    type: "host-local",
    steps: [
      call("ADD", local({}, { runtimeConfig: { ipRanges: [[{ subnet: "10.79.0.0/24" }]] } })),
    ],
  },
  ...([
    ["no-ranges", { subnet: null }],
    ["host-bits", { subnet: "10.77.0.1/24" }],
    ["too-small", { subnet: "10.77.0.0/31" }],
    ["start-outside", { rangeStart: "10.78.0.1" }],
    ["end-outside", { rangeEnd: "10.78.0.1" }],
    ["bad-subnet", { subnet: "10.77.0.0" }],
    ["bad-gateway", { gateway: "x" }],
    ["bad-routes", { routes: [{ dst: "x" }] }],
    ["overlap", { ranges: [[{ subnet: "10.77.0.128/25" }]] }],
    ["mixed", { ranges: [[{ subnet: "10.80.0.0/24" }, { subnet: "fd00::/64" }]] }],
    ["no-resolv-conf", { resolvConf: `${DIR}/none` }],
  ] as [string, JsonObject][]).map(([id, ipam]): Twin => ({
    id: `host-local-${id}`,
    type: "host-local",
    steps: [call("ADD", local(ipam))],
  })),
  {
    id: "host-local-gateway-of-elsewhere",
    newer: "a gateway outside its network is refused",
    type: "host-local",
    steps: [call("ADD", local({ gateway: "10.99.0.1" }))],
  },
  {
    id: "host-local-refused-and-deleted",
    differs: { "DEL of nothing": [1] },
    type: "host-local",
    steps: [call("ADD", local({ subnet: "x" })), call("DEL", local({ subnet: "x" }))],
  },
  {
    id: "host-local-two-of-a-family-0.2.0",
    type: "host-local",
    steps: [
      call("ADD", local({ ranges: [[{ subnet: "10.78.0.0/24" }]] }, { cniVersion: "0.2.0" })),
    ],
  },
  {
    id: "host-local-resolv-conf",
    type: "host-local",
    steps: [
      {
        host: [
          "sh",
          "-c",
          `mkdir -p ${DIR}; printf '#c\\nnameserver 1.1.1.1\\nnameserver 2.2.2.2\\ndomain d.e\\nsearch a b\\noptions ndots:2 rotate\\n' > ${DIR}/resolv.conf`,
        ],
      },
      call("ADD", local({ resolvConf: `${DIR}/resolv.conf` })),
    ],
  },
  {
    id: "host-local-default-directory",
    type: "host-local",
    steps: life(local({ dataDir: null })),
  },
  {
    id: "host-local-old-lease",
    type: "host-local",
    steps: [
      {
        host: [
          "sh",
          "-c",
          `mkdir -p ${DIR}/ipam/net-1; printf 'ctr-1' > ${DIR}/ipam/net-1/10.77.0.9`,
        ],
      },
      call("CHECK", local()),
      call("ADD", local()),
      call("DEL", local()),
    ],
  },
  {
    id: "host-local-ipv6",
    type: "host-local",
    steps: life(local({ subnet: "fd77::/120" })),
  },
];

const STATIC: Twin[] = [
  { id: "static-life", type: "static", steps: life(fixed()) },
  ...VERSIONS.map((cniVersion): Twin => ({
    id: `static-${cniVersion}`,
    type: "static",
    steps: short(fixed({ routes: [{ dst: "0.0.0.0/0" }], dns: { nameservers: ["9.9.9.9"] } }, {
      cniVersion,
    })),
  })),
  {
    id: "static-args",
    type: "static",
    steps: [
      call("ADD", fixed({ addresses: [] }), { args: "IP=10.78.0.9/24;GATEWAY=10.78.0.1" }),
      call("ADD", fixed(), { args: "IP=10.78.0.9" }),
      call("ADD", fixed(), { args: "IP=10.78.0.9/24, fd00::5/64;GATEWAY=fd00::1" }),
      call("ADD", fixed(), { args: "GATEWAY=x" }),
    ],
  },
  {
    id: "static-runtime",
    type: "static",
    steps: [
      call("ADD", fixed({}, { runtimeConfig: { ips: ["10.78.0.8/24"] } })),
      call("ADD", fixed({}, { args: { cni: { ips: ["10.78.0.7/24"] } } })),
      call("ADD", fixed({}, { args: { cni: { ips: ["10.78.0.7"] } } })),
    ],
  },
  {
    id: "static-mistakes",
    type: "static",
    steps: [
      call("ADD", net("static")),
      call("ADD", fixed({ addresses: [{ address: "10.78.0.5" }] })),
      call("ADD", fixed({ addresses: [] })),
      call("ADD", fixed({ addresses: "x" })),
      call("CHECK", fixed()),
    ],
  },
];

const BRIDGE: Twin[] = [
  { id: "bridge-life", type: "bridge", steps: life(bridge()) },
  { id: "bridge-gateway", type: "bridge", steps: life(bridge({ isGateway: true })) },
  {
    id: "bridge-default-gateway",
    type: "bridge",
    steps: life(bridge({ isDefaultGateway: true, ipam: { ...DUAL, routes: [] } })),
  },
  {
    id: "bridge-dual-masquerade",
    type: "bridge",
    steps: life(bridge({ isGateway: true, ipMasq: true, ipam: DUAL })),
  },
  ...VERSIONS.map((cniVersion): Twin => ({
    id: `bridge-${cniVersion}`,
    type: "bridge",
    steps: short(bridge({
      isGateway: true,
      cniVersion,
      ipam: { ...DUAL, ranges: [[{ subnet: "10.77.0.0/24" }], [{ subnet: "fd77::/64" }]] },
    })),
  })),
  { id: "bridge-mtu", type: "bridge", steps: life(bridge({ mtu: 1400 })) },
  { id: "bridge-hairpin", type: "bridge", steps: life(bridge({ hairpinMode: true })) },
  { id: "bridge-promisc", type: "bridge", steps: life(bridge({ promiscMode: true })) },
  { id: "bridge-mac-spoof-check", type: "bridge", steps: life(bridge({ macspoofchk: true })) },
  {
    id: "bridge-port-isolation",
    newer: "portIsolation",
    type: "bridge",
    steps: life(bridge({ portIsolation: true })),
  },
  {
    id: "bridge-nftables",
    differs: { "no empty tables": [2, 3] },
    newer: "ipMasqBackend",
    type: "bridge",
    steps: life(bridge({ ipMasq: true, ipMasqBackend: "nftables", ipam: DUAL })),
  },
  {
    id: "bridge-no-ipam",
    older: { "mended since Debian's": [1] },
    type: "bridge",
    steps: life(bridge({ ipam: {} })),
  },
  {
    id: "bridge-mac",
    differs: { "a failed ADD leaves nothing": [0, 1, 2, 3], "DEL of nothing": [2, 3] },
    type: "bridge",
    steps: life(bridge(), { args: "MAC=02:11:22:33:44:55" }),
  },
  {
    id: "bridge-mac-ignored",
    type: "bridge",
    steps: life(bridge(), { args: "MAC=02:11:22:33:44:55;IgnoreUnknown=true" }),
  },
  {
    id: "bridge-mac-runtime",
    type: "bridge",
    steps: life(bridge({
      runtimeConfig: { mac: "02:11:22:33:44:66" },
      args: { cni: { mac: "02:11:22:33:44:77" } },
    })),
  },
  { id: "bridge-dns", type: "bridge", steps: life(bridge({ dns: { nameservers: ["8.8.8.8"] } })) },
  {
    id: "bridge-routes",
    newer: "CHECK compares a route with the gateway that was filled in",
    type: "bridge",
    steps: life(bridge({
      isGateway: true,
      ipam: { ...V4, routes: [{ dst: "10.0.0.0/8" }, { dst: "10.9.0.0/16", gw: "10.77.0.7" }] },
    })),
  },
  {
    id: "bridge-two",
    type: "bridge",
    steps: [
      call("ADD", bridge({ isGateway: true, ipMasq: true })),
      call("ADD", bridge({ isGateway: true, ipMasq: true }), { id: "b", ns: NS2 }),
      call("DEL", bridge({ isGateway: true, ipMasq: true }), { prev: 0 }),
      call("DEL", bridge({ isGateway: true, ipMasq: true }), { id: "b", ns: NS2, prev: 1 }),
    ],
  },
  {
    id: "bridge-there",
    type: "bridge",
    steps: [
      host("ip link add br77 type bridge"),
      host("ip address add 10.77.0.1/24 dev br77"),
      ...life(bridge({ isGateway: true })).slice(0, 1),
    ],
  },
  {
    id: "bridge-other-address",
    differs: { "a failed ADD leaves nothing": [2] },
    type: "bridge",
    steps: [
      host("ip link add br77 type bridge"),
      host("ip address add 10.78.0.1/24 dev br77"),
      call("ADD", bridge({ isGateway: true })),
    ],
  },
  {
    id: "bridge-force-address",
    type: "bridge",
    steps: [
      host("ip link add br77 type bridge"),
      host("ip address add 10.78.0.1/24 dev br77"),
      call("ADD", bridge({ isGateway: true, forceAddress: true })),
    ],
  },
  {
    id: "bridge-name-taken",
    type: "bridge",
    steps: [host("ip link add br77 type veth peer name x"), call("ADD", bridge())],
  },
  {
    id: "bridge-interface-there",
    differs: { "a failed ADD leaves nothing": [1] },
    type: "bridge",
    steps: [inside("ip link add eth0 type bridge"), call("ADD", bridge())],
  },
  {
    id: "bridge-no-namespace",
    differs: { "a failed ADD leaves nothing": [0] },
    type: "bridge",
    steps: [call("ADD", bridge(), { ns: "/nowhere" })],
  },
  {
    id: "bridge-del-no-namespace",
    differs: { "DEL finds what was made": [1] },
    type: "bridge",
    steps: [
      call("ADD", bridge()),
      call("DEL", bridge(), { ns: "/nowhere", prev: 0 }),
    ],
  },
  {
    id: "bridge-check-gone",
    type: "bridge",
    steps: [
      call("ADD", bridge({ isGateway: true })),
      inside("ip address del 10.77.0.2/24 dev eth0"),
      call("CHECK", bridge({ isGateway: true }), { prev: 0 }),
      inside("ip link del eth0"),
      call("CHECK", bridge({ isGateway: true }), { prev: 0 }),
      call("DEL", bridge({ isGateway: true }), { prev: 0 }),
    ],
  },
  {
    id: "bridge-mistakes",
    type: "bridge",
    steps: [
      call("ADD", bridge({ vlan: 5000 })),
      call("ADD", bridge({ hairpinMode: true, promiscMode: true })),
      call("ADD", bridge({ isGateway: "yes" })),
      call("ADD", bridge({ mtu: "x" })),
      call("ADD", bridge({ cniVersion: "9.9.9" })),
      call("ADD", bridge({ name: "" })),
      call("ADD", bridge({ name: "a/b" })),
      call("ADD", bridge(), { args: "FOO=1" }),
      call("ADD", bridge(), { id: "a/b" }),
      call("ADD", bridge(), { id: "" }),
      call("ADD", bridge(), { ifName: "much-too-long-a-name" }),
      call("ADD", bridge(), { ifName: "a/b" }),
      call("FOO", bridge()),
      call("CHECK", bridge({ cniVersion: "0.3.1" })),
      { command: "ADD", env: {}, stdin: "{" },
      { command: "VERSION", env: {}, stdin: "" },
      { command: null, env: {}, stdin: "" },
    ],
  },
  {
    id: "bridge-ipam-fails",
    differs: { "a failed ADD leaves nothing": [0] },
    type: "bridge",
    steps: [call("ADD", bridge({ ipam: { ...V4, subnet: "x" } }))],
  },
  { id: "bridge-static", type: "bridge", steps: life(bridge({ ipam: fixed().ipam! })) },
  { id: "bridge-other-case", type: "bridge", steps: life(bridge({ ISGATEWAY: true })) },
];

const PTP: Twin[] = [
  { id: "ptp-life", type: "ptp", steps: life(ptp()) },
  { id: "ptp-dual-masquerade", type: "ptp", steps: life(ptp({ ipMasq: true, ipam: DUAL })) },
  { id: "ptp-mtu", type: "ptp", steps: life(ptp({ mtu: 1300, dns: { domain: "x.y" } })) },
  {
    id: "ptp-two",
    type: "ptp",
    steps: [
      call("ADD", ptp()),
      call("ADD", ptp(), { id: "b", ns: NS2 }),
      call("DEL", ptp(), { prev: 0 }),
      call("DEL", ptp(), { id: "b", ns: NS2 }),
    ],
  },
  ...["0.2.0", "0.3.1", "0.4.0"].map((cniVersion): Twin => ({
    id: `ptp-${cniVersion}`,
    type: "ptp",
    steps: short(ptp({ cniVersion, ipam: { ...V4, routes: [{ dst: "0.0.0.0/0" }] } })),
  })),
  {
    id: "ptp-check-gone",
    type: "ptp",
    steps: [
      call("ADD", ptp({ ipam: { ...V4, routes: [{ dst: "0.0.0.0/0" }] } })),
      inside("ip route del default"),
      call("CHECK", ptp(), { prev: 0 }),
      call("CHECK", ptp(), { prev: 0, ns: NS2 }),
      call("CHECK", ptp()),
    ],
  },
];

const MACVLAN: Twin[] = [
  { id: "macvlan-life", type: "macvlan", steps: [...UP0, ...shifted(life(macvlan()), 3)] },
  ...["private", "vepa", "bridge", "passthru"].map((mode): Twin => ({
    id: `macvlan-${mode}`,
    type: "macvlan",
    steps: [...UP0, ...shifted(life(macvlan({ mode })), 3)],
  })),
  {
    id: "macvlan-mac-mtu",
    type: "macvlan",
    steps: [...UP0, ...shifted(life(macvlan({ mtu: 1400, mac: "02:00:00:00:00:77" })), 3)],
  },
  {
    id: "macvlan-default-route",
    type: "macvlan",
    steps: [
      ...UP0,
      host("ip address add 192.0.2.1/24 dev up0"),
      host("ip route add default via 192.0.2.2"),
      call("ADD", macvlan({ master: null })),
      call("DEL", macvlan({ master: null })),
    ],
  },
  {
    id: "macvlan-no-ipam",
    type: "macvlan",
    steps: [...UP0, ...shifted(life(macvlan({ ipam: {} })), 3)],
  },
  {
    id: "macvlan-host-has-the-name",
    type: "macvlan",
    steps: [
      ...UP0,
      host("ip link add eth0 type bridge"),
      call("ADD", macvlan({ ipam: DUAL })),
      call("DEL", macvlan({ ipam: DUAL })),
    ],
  },
  {
    id: "macvlan-mistakes",
    type: "macvlan",
    steps: [
      ...UP0,
      call("ADD", macvlan({ mode: "x" })),
      call("ADD", macvlan({ master: "none" })),
      call("ADD", macvlan({ mtu: 9000 })),
      call("ADD", macvlan({ mac: "x" })),
      call("ADD", macvlan({ master: null })),
    ],
  },
  {
    id: "macvlan-in-container",
    newer: "linkInContainer",
    type: "macvlan",
    steps: [
      inside("ip link add up0 type veth peer name up1"),
      inside("ip link set up0 up"),
      call("ADD", macvlan({ linkInContainer: true })),
      call("DEL", macvlan({ linkInContainer: true })),
    ],
  },
];

/** Steps after others: the step whose output they hand on comes later by as many. */
function shifted(steps: Twin["steps"], by: number): Twin["steps"] {
  return steps.map((step) =>
    "prevResultFrom" in step ? { ...step, prevResultFrom: step.prevResultFrom! + by } : step
  );
}

export const CASES: Twin[] = [
  ...LOOPBACK,
  ...HOST_LOCAL,
  ...STATIC,
  ...BRIDGE,
  ...PTP,
  ...MACVLAN,
];
