/**
 * What real configs once showed to be wrong with the linter, one by one, on the compiled program:
 * failures it was silent about, errors and warnings that were none, and words that misled.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { MESOS_CNI } from "../harness/binary.ts";

interface Finding {
  code: string;
  severity: string;
  file: string;
  start: { line: number; column: number };
  message: string;
  help: string;
}

interface Case {
  what: string;
  /** The file's name; net.conf unless it is said. */
  name?: string;
  args?: string[];
  text: string;
  /** `SEVERITY CODE LINE`, in the order of the file; infos only where they are named. */
  expect: string[];
  /** What the first finding says, in its message or its help. */
  says?: string;
}

const ROUTES = [{ dst: "0.0.0.0/0" }];
const ipam = (more: object = {}) => ({
  type: "host-local",
  subnet: "10.1.0.0/16",
  routes: ROUTES,
  ...more,
});

/** A network with a line for each key, so that places are lines: the first key stands on line 4. */
function net(fields: Record<string, unknown>): string {
  const lines = Object.entries({ cniVersion: "1.0.0", name: "net", ...fields })
    .map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}

const bridge = (more: Record<string, unknown> = {}, inner: object = {}) =>
  net({ type: "bridge", bridge: "cni0", isGateway: true, ipam: ipam(inner), ...more });
const macvlan = (more: Record<string, unknown>, inner: object = {}) =>
  net({ type: "macvlan", master: "eth0", ipam: ipam(inner), ...more });
const chain = (...plugins: object[]) =>
  net({
    plugins: [{ type: "bridge", bridge: "cni0", isGateway: true, ipam: ipam() }, ...plugins],
  });

const CASES: Case[] = [
  // No finding, and every container failed.
  {
    what: "isDefaultGateway beside the same route",
    text: bridge({ isDefaultGateway: true }),
    expect: ["error CNI412 7"],
    says: "the second one fails",
  },
  {
    what: "one route twice",
    text: bridge({}, { routes: [...ROUTES, ...ROUTES] }),
    expect: ["error CNI412 7"],
  },
  {
    what: "a gateway that is in no subnet of the container's, and a route through it",
    text: net({ type: "macvlan", master: "eth0", ipam: ipam({ gateway: "10.2.0.1" }) }),
    expect: ["error CNI409 6"],
  },
  {
    what: "ptp with a gateway outside, and a route through it",
    text: net({ type: "ptp", ipam: ipam({ gateway: "10.2.0.1" }) }),
    expect: ["error CNI409 5"],
  },
  {
    what: "a ptp route through a hop in no subnet",
    text: net({ type: "ptp", ipam: ipam({ routes: [{ dst: "0.0.0.0/0", gw: "10.2.0.1" }] }) }),
    expect: ["error CNI411 5"],
  },
  {
    what: "two interfaces in one list",
    name: "net.conflist",
    text: chain({ type: "ptp", ipam: ipam() }),
    expect: ["error CNI118 4"],
    says: "second interface",
  },
  {
    what: "a stock agent and a new version",
    args: ["--for=stock-agent"],
    text: bridge(),
    expect: ["error CNI116 2"],
    says: "0.2.0",
  },
  {
    what: "a stock agent and a list",
    name: "net.conflist",
    args: ["--for=stock-agent"],
    text: chain(),
    expect: ["error CNI116 4"],
  },
  {
    what: "a stock agent and a plugin without a type",
    args: ["--for=stock-agent"],
    text: net({ cniVersion: "0.2.0", bridge: "cni0" }),
    expect: ["error CNI103 1"],
  },
  // Errors that were none.
  {
    what: "excluded devices with iptables' wildcard",
    text: net({
      type: "mesos-cni-port-mapper",
      chain: "MESOS",
      excludeDevices: ["cali+", "cni0"],
      delegate: { type: "bridge", bridge: "cni0", isGateway: true, ipam: ipam() },
    }),
    expect: [],
  },
  {
    what: "host bits in an IPv6 route",
    text: bridge({}, {
      ranges: [[{ subnet: "10.3.0.0/16" }], [{ subnet: "fd00::/64" }]],
      subnet: undefined,
      routes: [...ROUTES, { dst: "fd01::1/64" }],
    }),
    expect: [],
  },
  {
    what: "antrea's host-local, which it fills in",
    name: "net.conflist",
    args: ["--for=libcni"],
    text: net({ plugins: [{ type: "antrea", ipam: { type: "host-local" } }] }),
    expect: [],
  },
  {
    what: "a link-local gateway",
    text: macvlan({}, { subnet: "fd00::/64", gateway: "fe80::1", routes: [{ dst: "::/0" }] }),
    expect: ["warning CNI409 6"],
    says: "1.10.0",
  },
  {
    what: "Windows' routes",
    args: ["--for=libcni"],
    text: net({ type: "win-bridge", ipam: ipam({ routes: [{ GW: "10.1.0.1" }] }) }),
    expect: [],
  },
  // Warnings that were none.
  {
    what: "keys in another letter case",
    text: net({ type: "bridge", bridge: "cni0", IsGateway: true, ipam: ipam() }),
    expect: ["info CNI501 6"],
    says: 'write "isGateway"',
  },
  {
    what: "a path in kubeConfig",
    args: ["--for=libcni"],
    text: net({ type: "whatever", kubeConfig: "/etc/cni/net.d/kubeconfig" }),
    expect: ["warning CNI117 4"],
  },
  { what: "a .cni file", name: "net.cni", text: bridge(), expect: [] },
  { what: "a file without an extension", name: "net", text: bridge(), expect: [] },
  {
    what: "a range for documentation",
    text: bridge({}, { subnet: "192.0.2.0/24" }),
    expect: [],
  },
  {
    what: "a network that is to have no route",
    text: bridge({ _lint_ignore: "no-route-to-agent" }, { routes: undefined }),
    expect: [],
  },
  // An info, though the author was misled.
  {
    what: "a bridge's keys in ipvlan",
    text: net({ type: "ipvlan", master: "eth0", isGateway: true, bridge: "b", ipam: ipam() }),
    expect: ["warning CNI501 6", "warning CNI501 7"],
    says: "it belongs to bridge",
  },
  {
    what: "a subnet beside ipam",
    text: net({
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      subnet: "10.1.0.0/16",
      ipam: { type: "host-local", ranges: [[{ subnet: "10.1.0.0/16" }]], routes: ROUTES },
    }),
    expect: ["warning CNI501 7"],
    says: 'move it into "ipam"',
  },
  {
    what: "sysctl on a bridge",
    text: bridge({ sysctl: { "net.core.somaxconn": "500" } }),
    expect: ["warning CNI501 8"],
    says: "tuning",
  },
  {
    what: "dns in host-local",
    text: bridge({}, { dns: { nameservers: ["10.1.0.1"] } }),
    expect: ["warning CNI501 7"],
    says: 'beside "ipam"',
  },
  // Silence.
  {
    what: "a capability in another letter case",
    name: "net.conflist",
    text: chain({ type: "portmap", capabilities: { portmappings: true } }),
    expect: ["warning CNI511 4"],
    says: "portMappings",
  },
  {
    what: "a misspelt type, without the plugins' directory",
    text: net({ type: "brige", bridge: "cni0" }),
    expect: ["warning CNI117 4"],
    says: 'did you mean "bridge"?',
  },
  {
    what: "a type that is not known, with the directories that were looked at",
    text: net({ type: "router" }),
    expect: ["warning CNI117 4"],
    says: "/usr/lib/cni", // Debian's, of which the tests have plugins
  },
  {
    what: "a type that is not known, in the directory of plugins that is named",
    args: ["--plugins-dir=/usr/lib/cni"],
    text: net({ type: "router" }),
    expect: ["error CNI206 4"],
    says: 'there is no plugin "router" in /usr/lib/cni',
  },
  {
    what: "a misspelt type, with the plugins' directory",
    args: ["--plugins-dir=/usr/lib/cni"],
    text: net({ type: "brige", bridge: "cni0" }),
    expect: ["error CNI206 4"],
    says: 'did you mean "bridge"?',
  },
  {
    what: "a key of Calico's, one letter off",
    args: ["--for=libcni"],
    text: net({
      type: "calico",
      datastore_typ: "kubernetes",
      ipam: { type: "calico-ipam" },
    }),
    expect: ["warning CNI501 5"],
    says: "datastore_type",
  },
  {
    what: "a resolvConf that leads nowhere",
    args: ["--probe"],
    text: bridge({}, { resolvConf: "/no/such/resolv.conf" }),
    expect: ["error CNI801 7"],
  },
  {
    what: "a nameserver that is no address",
    text: bridge({ dns: { nameservers: ["8.8.8"] } }),
    expect: ["warning CNI503 8"],
  },
  {
    what: "disableCheck in words",
    name: "net.conflist",
    text: net({ disableCheck: "yes", plugins: [{ type: "bridge", ipam: ipam() }] }),
    expect: ["error CNI119 4"],
  },
  {
    what: "one static address for a network",
    text: net({
      type: "bridge",
      bridge: "cni0",
      isGateway: true,
      ipam: { type: "static", addresses: [{ address: "10.1.0.5/16" }], routes: ROUTES },
    }),
    expect: ["warning CNI418 7"],
  },
  {
    what: "a multicast subnet",
    text: bridge({}, { subnet: "224.1.0.0/16" }),
    expect: ["error CNI415 7"],
  },
  {
    what: "runtimeConfig and prevResult on disk",
    name: "net.conflist",
    text: chain({
      type: "portmap",
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [] },
      prevResult: { cniVersion: "1.0.0" },
    }),
    expect: ["warning CNI512 4", "warning CNI512 4"],
  },
  // Words.
  {
    what: "YAML",
    text: "name: net\ntype: bridge\nbridge: cni0\n",
    expect: ["error CNI001 1"],
    says: "YAML",
  },
  {
    what: "a Kubernetes manifest in YAML",
    text: "apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\n",
    expect: ["error CNI001 1"],
    says: "Kubernetes manifest",
  },
  {
    what: "a Kubernetes manifest in JSON",
    text: '{\n  "apiVersion": "v1",\n  "kind": "ConfigMap",\n  "data": {}\n}\n',
    expect: ["error CNI011 2"],
    says: "Kubernetes manifest",
  },
  {
    what: "a comment with #",
    text: bridge().replace('  "name"', '  # the web tier\n  "name"'),
    expect: ["error CNI001 3"],
    says: "JSON has no comments",
  },
  {
    what: "a comment with //",
    text: bridge().replace('  "name"', '  // the web tier\n  "name"'),
    expect: ["error CNI003 3"],
    says: "JSON has no comments",
  },
  {
    what: "merge markers",
    text: bridge().replace(
      '  "name": "net",',
      '<<<<<<< HEAD\n  "name": "net",\n=======\n  "name": "web",\n>>>>>>> web',
    ),
    expect: ["error CNI001 3"],
    says: "conflict markers",
  },
  {
    what: "a key without quotes",
    text: bridge().replace('"name"', "name"),
    expect: ["error CNI001 3"],
    says: "the key name has no quotes",
  },
  {
    what: "typographic quotes",
    text: bridge().replace('"net"', "“net”"),
    expect: ["error CNI001 3"],
    says: "typographic quotes",
  },
  {
    what: "a comma that is missing at the end of a line",
    text: bridge().replace('"net",', '"net"'),
    expect: ["error CNI001 3"],
    says: "a comma is missing here",
  },
  {
    what: "ranges with too few brackets",
    text: bridge({}, { subnet: undefined, ranges: [{ subnet: "10.1.0.0/16" }] }),
    expect: ["error CNI502 7"],
    says: '[[{ "subnet": … }]]',
  },
  {
    what: "nothing that only follows from a wrong type",
    text: bridge({}, { subnet: 10 }),
    expect: ["error CNI502 7"],
  },
  {
    what: "a misspelt key, without saying twice what it should be",
    text: net({ type: "bridge", bridge: "cni0", isGatway: true, ipam: ipam() }),
    expect: ["warning CNI501 6"],
    says: 'bridge knows no key "isGatway"\ndid you mean "isGateway"?',
  },
];

/** What the program finds in each case, in its order; each stands alone in its directory. */
async function findingsOf(cases: readonly Case[]): Promise<Finding[][]> {
  const root = await Deno.makeTempDir({ prefix: "mesos-cni-lint-" });
  try {
    return await Promise.all(cases.map(async ({ name = "net.conf", args = [], text }, i) => {
      const directory = join(root, `${i}`);
      await Deno.mkdir(directory);
      await Deno.writeTextFile(join(directory, name), text, { mode: 0o644 });
      const { stdout } = await new Deno.Command(MESOS_CNI, {
        args: ["lint", "--json", ...args, directory],
        cwd: root,
      }).output();
      return JSON.parse(new TextDecoder().decode(stdout)).findings;
    }));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("what real configs showed stays mended", async (t) => {
  const all = await findingsOf(CASES);
  for (const [i, { what, expect, says }] of CASES.entries()) {
    await t.step(what, () => {
      const found = all[i]!.filter(({ severity, code }) =>
        severity !== "info" || expect.some((one) => one.startsWith(`info ${code}`))
      );
      assertEquals(
        found.map(({ severity, code, start }) => `${severity} ${code} ${start.line}`),
        expect,
        JSON.stringify(all[i], null, 2),
      );
      if (says) assertStringIncludes(`${found[0]!.message}\n${found[0]!.help}`, says);
    });
  }
});

Deno.test("infos take a line each, and can be left out", async () => {
  const root = await Deno.makeTempDir({ prefix: "mesos-cni-lint-" });
  try {
    const file = join(root, "net.conf");
    await Deno.writeTextFile(file, macvlan({}), { mode: 0o644 });
    const run = async (...args: string[]) => {
      const { stdout } = await new Deno.Command(MESOS_CNI, { args: ["lint", ...args, file] })
        .output();
      return new TextDecoder().decode(stdout);
    };
    const text = await run();
    const infos = text.split("\n").filter((line) => line.includes("info[CNI416]"));
    assertEquals(infos.length, 1, text);
    assertStringIncludes(infos[0]!, `${file}:4:`);
    assert(!text.includes("= help"), text);
    assert(!(await run("--ignore=CNI416")).includes("CNI416"));
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
