/**
 * Checkpoints cut off at every length, or filled with garbage. Our own writes can't leave such
 * files; a full disk, a stock agent or an editor can.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  Agent,
  bridgeNetwork,
  CONTAINERS,
  REQUESTS,
  RUNTIME_DIR,
  STANDING,
} from "../harness/agent.ts";
import { partOf } from "../harness/part.ts";
import { FULL, sample } from "../harness/scale.ts";

const FILES = ["request", "mock/network.conf", "mock/eth0/network.info", "hosts", "ns"] as const;
type File = (typeof FILES)[number];

const GARBAGE: Record<string, string> = {
  "no-json": "garbage \u0000\u0001 {{{",
  "null": "null",
  "number": "17",
  "list": "[1, 2]",
  "empty-object": "{}",
  "wrong-types": '{"format": 1, "mode": 3, "networks": 7, "name": [], "type": {}, "ips": "x"}',
  "bad-args":
    '{"name": "mock", "type": "mock", "args": {"org.apache.mesos": {"network_info": [3]}}}',
  "bad-mappings":
    '{"name": "mock", "type": "mock", "args": {"org.apache.mesos": {"network_info": {"port_mappings": 5}}}}',
};

/** An agent whose one network notes its DELs. */
async function agentWithMock(): Promise<Agent> {
  const agent = await Agent.create();
  agent.plugin(
    "mock",
    `[ $CNI_COMMAND != DEL ] || echo $CNI_CONTAINERID >>${agent.sandbox.dir}/deleted
     echo '{"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "198.51.100.7/24"}]}'`,
  );
  agent.define({ cniVersion: "0.3.1", name: "mock", type: "mock" });
  return agent;
}

/** Makes containers that are copies of one, each with one file replaced. */
async function damage(
  agent: Agent,
  containers: { id: string; file: File; text: string }[],
): Promise<void> {
  const original = await agent.attach("original", ["mock"]);
  await original.end();
  await agent.sandbox.ok(["umount", agent.checkpoint("original", "ns")]);
  const script = containers.map(({ id, file }, i) => {
    const target = file === "request" ? agent.request(id) : agent.checkpoint(id, file);
    return `cp -r ${CONTAINERS}/original ${CONTAINERS}/${id}
      cp ${agent.request("original")} ${agent.request(id)}
      cp --remove-destination ${agent.sandbox.dir}/text-${i} ${target}`;
  });
  containers.forEach(({ text }, i) => {
    Deno.writeTextFileSync(`${agent.sandbox.dir}/text-${i}`, text);
  });
  await agent.sandbox.ok(["sh", "-e"], { stdin: script.join("\n") });
  await agent.json("cleanup", ["original"]);
}

async function textOf(file: File): Promise<string> {
  await using agent = await agentWithMock();
  await agent.attach("original", ["mock"]);
  return file === "ns" ? "" : await agent.read(
    file === "request" ? agent.request("original") : agent.checkpoint("original", file),
  );
}

for (const file of partOf(FILES, 3)) {
  Deno.test(`torn: ${file}, cut off at each length and replaced by garbage, at recover`, async () => {
    const whole = await textOf(file);
    await using agent = await agentWithMock();
    const lengths = sample(Array.from({ length: whole.length }, (_, i) => i), 12);
    const containers = [
      ...lengths.map((length) => ({ id: `cut-${length}`, file, text: whole.slice(0, length) })),
      ...Object.entries(GARBAGE).map(([id, text]) => ({ id, file, text })),
    ];
    await damage(agent, containers);
    const ids = containers.map(({ id }) => id).sort();

    // Nobody's status, usage or list of containers breaks because of one of them.
    const all = await agent.json("status");
    assertEquals(Object.keys(all).sort(), ids);
    await agent.json("usage", [ids[0]!]);

    const recovered = await agent.json("recover", [], { states: [] });
    assertEquals(
      recovered,
      ids.map((container) => ({ container, outcome: "removed" })),
    );
    assertEquals(await agent.list(CONTAINERS), []);
    assertEquals(await agent.list(REQUESTS), STANDING);
    const deleted = Deno.readTextFileSync(`${agent.sandbox.dir}/deleted`).trim().split("\n");
    assertEquals(deleted.filter((id) => id !== "original").sort(), ids);
  });
}

Deno.test("torn: a config that is damaged and no longer defined fails alone, and says so", async () => {
  await using agent = await agentWithMock();
  await damage(agent, [
    { id: "bad", file: "mock/network.conf", text: '{"name": "mo' },
    { id: "good", file: "hosts", text: "" },
  ]);
  await Deno.rename(`${agent.configDir}/mock.conf`, `${agent.sandbox.dir}/mock.conf`);
  const { code, stdout, stderr } = await agent.isolator("recover", [], { states: [] });
  assertEquals(code, 1);
  const [bad, good] = JSON.parse(stdout);
  assertEquals(good, { container: "good", outcome: "removed" });
  assertEquals([bad.container, bad.outcome], ["bad", "failed"]);
  for (const words of ["container bad, network mock", '"mock" is not defined in']) {
    assertStringIncludes(bad.error, words);
  }
  assertStringIncludes(stderr, agent.checkpoint("bad", "mock/network.conf"));
  await Deno.rename(`${agent.sandbox.dir}/mock.conf`, `${agent.configDir}/mock.conf`);
  assertEquals(await agent.json("recover", [], { states: [] }), [
    { container: "bad", outcome: "removed" },
  ]);
});

Deno.test("torn: what else a crash of any agent can leave", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.ok(["--networks=cni-test"], ["true"]);
  await agent.sandbox.ok([
    "sh",
    "-ec",
    `
    cd ${CONTAINERS}
    mkdir nothing no-interface no-interface/cni-test no-config no-config/cni-test no-config/cni-test/eth0
    mkdir ns-only && touch ns-only/ns
    mkdir -p no-result/cni-test/eth0 && echo '${
      JSON.stringify(bridgeNetwork())
    }' >no-result/cni-test/network.conf
    mkdir -p empty-result && cp -r no-result/cni-test empty-result && : >empty-result/cni-test/eth0/network.info
    mkdir lost+found .hidden && touch file
    cd ${REQUESTS} && touch alone.lock .unfinished.json.new strange .dot.json
  `,
  ]);
  const recovered = await agent.json("recover", [], { states: [] });
  assertEquals(
    recovered,
    [
      "alone",
      "empty-result",
      "no-config",
      "no-interface",
      "no-result",
      "nothing",
      "ns-only",
      "unfinished",
    ]
      .map((container) => ({ container, outcome: "removed" })),
  );
  // What is no container's is not ours to remove.
  assertEquals(
    await agent.list(CONTAINERS),
    ["file", "lost+found", ".hidden"].map((name) => `${CONTAINERS}/${name}`).sort(),
  );
});

Deno.test("torn: many dead containers at once", async () => {
  await using agent = await agentWithMock();
  const count = FULL ? 1000 : 100;
  await damage(
    agent,
    Array.from({ length: count }, (_, i) => ({ id: `c${i}`, file: "hosts", text: "" })),
  );
  // More than a small machine can have at once must not be started at once.
  const most = `${agent.sandbox.dir}/most`;
  agent.plugin("mock", `ls /proc | grep -c '^[0-9]' >>${most}; sleep 0.05`);
  const idle = Number(await agent.sandbox.ok(["sh", "-c", "ls /proc | grep -c '^[0-9]'"]));
  const recovered = await agent.json("recover", [], { states: [] });
  assertEquals(recovered.length, count);
  assertEquals(await agent.list(`${RUNTIME_DIR}/isolators/network/cni`), []);
  const counts = Deno.readTextFileSync(most).trim().split("\n").map(Number);
  assertEquals(counts.length, count);
  const peak = Math.max(...counts) - idle;
  assertEquals(peak < 100, true, `${peak} processes more than before`);
});
