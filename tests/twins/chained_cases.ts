/** The cases of plugins that change what the one before them in a list made. */
import type { JsonObject } from "../../lib/base/json.ts";
import { call, DIR, host, inside, type Step, type Twin } from "./case.ts";

const net = (type: string, fields: JsonObject = {}): JsonObject => ({
  cniVersion: "1.0.0",
  name: "net-1",
  type,
  ...fields,
});
const BRIDGE = net("bridge", {
  bridge: "br77",
  isGateway: true,
  ipam: {
    type: "host-local",
    dataDir: `${DIR}/ipam`,
    ranges: [[{ subnet: "10.77.0.0/24" }], [{ subnet: "fd77::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  },
});

/** After the bridge: ADD, CHECK, DEL, DEL again, and DEL without the result. */
function after(type: string, fields: JsonObject = {}, options = {}): Step[] {
  const config = net(type, fields);
  return [
    call("ADD", BRIDGE, { type: "bridge" }),
    call("ADD", config, { ...options, prev: 0 }),
    call("CHECK", config, { ...options, prev: 1 }),
    call("DEL", config, { ...options, prev: 1 }),
    call("DEL", config, { ...options, prev: 1 }),
    call("DEL", config, options),
  ];
}

const mistake = (type: string, id: string, fields: JsonObject): Twin => ({
  id: `${type}-${id}`,
  type,
  steps: [
    call("ADD", BRIDGE, { type: "bridge" }),
    call("ADD", net(type, fields), { prev: 0 }),
  ],
});

const FIREWALL: Twin[] = [
  { id: "firewall-life", type: "firewall", steps: after("firewall", { backend: "iptables" }) },
  { id: "firewall-default", type: "firewall", steps: after("firewall") },
  {
    id: "firewall-admin-chain",
    type: "firewall",
    steps: after("firewall", { backend: "iptables", iptablesAdminChainName: "MY-ADMIN" }),
  },
  {
    id: "firewall-same-bridge",
    newer: "other comments",
    type: "firewall",
    steps: after("firewall", { backend: "iptables", ingressPolicy: "same-bridge" }),
  },
  {
    id: "firewall-isolated",
    newer: "the policy isolated",
    type: "firewall",
    steps: after("firewall", { backend: "iptables", ingressPolicy: "isolated" }),
  },
  {
    id: "firewall-check-gone",
    type: "firewall",
    steps: [
      ...after("firewall", { backend: "iptables" }).slice(0, 2),
      host("iptables -F CNI-FORWARD"),
      call("CHECK", net("firewall", { backend: "iptables" }), { prev: 1 }),
    ],
  },
  {
    id: "firewall-alone",
    type: "firewall",
    steps: [
      call("ADD", net("firewall")),
      call("ADD", net("firewall", { cniVersion: "0.3.1" })),
      { command: "VERSION", env: {}, stdin: "" },
    ],
  },
];

const TUNING: Twin[] = [
  {
    id: "tuning-sysctl",
    newer: "CHECK compares with a line break",
    type: "tuning",
    steps: after("tuning", {
      sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" },
    }),
  },
  {
    id: "tuning-link",
    newer: "txQLen",
    type: "tuning",
    steps: after("tuning", {
      dataDir: `${DIR}/tuning`,
      mac: "02:00:00:00:00:55",
      mtu: 1400,
      promisc: true,
      allmulti: true,
      txQLen: 77,
    }),
  },
  { id: "tuning-default-directory", type: "tuning", steps: after("tuning", { mtu: 1300 }) },
  {
    id: "tuning-mac-args",
    type: "tuning",
    steps: after("tuning", { dataDir: `${DIR}/t` }, { args: "MAC=02:00:00:00:00:66" }),
  },
  {
    id: "tuning-cni-args",
    type: "tuning",
    steps: after("tuning", {
      dataDir: `${DIR}/t`,
      sysctl: { "net.core.somaxconn": "1" },
      args: { cni: { mtu: 1280, sysctl: { "net.core.somaxconn": "600" } } },
    }),
  },
  mistake("tuning", "not-net", { sysctl: { "kernel.hostname": "x" } }),
  mistake("tuning", "out-of-net", { sysctl: { "net/../kernel/hostname": "x" } }),
  mistake("tuning", "no-such", { sysctl: { "net.core.nonsense": "1" } }),
  {
    id: "tuning-check-gone",
    type: "tuning",
    steps: [
      ...after("tuning", { sysctl: { "net.core.somaxconn": "500" } }).slice(0, 2),
      inside("sysctl -qw net.core.somaxconn=501"),
      call("CHECK", net("tuning", { sysctl: { "net.core.somaxconn": "500" } }), { prev: 1 }),
    ],
  },
  {
    id: "tuning-allow-list",
    newer: "the list of what is allowed",
    type: "tuning",
    steps: [
      {
        host: [
          "sh",
          "-c",
          "mkdir -p /etc/cni/tuning && echo '^net.core.*$' > /etc/cni/tuning/allowlist.conf",
        ],
      },
      call("ADD", BRIDGE, { type: "bridge" }),
      call("ADD", net("tuning", { sysctl: { "net.core.somaxconn": "500" } }), { prev: 1 }),
      call("ADD", net("tuning", { sysctl: { "net.ipv4.ip_forward": "1" } }), { prev: 1 }),
    ],
  },
];

const LIMITS = { ingressRate: 8_000_000, ingressBurst: 80_000, egressRate: 1_000_000 };

const BANDWIDTH: Twin[] = [
  {
    id: "bandwidth-both",
    type: "bandwidth",
    steps: after("bandwidth", { ...LIMITS, egressBurst: 40_000 }),
  },
  {
    id: "bandwidth-ingress",
    type: "bandwidth",
    steps: after("bandwidth", { ingressRate: 8_000_000, ingressBurst: 80_000 }),
  },
  {
    id: "bandwidth-runtime",
    type: "bandwidth",
    steps: after("bandwidth", {
      runtimeConfig: { bandwidth: { egressRate: 16_000_000, egressBurst: 320_000 } },
    }),
  },
  {
    id: "bandwidth-none",
    newer: "CHECK breaks down",
    type: "bandwidth",
    steps: after("bandwidth").slice(0, 3),
  },
  {
    id: "bandwidth-large",
    type: "bandwidth",
    steps: after("bandwidth", { ingressRate: 80_000_000_000, ingressBurst: 800_000_000 }),
  },
  mistake("bandwidth", "half", LIMITS),
  mistake("bandwidth", "text", { ingressRate: "1", ingressBurst: 1 }),
  {
    id: "bandwidth-check-gone",
    type: "bandwidth",
    steps: [
      ...after("bandwidth", { ingressRate: 8_000_000, ingressBurst: 80_000 }).slice(0, 2),
      call("CHECK", net("bandwidth", { ingressRate: 9_000_000, ingressBurst: 80_000 }), {
        prev: 1,
      }),
    ],
  },
];

const SBR: Twin[] = [
  { id: "sbr-life", type: "sbr", steps: after("sbr") },
  { id: "sbr-table", newer: "table", type: "sbr", steps: after("sbr", { table: 77 }) },
  {
    id: "sbr-tables-taken",
    type: "sbr",
    steps: [inside("ip rule add from 10.9.9.9 table 100"), ...later(after("sbr"), 1)],
  },
  { id: "sbr-alone", type: "sbr", steps: [call("ADD", net("sbr"))] },
];

const DEVICE = [host("ip link add dev77 type veth peer name dev78"), host("ip link set dev77 up")];
const IPAM = {
  type: "host-local",
  dataDir: `${DIR}/ipam`,
  subnet: "10.77.0.0/24",
  routes: [{ dst: "0.0.0.0/0" }],
};

const HOST_DEVICE: Twin[] = [
  {
    id: "host-device-life",
    newer: "the alias goes at DEL",
    type: "host-device",
    steps: [
      ...DEVICE,
      call("ADD", net("host-device", { device: "dev77", ipam: IPAM })),
      call("CHECK", net("host-device", { device: "dev77", ipam: IPAM }), { prev: 2 }),
      call("DEL", net("host-device", { device: "dev77", ipam: IPAM }), { prev: 2 }),
    ],
  },
  {
    id: "host-device-no-ipam",
    newer: "the alias goes at DEL",
    type: "host-device",
    steps: [
      ...DEVICE,
      host("ip link set dev77 address 02:00:00:00:00:99"),
      call("ADD", net("host-device", { hwaddr: "02:00:00:00:00:99" })),
      call("DEL", net("host-device", { hwaddr: "02:00:00:00:00:99" })),
    ],
  },
  {
    id: "host-device-mistakes",
    type: "host-device",
    steps: [
      call("ADD", net("host-device")),
      call("ADD", net("host-device", { device: "none" })),
      call("ADD", net("host-device", { hwaddr: "x" })),
      call("ADD", net("host-device", { kernelpath: "/etc" })),
      call("ADD", net("host-device", { pciBusID: "0000:ff:ff.f" })),
      call("ADD", net("host-device", { device: "lo", runtimeConfig: { deviceID: "x" } })),
    ],
  },
];

const PORTS = {
  runtimeConfig: {
    portMappings: [{ hostPort: 8077, containerPort: 80, protocol: "tcp" }],
  },
};

const PORTMAP: Twin[] = [
  {
    id: "portmap-life",
    older: { "mended since Debian's": [2] },
    type: "portmap",
    steps: after("portmap", PORTS),
  },
  { id: "portmap-none", type: "portmap", steps: after("portmap").slice(0, 3) },
  {
    id: "portmap-mistakes",
    newer: "backend",
    type: "portmap",
    steps: [
      call("ADD", BRIDGE, { type: "bridge" }),
      call("ADD", net("portmap", { ...PORTS, backend: "x" }), { prev: 0 }),
      call("ADD", net("portmap", { ...PORTS, markMasqBit: 32 }), { prev: 0 }),
      call("ADD", net("portmap", { ...PORTS, markMasqBit: 3, externalSetMarkChain: "X" }), {
        prev: 0,
      }),
      call(
        "ADD",
        net("portmap", {
          runtimeConfig: { portMappings: [{ hostPort: 0, containerPort: 80, protocol: "tcp" }] },
        }),
        { prev: 0 },
      ),
      call("ADD", net("portmap", PORTS)),
      call("CHECK", net("portmap", PORTS)),
    ],
  },
];

/** Steps that come later by as many. */
function later(steps: Step[], by: number): Step[] {
  return steps.map((step) =>
    "prevResultFrom" in step ? { ...step, prevResultFrom: step.prevResultFrom! + by } : step
  );
}

export const CHAINED_CASES: Twin[] = [
  ...FIREWALL,
  ...TUNING,
  ...BANDWIDTH,
  ...SBR,
  ...HOST_DEVICE,
  ...PORTMAP,
];
