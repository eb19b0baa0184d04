/** Many agents from their statuses: what is counted, what differs, what is given twice. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { fleetReport } from "../../lib/fleet/fleet.ts";
import { fleetHtml, fleetText } from "../../lib/fleet/fleet_render.ts";
import { flagWithoutSecrets, withoutSecrets } from "../../lib/fleet/secrets.ts";

const cause = (code: string) => ({ code, text: `${code} is so`, remedy: "mend it" });

function agent(host: string, more: Record<string, unknown> = {}) {
  const { networks = {}, containers = {}, ...rest } = more as Record<string, object>;
  const status = {
    version: "1.0.0",
    host,
    time: "2026-01-01T00:00:00.000Z",
    healthy: true,
    firewall: { kind: "nf_tables", by: "it" },
    networks: {
      names: ["net"],
      configs: [{ network: "net", file: "/net.conf", sha256: "aaa" }],
      ranges: [],
      skipped: [],
      ...networks,
    },
    plugins: [{ type: "bridge", program: "built in", version: "1.0.0" }],
    containers: { count: 0, unwell: [], all: [], ...containers },
    causes: [],
    ...rest,
  };
  return { file: `${host}.json`, text: JSON.stringify(status) };
}

const container = (id: string, addresses: string[], ports: string[] = []) => ({
  id,
  networks: ["net"],
  addresses,
  ports,
});
const range = (subnet: string, isMasqueraded = false) => ({
  network: "net",
  subnet,
  isMasqueraded,
});

Deno.test("agents are counted by cause, and of one agent the newest status counts", () => {
  const ill = { healthy: false, causes: [cause("forwarding_off")] };
  const { agents, causes, healthy } = fleetReport([
    agent("a", ill),
    agent("b", {
      ...ill,
      containers: { count: 2, unwell: [{ id: "w", causes: [cause("bridge_down")] }] },
    }),
    agent("c", { ...ill, time: "2025-01-01T00:00:00.000Z" }),
    agent("c"),
  ]);
  assertEquals(agents.map(({ host, healthy }) => [host, healthy]), [["a", false], ["b", false], [
    "c",
    true,
  ]]);
  assertEquals(causes.map(({ code, agents, containers }) => [code, agents.join(), containers]), [
    ["forwarding_off", "a,b", 0],
    ["bridge_down", "b", 1],
  ]);
  assertEquals(healthy, false);
});

Deno.test("what is not the same everywhere is said, with who has it", () => {
  const { differences } = fleetReport([
    agent("a"),
    agent("b"),
    agent("c", { version: "0.9.0", networks: { configs: [] } }),
  ]);
  assertEquals(
    differences.map((
      { what, values },
    ) => [what, values.map((one) => `${one.value}: ${one.agents}`)]),
    [
      ["version", ["1.0.0: a,b", "0.9.0: c"]],
      ["config of net", ["aaa: a,b", "none: c"]],
    ],
  );
  assertEquals(fleetReport([agent("a"), agent("b")]).differences, []);
});

Deno.test("only what others see overlaps or is given twice", () => {
  const seen = (host: string, subnet: string, address: string, isMasqueraded: boolean) =>
    agent(host, {
      networks: { ranges: [range(subnet, isMasqueraded)] },
      containers: { count: 1, all: [container("w", [address])] },
    });
  const hidden = fleetReport([
    seen("a", "10.0.0.0/16", "10.0.0.2", true),
    seen("b", "10.0.0.0/16", "10.0.0.2", true),
  ]);
  assertEquals([hidden.overlaps, hidden.twice], [[], []]);
  const open = fleetReport([
    seen("a", "10.0.0.0/16", "10.0.1.2", false),
    seen("b", "10.0.1.0/24", "10.0.1.2", false),
    seen("c", "10.1.0.0/24", "10.1.0.2", false),
  ]);
  assertEquals(open.overlaps, [{ subnets: ["10.0.0.0/16", "10.0.1.0/24"], agents: ["a", "b"] }]);
  assertEquals(open.twice, [{ what: "10.0.1.2", containers: ["a w", "b w"] }]);
  const ports = fleetReport([
    agent("a", {
      containers: {
        count: 2,
        all: [container("w", [], ["80/tcp"]), container("x", [], ["80/tcp"])],
      },
    }),
    agent("b", { containers: { count: 1, all: [container("w", [], ["80/tcp"])] } }),
  ]);
  assertEquals(ports.twice, [{ what: "port 80/tcp of a", containers: ["a w", "a x"] }]);
});

Deno.test("a file that is no status is one of many", () => {
  const report = fleetReport([
    agent("a"),
    { file: "b.json", text: '{"version": 1}' },
    { file: "c.json", text: "<html>" },
    { file: "d.json", problem: "it is not there" },
  ]);
  assertEquals(report.agents.length, 1);
  assertEquals(report.unread.map(({ file }) => file), ["b.json", "c.json", "d.json"]);
  assertEquals(report.healthy, false);
  assertStringIncludes(fleetText(report, (it) => it), "it is not there");
});

Deno.test("names of agents are text in HTML and on a screen", () => {
  const report = fleetReport([
    agent("<b>\u001b[31m", { healthy: false, causes: [cause("<i>")] }),
  ]);
  assertStringIncludes(fleetHtml(report), "&lt;b&gt;\\u001b[31m");
  assertEquals(/<[bi]>/.test(fleetHtml(report)), false);
  assertEquals(fleetText(report, (it) => it).includes("\u001b"), false);
});

Deno.test("secrets are left out by their keys, logins by their form", () => {
  const text = JSON.stringify({
    name: "net",
    api_token: "s1",
    args: { labels: [{ key: "k", value: "s2" }] },
    etcd: "http://root:s3@host:2379/",
    env: { A: "s4" },
    environment: "s5",
    password: "s6",
    key_file: "/etc/ssl/key.pem",
  });
  const shown = withoutSecrets(text);
  assertEquals(/s[1-6]/.test(shown), false);
  assertEquals(JSON.parse(shown).key_file, "/etc/ssl/key.pem");
  assertEquals(/s7/.test(withoutSecrets("token = s7")), false);
  assertEquals(flagWithoutSecrets("credential", "s8"), "--credential=(left out)");
  assertEquals(
    flagWithoutSecrets("master", "zk://u:p@h/mesos"),
    "--master=zk://(left out)@h/mesos",
  );
  assertEquals(flagWithoutSecrets("work_dir", "/var/lib/mesos"), "--work_dir=/var/lib/mesos");
});
