/** The handles of network namespaces: nobody else's mounts grow with them, and `ns` is as it was. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Agent, bridgeNetwork, REQUESTS, RUNTIME_DIR, STANDING } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";

/** The network namespaces that are mounted, as a command's /proc/self/mountinfo has them. */
async function mountedIn(agent: Agent, argv: string[] = []): Promise<string[]> {
  const text = await agent.sandbox.ok([...argv, "cat", "/proc/self/mountinfo"]);
  return text.split("\n").flatMap((line) => line.match(/ (net:\[\d+\]) /)?.[1] ?? []);
}

/** As clone(2) with CLONE_NEWNS gives it to a container. */
const NEW_NAMESPACE = ["unshare", "--mount", "--propagation=unchanged"];

Deno.test("handles: a new mount namespace gets no copy of any, an old one none of those to come", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const early = agent.spawn([...NEW_NAMESPACE, "sh", "-c", "echo $$; exec sleep 1000"]);
  const [, pid] = await early.printed(/^(\d+)\n/);
  const containers = [];
  for (const id of ["one", "two", "three"]) {
    containers.push(await agent.attach(id, ["cni-test"]));
  }
  const inodes = await Promise.all(
    containers.map(async (one) => (await one.ok(["readlink", "/proc/self/ns/net"])).trim()),
  );
  assertEquals((await mountedIn(agent)).sort(), inodes.sort());
  assertEquals(await mountedIn(agent, NEW_NAMESPACE), []);
  assertEquals(await mountedIn(agent, ["nsenter", `--target=${pid}`, "--mount"]), []);
  for (const one of containers) assertEquals(await mountedIn(agent, enter(one.pid)), []);

  for (const one of containers) await one.end();
  for (const id of ["one", "two", "three"]) await agent.json("cleanup", [id]);
  assertEquals(await mountedIn(agent), []);
  assertEquals(await agent.list(REQUESTS), STANDING);
});

const enter = (pid: number) => ["nsenter", `--target=${pid}`, "--mount"];

Deno.test("handles: what others do to `ns` has the effect that they know", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const process = await agent.attach("c1", ["cni-test"]);
  const ns = agent.checkpoint("c1", "ns");
  const own = (await process.ok(["readlink", "/proc/self/ns/net"])).trim();
  // As a plugin opens it, and `ip netns` by a link to it.
  assertStringIncludes(
    await agent.sandbox.ok(["nsenter", `--net=${ns}`, "readlink", "/proc/self/ns/net"]),
    own,
  );
  await agent.sandbox.ok(["sh", "-ec", `mkdir -p /run/netns; ln -s ${ns} /run/netns/c1`]);
  assertMatch(await agent.sandbox.ok(["ip", "netns", "exec", "c1", "ip", "-o", "link"]), /eth0/);
  // Through another way to the same directory.
  await agent.sandbox.ok(["nsenter", `--net=/proc/${agent.sandbox.pid}/root${ns}`, "true"]);
  await process.end();
  await agent.json("cleanup", ["c1"]);

  // As a stock agent ends a container, then a version before ours, which unmounts all that is there.
  const endings = ["umount $ns", "while umount $ns 2>/dev/null; do :; done"];
  for (const [i, unmount] of endings.entries()) {
    const id = `ended-${i}`;
    await (await agent.attach(id, ["cni-test"])).end();
    const script = `ns=${agent.checkpoint(id, "ns")}; ${unmount}; rm -r ${agent.checkpoint(id)}`;
    await agent.sandbox.ok(["sh", "-ec", script]);
    assertEquals(await mountedIn(agent), []);
    assertEquals(await agent.json("recover"), [{ container: id, outcome: "removed" }]);
    assertEquals(await agent.list(REQUESTS), STANDING);
  }
  // One of which nothing but the handle is left.
  await (await agent.attach("bare", ["cni-test"])).end();
  await agent.sandbox.ok(["rm", "-r", agent.checkpoint("bare"), agent.request("bare")]);
  assertEquals(await agent.json("recover"), [{ container: "bare", outcome: "removed" }]);
  assertEquals(await mountedIn(agent), []);
  assertEquals(await agent.list(REQUESTS), STANDING);
});

Deno.test("handles: without `ns`, what that led to says that a container lives, and is released at its end", async () => {
  const losses = [
    (agent: Agent) => [agent.checkpoint("c1", "ns")],
    (agent: Agent) => [agent.checkpoint("c1", "ns"), agent.request("c1")],
    (agent: Agent) => [agent.checkpoint("c1"), agent.request("c1")],
  ];
  for (const lost of losses) {
    await using agent = await Agent.create(bridgeNetwork());
    const process = await agent.attach("c1", ["cni-test"]);
    await agent.sandbox.ok(["rm", "-r", ...lost(agent)]);
    if (!lost(agent).includes(agent.checkpoint("c1"))) {
      const inspect = [MESOS_CNI, "inspect", "c1", "--json", `--runtime_dir=${RUNTIME_DIR}`];
      const { files } = JSON.parse(await agent.sandbox.ok(inspect));
      assertStringIncludes(files.hosts, "127.0.0.1");
    }
    assertEquals(await agent.json("recover"), [{ container: "c1", outcome: "kept" }]);
    assertEquals(await agent.json("gc", ["--apply", "--json"]), []);
    await process.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
    await process.end();
    assertEquals(await agent.json("recover"), [{ container: "c1", outcome: "removed" }]);
    assertEquals(await mountedIn(agent), []);
    assertEquals(await agent.list(REQUESTS), STANDING);
  }
});

Deno.test("handles: where the kernel has no seals, they lie where a stock agent has them", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.json("prepare", ["c1"], {
    container_info: { network_infos: [{ name: "cni-test" }] },
  });
  const process = await agent.process();
  const refusing = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=pivot_root:error=EINVAL"];
  const argv = agent.isolatorArgv("isolate", "c1", `${process.pid}`);
  const { code, stderr } = await agent.sandbox.run([...refusing, ...argv]);
  assertEquals(code, 0, stderr);
  const ns = agent.checkpoint("c1", "ns");
  assertEquals((await agent.sandbox.ok(["stat", "-c", "%F", ns])).trim(), "regular empty file");
  await process.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
  assertEquals(await mountedIn(agent, enter(process.pid)), []);
  await process.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(await agent.list(agent.checkpoint("")), []);
  assertEquals(await mountedIn(agent), []);
});
