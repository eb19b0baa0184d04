/** `netns topology` in all its forms. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { BRIDGE, Clinic } from "../harness/clinic.ts";
import { bridgeNetwork } from "../harness/stock_agent.ts";

Deno.test("the topology is a tree of bridges, veth pairs, containers, addresses and ports", async () => {
  await using clinic = await Clinic.open();
  await clinic.admit("two-nets", [
    bridgeNetwork("net-a", "10.11.0.0/16"),
    bridgeNetwork("net-b", "10.12.0.0/16"),
  ]);
  await clinic.agent.ok(["umount", `${clinic.neighbour.dir}/ns`]);
  const veth = await clinic.veth();
  const { code, stdout, stderr } = await clinic.netns("topology");
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /├─ wan0 {2}bridge {2}203\.0\.113\.1\/24/);
  assertStringIncludes(
    stdout,
    `─ patient  ${veth} – eth0 10.1.0.2/16 (port-mapper-test)  port 8080 → 80/tcp`,
  );
  assertMatch(stdout, new RegExp(`─ ${BRIDGE} {2}bridge {2}10\\.1\\.0\\.1/16`));
  assertEquals(stdout.match(/two-nets/g)?.length, 2);
  assertMatch(stdout, /\nneighbour {2}port 8081 → 80\/tcp {2}namespace gone/);
});

Deno.test("the topology has a drawing as Mermaid and DOT", async () => {
  await using clinic = await Clinic.open();
  const draw = async (format: string) => {
    const { code, stdout, stderr } = await clinic.netns("topology", `--format=${format}`);
    assertEquals([code, stderr], [0, ""]);
    return stdout;
  };
  const json = JSON.parse((await clinic.netns("topology", "--json")).stdout);
  const mermaid = await draw("mermaid");
  assertMatch(mermaid, /^flowchart LR\n/);
  assertEquals(mermaid.match(/ --- ?\|?/g)?.length, json.edges.length);
  assertMatch(await draw("dot"), /^graph topology \{[^]*label="patient\\nport 8080 → 80\/tcp"/);
  assertEquals((await clinic.netns("topology", "--format=png")).code, 2);
});

Deno.test("the drawing shows who is ill, and who is not", async () => {
  await using clinic = await Clinic.open();
  const boxes = async () => {
    const drawn = (await clinic.netns("topology", "--format=mermaid")).stdout;
    return [...drawn.matchAll(/^ {2}n\d+\W+"([^"<]*).*:::ill$/gm)].map(([, name]) => name)
      .toSorted();
  };
  assertEquals(await boxes(), []);
  await clinic.agent.ok(["ip", "link", "set", BRIDGE, "down"]);
  // Both containers are on it.
  assertEquals(await boxes(), [BRIDGE, "neighbour", "patient"].toSorted());
  await clinic.agent.ok(["ip", "link", "set", BRIDGE, "up"]);
  await clinic.agent.ok(["iptables", "-t", "nat", "-F"]);
  assertEquals(await boxes(), ["neighbour", "patient"]);
});
