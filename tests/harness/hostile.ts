/** What frameworks and operators may write, at its worst, and every field that it may come by. */
import type { JsonObject } from "../../lib/base/json.ts";

const SHELL = [
  "$(id)",
  "`id`",
  "$IFS",
  "${PATH}",
  "a;b",
  "a&b",
  "a|b",
  "a>b",
  "a<b",
  "*",
  "?",
  "~",
];
const QUOTES = ['"', "'", '\\"', "\\", "''", '""', 'a" -j ACCEPT -m comment --comment "', "a'b"];
const BLANKS = [
  " ",
  "a b",
  "\t",
  "\n",
  "\r",
  "\r\n",
  "\v",
  "\f",
  "\u00a0",
  "\u2028",
  "\u3000",
  "\ufeff",
];
const LINES = [
  "a\nCOMMIT",
  "a\n*nat\n:OUTPUT DROP",
  "a\n-A OUTPUT -j DROP",
  "#",
  "a #b",
  "a\n}",
  "}; flush ruleset; {",
];
const OPTIONS = [
  "-j",
  "--jump",
  "-j DROP",
  "!",
  "! -i lo",
  "--",
  "-",
  "-t",
  "--modprobe=/tmp/x",
  "-A",
];
const PATHS = [
  "/",
  "..",
  ".",
  "../..",
  "../../etc/passwd",
  "/etc/passwd",
  "a/b",
  "a/../b",
  "./a",
  "a/",
  "//",
];
const BYTES = ["\0", "a\0b", "\x01", "\x1b[31m", "\x7f", "\u0080", "\ud800", "\udfff", "a\u0000"];
const UNICODE = [
  "é",
  "ß",
  "日本",
  "🦀",
  "e\u0301",
  "\u202e",
  "\u200b",
  "\u0430dmin",
  "ｅｔｈ０",
  "ﬀ",
  "İ",
  "ı",
];
const LONG = [16, 29, 128, 256, 1000, 65536].flatMap((
  n,
) => ["a".repeat(n), "-".repeat(n), "é".repeat(n)]);
const WORDS = [
  ...["PREROUTING", "OUTPUT", "INPUT", "ACCEPT", "DROP", "DNAT", "RETURN", "MESOS-CNI-SNAT"],
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "null", "undefined", "NaN"],
  ...[
    "tcp",
    "TCP",
    "icmp",
    "all",
    "0",
    "6",
    "tcp,udp",
    "eth+",
    "+",
    "lo",
    "eth0:1",
    "eth0.100",
    "a@b",
  ],
  ...["0.0.0.0", "::", "127.0.0.1", "1.2.3.4/8", "1.2.3", "01.2.3.4", "1.2.3.4 -j", "fe80::1%eth0"],
  ...[
    "::ffff:1.2.3.4",
    "[::1]",
    "1.2.3.4:80",
    "2001:DB8::0:1",
    "container_id: x",
    'x" ',
    "%s%n",
    "{{x}}",
  ],
];
const NUMBERS = [0, -0, -1, 1, 65535, 65536, 70000, 1.5, 1e21, 2 ** 53, 0.1, -65535];
const OTHERS: unknown[] = [null, true, false, [], {}, [[]], [8080], { a: 1 }, [null], ["tcp"], {
  toString: "x",
}];
const TYPES = ["80", " 80", "80 ", "0x50", "8e1", "+80", "08", "80.0", "", "٨٠", "80\n", "80;"];
export const CORPUS: unknown[] = [
  ...[SHELL, QUOTES, BLANKS, LINES, OPTIONS, PATHS, BYTES, UNICODE, LONG, WORDS, NUMBERS, OTHERS],
  TYPES,
  // Each also inside of what is fine by itself.
  ...[SHELL, QUOTES, BLANKS, LINES].flat().map((text) => [`eth${text}`, `${text}0`]),
].flat();

/** Every field that a value can come by. */
export const FIELDS: Record<string, (value: unknown) => JsonObject> = {
  name: (value) => config({ name: value }),
  chain: (value) => config({ chain: value }),
  backend: (value) => config({ backend: value }),
  snat: (value) => config({ snat: value }),
  excludeDevices: (value) => config({ excludeDevices: value }),
  "an excluded device": (value) => config({ excludeDevices: ["lo", value] }),
  args: (value) => config({ args: value }),
  network_info: (value) => config({ args: { "org.apache.mesos": { network_info: value } } }),
  port_mappings: (value) => info({ port_mappings: value }),
  "a mapping": (value) => info({ port_mappings: [value] }),
  host_port: (value) => mapping({ host_port: value }),
  container_port: (value) => mapping({ container_port: value }),
  protocol: (value) => mapping({ protocol: value }),
  label: (value) => info({ labels: { labels: [{ key: value, value }] } }),
  hostname: (value) => info({ name: value, hostname: value }),
  runtimeConfig: (value) => config({ runtimeConfig: value }),
  portMappings: (value) => config({ runtimeConfig: { portMappings: value } }),
  hostPort: (value) => runtime({ hostPort: value }),
  containerPort: (value) => runtime({ containerPort: value }),
  "runtime protocol": (value) => runtime({ protocol: value }),
  hostIP: (value) => runtime({ hostIP: value }),
  delegate: (value) => config({ delegate: value }),
  "delegate type": (value) => config({ delegate: { type: value } }),
  "delegate version": (value) => config({ delegate: { type: "bridge", cniVersion: value } }),
};

export function config(more: Record<string, unknown>): JsonObject {
  return {
    cniVersion: "1.0.0",
    name: "net",
    type: "mesos-cni-port-mapper",
    chain: "CHAIN",
    args: {
      "org.apache.mesos": {
        network_info: { port_mappings: [{ host_port: 1, container_port: 2 }] },
      },
    },
    delegate: { type: "bridge" },
    ...more,
  } as JsonObject;
}
const info = (more: unknown) => config({ args: { "org.apache.mesos": { network_info: more } } });
const mapping = (more: object) =>
  info({ port_mappings: [{ host_port: 8080, container_port: 80, ...more }] });
const runtime = (more: object) =>
  config({
    args: undefined,
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, ...more }] },
  });
