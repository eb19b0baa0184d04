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
    type: "firewall",
    steps: after("firewall", { backend: "iptables", ingressPolicy: "same-bridge" }),
  },
  {
    id: "firewall-isolated",
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
    type: "tuning",
    steps: after("tuning", {
      sysctl: { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" },
    }),
  },
  {
    id: "tuning-link",
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
  { id: "bandwidth-none", type: "bandwidth", steps: after("bandwidth").slice(0, 3) },
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

export const CHAINED_CASES: Twin[] = [...FIREWALL, ...TUNING, ...BANDWIDTH];
