/** Containers that can't be ended, or looked at: what is said, and that nobody else is concerned. */
import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Agent, bridgeNetwork, portMapperNetwork, until } from "../harness/agent.ts";
import { NEEDS_ROOT } from "../harness/debian.ts";
import { ALL_PARTS } from "../harness/scale.ts";

/** A control group of version 1, in which even SIGKILL waits for the thaw. */
const FREEZER = "/run/freezer";
const hasFreezer = /^freezer\t/m.test(Deno.readTextFileSync("/proc/cgroups"));

Deno.test({
  name: "stubborn: a process that can't be killed keeps its container's networks, and is told of",
  ignore: !hasFreezer,
  fn: async () => {
    await using agent = await Agent.create(bridgeNetwork());
    const first = await agent.attach("frozen", ["cni-test"]);
    const script = "echo inside; exec sleep 1000";
    const other = agent.spawn(["nsenter", `--target=${first.pid}`, "--net", "sh", "-c", script]);
    await other.printed(/inside/);
    const group = `${FREEZER}/mesos-cni-test-${Deno.pid}`;
    await agent.sandbox.ok([
      ...["sh", "-ec"],
      `mkdir ${FREEZER}; mount -t cgroup -o freezer none ${FREEZER}; mkdir ${group}
       echo ${other.pid} >${group}/tasks; echo FROZEN >${group}/freezer.state
       until grep -q FROZEN ${group}/freezer.state; do sleep 0.05; done`,
    ]);
    try {
      await first.end();
      const { code, stderr } = await agent.isolator("cleanup", ["frozen"]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `container frozen has processes that can't be killed (`);
      assertStringIncludes(stderr, "its networks are left as they are");
      assertEquals((await agent.json("status", ["frozen"])).network_infos.length, 1);
      assertStringIncludes(await agent.sandbox.ok(["ip", "-brief", "link"]), "veth");
    } finally {
      await agent.sandbox.ok(["sh", "-ec", `echo THAWED >${group}/freezer.state`]);
      await other.status;
      await agent.sandbox.ok(["rmdir", group]);
    }
    await agent.json("cleanup", ["frozen"]);
    assertEquals(await agent.list(agent.checkpoint("")), []);
    assertEquals((await agent.sandbox.ok(["ip", "-brief", "link"])).includes("veth"), false);
  },
});

Deno.test("stubborn: one that changes its addresses all the time is alive, and hides nobody", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const busy = await agent.attach("busy", ["cni-test"]);
  const changes = Array.from({ length: 200 }, (_, i) => i).flatMap((i) => [
    `address add 198.51.100.${i}/32 dev eth0`,
    `address del 198.51.100.${i}/32 dev eth0`,
  ]).join("\n");
  agent.write(`${agent.sandbox.dir}/changes`, changes);
  const script =
    `i=0; while :; do ip -batch ${agent.sandbox.dir}/changes; echo round $((i+=1)); done`;
  const changing = agent.spawn([
    ...["nsenter", `--target=${busy.pid}`, "--net", "--", "sh", "-c"],
    // Two of them, so that there is hardly a moment without a change.
    `(${script}) & ${script.replaceAll("198.51.100", "198.51.101")}`,
  ]);
  await changing.printed(/round/);
  const dead = await agent.attach("dead", ["cni-test"]);
  await dead.end();
  const alive = await agent.attach("alive", ["cni-test"]);

  for (let i = 0; i < (ALL_PARTS ? 3 : 1); i++) {
    const found = await agent.json("gc", ["--json"]);
    assertEquals(found.map(({ kind }: { kind: string }) => kind), ["container"]);
    assertStringIncludes(found[0].what, "dead");
    const flags = agent.flags.filter((flag) => flag.startsWith("--runtime_dir"));
    for (const view of ["list", "topology"]) {
      const { code, stdout, stderr } = await agent.sandbox.run([
        MESOS_CNI,
        "netns",
        view,
        ...flags,
      ]);
      assertEquals([0, 1].includes(code), true, stderr);
      for (const id of ["busy", "alive"]) assertStringIncludes(stdout, id);
    }
  }
  assertEquals(
    (await agent.json("recover")).map(({ outcome }: { outcome: string }) => outcome),
    ["kept", "kept", "removed"],
  );
  const before = changing.stdout.length;
  await until(() => changing.stdout.length > before, "it still changes");
  await changing.end();
  for (const one of [busy, alive]) await one.end();
});

Deno.test("stubborn: a process whose first thread has ended is alive by the others", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const flags = ["--name=leaderless", "--networks=port-mapper-test", "--port_mappings=8080:80"];
  const command = ["/usr/bin/python3", "-c", LEADERLESS];
  const container = agent.spawn(agent.runArgv(flags, command));
  const [, pid] = await container.printed(/(\d+) goes on/);
  await until(() => /^State:\tZ/m.test(Deno.readTextFileSync(`/proc/${pid}/status`)), "a zombie");
  assertEquals(
    JSON.parse(await agent.sandbox.ok(agent.isolatorArgv("gc", "--apply", "--json"))),
    [],
  );
  assertEquals((await agent.json("recover"))[0].outcome, "kept");
  const { code, stderr } = await agent.isolator("cleanup", ["leaderless"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "container leaderless lives");
  await container.end();
});

/** The C library's exit of one thread, without what Python would do at its end. */
const LEADERLESS = `
import ctypes, os, threading, time
def rest():
    time.sleep(0.1)
    print(os.getpid(), "goes on", flush=True)
    time.sleep(1000)
threading.Thread(target=rest).start()
ctypes.CDLL(None).syscall(${Deno.build.arch === "aarch64" ? 93 : 60}, 0)
`;

Deno.test({
  name: "stubborn: a local user's locks on all that he may open keep nobody waiting",
  ignore: NEEDS_ROOT,
  async fn() {
    await using agent = await Agent.create(portMapperNetwork());
    const first = await agent.attach("first", ["port-mapper-test"]);
    const user = agent.spawn([
      ...[
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        LOCKING,
      ],
    ]);
    const [, taken] = await user.printed(/(\d+) are locked/);
    assertNotEquals(taken, "0");
    // A refusal would come after a minute and more.
    const second = await agent.attach("second", ["port-mapper-test"]);
    for (const [id, process] of Object.entries({ first, second })) {
      await process.end();
      await agent.json("cleanup", [id]);
    }
    assertEquals(user.stderr, "");
    await user.end();
  },
});

/** Locks each file and directory of the agent's state that its user may open. */
const LOCKING = `
import fcntl, os, time
held = []
for top in ("/run", "/var/lib", "/var/run"):
    for path, directories, files in os.walk(top):
        for name in [".", *files]:
            try:
                held.append(os.open(os.path.join(path, name), os.O_RDONLY | os.O_NONBLOCK))
                fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass
print(len(held), "are locked", flush=True)
time.sleep(1000)
`;
