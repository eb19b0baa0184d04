/**
 * Containers that an earlier build attached (its state and rules are recorded in the fixture) keep
 * their ports while they live, and are detached without a trace.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import recorded from "../fixtures/attached_before.json" with { type: "json" };
import { partOf } from "../harness/part.ts";
import { type Json, PortMapperAgent, STATE_DIR, type Variant } from "../harness/port_mapper.ts";

interface Recorded {
  /** The plugins of c1's list. */
  list: Json[];
  prevResult: Json;
  /** Of c2. */
  mapper: Json;
  mapped: Json;
  files: Record<string, Json | string>;
  /** Standard input of each program. */
  rules: Record<string, string[]>;
}

const DRIVERS: { driver: Exclude<keyof typeof recorded, "recorded">; variant: Variant }[] = [
  { driver: "nf_tables", variant: "nft" },
  { driver: "legacy", variant: "legacy" },
  { driver: "nftables", variant: "nft" },
];
const BRIDGE = "old0";

/** Rules and elements of both containers. */
async function own(agent: PortMapperAgent): Promise<string[]> {
  const tools = ["iptables-legacy", "ip6tables-legacy"].map((tool) => [`${tool}-save`]);
  const texts = await Promise.all(
    [["nft", "list", "ruleset"], ...tools].map((argv) => agent.sandbox.ok(argv)),
  );
  return texts.join("\n").split("\n")
    .filter((line) => /10\.217\.0\.[23]|fd00:217::[23]|container_id|id: /.test(line));
}

for (const { driver, variant } of partOf(DRIVERS, 3)) {
  Deno.test(`what an earlier build attached keeps its ports, and is detached: ${driver}`, async () => {
    const { list, prevResult, mapper, mapped, files, rules } = recorded[driver] as Recorded;
    await using agent = await PortMapperAgent.create(variant);
    agent.search = undefined;
    for (const id of ["c1", "c2", "c3"]) await agent.container(id);
    const setting = `/proc/sys/net/ipv4/conf/${BRIDGE}/route_localnet`;
    await agent.sandbox.ok([
      ...["sh", "-ec"],
      `ip link add ${BRIDGE} type bridge; ip addr add 10.217.0.1/16 dev ${BRIDGE}; ip link set ${BRIDGE} up; echo 1 >${setting}`,
    ]);
    for (const [path, content] of Object.entries(files)) {
      // Inodes are of this machine.
      const inode = async ({ containerId }: Json) =>
        Number(await agent.sandbox.ok(["stat", "-Lc%i", agent.netns(`${containerId}`)]));
      const text = typeof content === "string"
        ? content
        : JSON.stringify({ ...content, netnsInode: await inode(content) });
      const link = /^→ (.*)$/.exec(text)?.[1];
      const make = link === undefined ? 'cat >"$1"' : 'ln -s "$2" "$1"';
      const script = `mkdir -p "$(dirname "$1")"; ${make}`;
      await agent.sandbox.ok(["sh", "-ec", script, "sh", path, link ?? ""], { stdin: text });
    }
    for (const [tool, lines] of Object.entries(rules)) {
      const stdin = lines.join("\n") + "\n";
      await agent.sandbox.ok(tool === "nft" ? ["nft", "-f", "-"] : [tool], { stdin });
    }
    const before = await own(agent);
    assert(before.length >= 10, before.join("\n"));

    const [port] = list.filter(({ type }) => type === "portmap");
    const taken = await agent.fails("ADD", "c3", { ...port, prevResult }, { type: "portmap" });
    assertStringIncludes(taken.msg, "is taken by container c1");
    assertEquals(await own(agent), before);

    for (const plugin of list.toReversed()) {
      await agent.ok("DEL", "c1", { ...plugin, prevResult }, { type: `${plugin.type}` });
    }
    await agent.ok("DEL", "c2", { ...mapper, prevResult: mapped });
    assertEquals(await own(agent), []);
    assertEquals(await agent.leftovers(), []);
    assertEquals(await agent.sandbox.ok(["cat", setting]), "0\n");
    const left = await agent.sandbox.run(
      ["find", STATE_DIR, "/var/lib/cni/networks", "-name", "*c[12]*", "-o", "-name", "*217*[23]"],
    );
    assertEquals(left.stdout, "");
  });
}
