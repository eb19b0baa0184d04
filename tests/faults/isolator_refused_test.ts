/**
 * The kernel refuses something, at each step of isolate and of cleanup: no space or inode, a file
 * system that is read-only, no descriptor. What then says that it succeeded has; what says that it
 * failed says so in an operator's words, and the cleanup after it leaves nothing.
 */
import { assert, assertEquals } from "@std/assert";
import { Agent, bridgeNetwork, containerConfig, portMapperNetwork } from "../harness/agent.ts";
import { SEED } from "../harness/commit.ts";
import { randomFrom, someOf } from "../harness/random.ts";
import { ALL_PARTS, FULL } from "../harness/scale.ts";

/** A system call that is to fail: the `when`-th of its name, and how. */
interface Refusal {
  call: string;
  when: number;
  error: string;
}

/** What each call may be refused with; files of the runtime itself are not ours to do without. */
const ERRORS: Readonly<Record<string, readonly string[]>> = {
  openat: ["ENOSPC", "EROFS", "EMFILE"],
  mkdir: ["ENOSPC", "EROFS"],
  mkdirat: ["ENOSPC", "EROFS"],
  renameat: ["ENOSPC", "EROFS"],
  symlink: ["ENOSPC", "EROFS"],
  linkat: ["ENOSPC", "EROFS"],
  fsync: ["ENOSPC", "EIO"],
  socket: ["EMFILE"],
  mount: ["ENOSPC", "ENOMEM"],
};
const REFUSALS_EACH = FULL ? Infinity : ALL_PARTS ? 7 : 4;

/** The refusals that a command may meet, from what it calls when nothing is in its way. */
async function refusalsOf(agent: Agent, argv: string[]): Promise<Refusal[]> {
  const trace = `${agent.sandbox.dir}/trace`;
  const calls = Object.keys(ERRORS).join(",");
  await agent.sandbox.ok(["strace", "-qq", "-o", trace, "-e", `trace=${calls}`, ...argv]);
  const counts = new Map<string, number>();
  return Deno.readTextFileSync(trace).split("\n").flatMap((line) => {
    const call = /^\w+/.exec(line)?.[0];
    if (!call) return [];
    const when = (counts.get(call) ?? 0) + 1;
    counts.set(call, when);
    const path = /"([^"]*)"/.exec(line)?.[1] ?? "";
    const makes = /O_CREAT|O_TMPFILE/.test(line);
    if (call === "openat" && !/^(?:\/run|\/var|\/proc\/(?:self|thread-self)\/|\.?\w)/.test(path)) {
      return [];
    }
    if (call === "socket" && !line.includes("AF_NETLINK")) return [];
    return ERRORS[call]!.filter((error) => call !== "openat" || makes || error === "EMFILE")
      .map((error) => ({ call, when, error }));
  });
}

function refusing({ call, when, error }: Refusal, argv: string[]): string[] {
  const inject = `inject=${call}:error=${error}:when=${when}`;
  return ["strace", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject, ...argv];
}

/** A container with a process, on two networks; its networks are still to come. */
async function prepared(agent: Agent) {
  const mappings = [{ host_port: 8080, container_port: 80 }];
  await agent.json(
    "prepare",
    ["c1"],
    containerConfig({
      network_infos: [{ name: "port-mapper-test", port_mappings: mappings }, { name: "second" }],
    }),
  );
  return await agent.process();
}

async function agentWithNetworks(): Promise<{ agent: Agent; before: string }> {
  const second = { ...bridgeNetwork("second", "10.1.0.0/16"), bridge: "mesos-cni1" };
  const agent = await Agent.create(portMapperNetwork(), second);
  agent.search = undefined; // our own plugins: their steps are among those refused
  await agent.ok(["--networks=port-mapper-test,second", "--port_mappings=9090:80"], ["true"]);
  return { agent, before: await agent.traces() };
}

/** A failure has words for an operator, and no stack trace. */
function assertTold(stderr: string, what: string): void {
  assert(stderr.includes("error: mesos-cni isolator"), `${what}: ${stderr}`);
  assert(!/\n\s+at \S+ \(|defect/.test(stderr), `${what}: ${stderr}`);
}

Deno.test(`refused: isolate, by the kernel, at its steps (seed ${SEED})`, async () => {
  const { agent, before } = await agentWithNetworks();
  await using _ = agent;
  const first = await prepared(agent);
  const all = await refusalsOf(agent, agent.isolatorArgv("isolate", "c1", `${first.pid}`));
  await first.end();
  await agent.json("cleanup", ["c1"]);
  assert(all.length > 40, `${all.length} refusals are too few to be all`);
  let failed = 0;
  const chosen = someOf(all, REFUSALS_EACH * 2, randomFrom(SEED));
  for (const refusal of chosen) {
    const what = JSON.stringify(refusal);
    const process = await prepared(agent);
    const argv = refusing(refusal, agent.isolatorArgv("isolate", "c1", `${process.pid}`));
    const { code, stderr } = await agent.sandbox.run(argv);
    if (code === 0) {
      const { network_infos: networks } = await agent.json("status", ["c1"]);
      assertEquals(networks.length, 2, what);
      for (const gateway of ["192.168.0.1", "10.1.0.1"]) {
        await process.ok(["busybox", "ping", "-c1", "-W30", gateway]);
      }
    } else {
      failed++;
      assertTold(stderr, what);
    }
    await process.end();
    await agent.json("cleanup", ["c1"]);
    assertEquals(await agent.traces(before), before, what);
  }
  assert(failed > chosen.length / 4, `only ${failed} of ${chosen.length} made it fail`);
});

Deno.test(`refused: cleanup, by the kernel, at its steps (seed ${SEED})`, async () => {
  const { agent, before } = await agentWithNetworks();
  await using _ = agent;
  const attached = async () => {
    const process = await prepared(agent);
    await agent.json("isolate", ["c1", `${process.pid}`]);
    await process.end();
  };
  const argv = agent.isolatorArgv("cleanup", "c1");
  await attached();
  const all = await refusalsOf(agent, argv);
  assert(all.length > 15, `${all.length} refusals are too few to be all`);
  for (const refusal of someOf(all, REFUSALS_EACH, randomFrom(SEED))) {
    const what = JSON.stringify(refusal);
    await attached();
    const { code, stderr } = await agent.sandbox.run(refusing(refusal, argv));
    if (code !== 0) {
      assertTold(stderr, what);
      await agent.isolator("cleanup", ["c1"]); // which fails if nothing was left
    }
    assertEquals(await agent.traces(before), before, what);
  }
});
