/** `mesos-cni run` that can't make its container: it says why, exits with 1 and leaves nothing. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Agent, bridgeNetwork } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";

/** Runs what must fail, and holds the agent against what it was before. */
async function fails(
  agent: Agent,
  networks: string,
  says: string[],
  more: string[] = [],
  exitCode = 1,
): Promise<void> {
  const before = await agent.traces();
  const flags = networks === "" ? [] : [`--networks=${networks}`];
  const { code, stdout, stderr } = await agent.run([...flags, ...more], ["echo", "was run"]);
  assertEquals(code, exitCode, stdout + stderr);
  assertEquals(stdout, "");
  for (const words of says) assertStringIncludes(stderr, words);
  assertEquals(stderr.includes("    at "), false, `a stack is for defects:\n${stderr}`);
  assertEquals(await agent.traces(before), before);
}

/** An agent on which a container has been: the bridge stays, and the mount of the directory. */
async function usedAgent(): Promise<Agent> {
  const agent = await Agent.create(bridgeNetwork());
  await agent.ok(["--networks=cni-test"], ["true"]);
  return agent;
}

Deno.test("run: a network twice", async () => {
  await using agent = await usedAgent();
  await fails(agent, "cni-test,cni-test", ["network cni-test is asked for twice"]);
});

Deno.test("run: an unknown network, with the known ones", async () => {
  await using agent = await usedAgent();
  await fails(agent, "cni-tset", ['"cni-tset" is not defined in', "known: cni-test"]);
  await fails(agent, "cni-test,../../etc", ['"../../etc" is not defined in']);
});

Deno.test("run: a broken config, with its file and place", async () => {
  await using agent = await usedAgent();
  agent.write(`${agent.configDir}/broken.conf`, '{\n  "name": "broken",\n  "type" "bridge"\n}');
  await fails(agent, "broken", [`${agent.configDir}/broken.conf`, "line 3"]);
});

Deno.test("run: a missing plugin, with the directories that were searched", async () => {
  await using agent = await usedAgent();
  agent.define({ name: "gone", type: "no-such-plugin" });
  await fails(agent, "gone", ['"no-such-plugin" is not in', agent.pluginDir, "/usr/lib/cni"]);
  agent.define({ ...bridgeNetwork("no-ipam"), ipam: { type: "no-such-ipam" } });
  await fails(agent, "no-ipam", ['"no-such-ipam" is not in']);
});

Deno.test("run: a plugin that fails, with its own words", async () => {
  await using agent = await usedAgent();
  const full = { ...bridgeNetwork("full"), ipam: { type: "host-local", subnet: "10.2.0.0/30" } };
  agent.define({ ...full, bridge: "mesos-cni0", isGateway: false });
  const holder = await agent.start("holder", ["--networks=full"]);
  await fails(agent, "full", ["network full, ADD by bridge", "no IP addresses available"]);
  // The other network of the same container, which worked, is undone too.
  await fails(agent, "cni-test,full", ["network full, ADD by bridge", "no IP addresses available"]);
  holder.kill("SIGTERM");
  await holder.output();
});

Deno.test("run: an args.org.apache.mesos in the operator's config", async () => {
  await using agent = await usedAgent();
  agent.define({ ...bridgeNetwork("taken"), args: { "org.apache.mesos": {} } });
  await fails(agent, "taken", ["taken.conf", 'args."org.apache.mesos"', "remove it"]);
});

Deno.test("run: networks without the directory of their configs, or of plugins", async () => {
  await using agent = await usedAgent();
  const { code, stderr } = await agent.sandbox.run([
    ...agent.runArgv(["--networks=cni-test"], ["true"]).filter((arg) => !/_cni_/.test(arg)),
  ]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "give --network_cni_config_dir");
  const networks = await agent.sandbox.run([MESOS_CNI, "networks"]);
  assertEquals(networks.code, 1);
  assertStringIncludes(networks.stderr, "no directory of network configs is known: give");
  const without = (flag: string) =>
    agent.runArgv(["--networks=cni-test"], ["true"]).filter((arg) => !arg.startsWith(flag));
  const output = await agent.sandbox.run(without("--network_cni_config_dir"));
  assertEquals(output.code, 2);
  assertStringIncludes(output.stderr, "--network_cni_config_dir is not");
  // What this program contains needs no directory.
  await agent.sandbox.ok(without("--network_cni_plugins_dir"));
});

Deno.test("run: a container of that name is there already, and stays untouched", async () => {
  await using agent = await usedAgent();
  await agent.start("web", ["--networks=cni-test"]);
  await fails(agent, "cni-test", ["container web exists and is alive"], ["--name=web"]);
  assertEquals((await agent.json("status", ["web"])).network_infos.length, 1);
});

Deno.test("run: names, hostnames, labels and ports that could do harm", async () => {
  await using agent = await usedAgent();
  await fails(agent, "cni-test", ["is no hostname"], ["--hostname=a\nnameserver 6.6.6.6"], 2);
  await fails(agent, "cni-test", ["is no container id"], ["--name=../../../etc"], 2);
  await fails(agent, "cni-test", ["is no container id"], ["--name=.."], 2);
  const { code, stderr } = await agent.run(["--networks=cni-test", "--port_mappings=1:99999"], [
    "true",
  ]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "ports from 1 to 65535");
});

Deno.test("run: a command that can't be executed: 127, 126 as from a shell", async () => {
  await using agent = await usedAgent();
  const before = await agent.traces();
  // Without a directory that somebody else than root can't look into.
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
  const absent = await agent.run(["--networks=cni-test"], ["no-such-command"], { env });
  assertEquals(absent.code, 127);
  assertStringIncludes(absent.stderr, "no-such-command");
  const refused = await agent.run(["--networks=cni-test"], ["/etc/passwd"]);
  assertEquals(refused.code, 126);
  assertStringIncludes(refused.stderr, "/etc/passwd");
  assertEquals(await agent.traces(before), before);
});
