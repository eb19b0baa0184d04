/**
 * The isolator killed with SIGKILL: at every step that the kernel sees of it, from inside a
 * plugin, and at random moments. Then `recover`: the container that lives still talks, and
 * nothing is there that has no owner.
 *
 * The steps are its system calls, and strace is what kills it on the way into one of them.
 */
import { assertEquals } from "@std/assert";
import {
  Agent,
  bridgeNetwork,
  containerConfig,
  isRunning,
  portMapperNetwork,
  Running,
  until,
  type Waiting,
} from "../harness/agent.ts";
import { CNI_PLUGINS } from "../harness/binary.ts";
import { SEED } from "../harness/commit.ts";
import { partOf } from "../harness/part.ts";
import { randomFrom } from "../harness/random.ts";
import { FULL, sample } from "../harness/scale.ts";

/** System calls by which the isolator changes anything outside of itself. */
const STEPS = [
  ...["mkdir", "mkdirat", "renameat", "symlink", "linkat", "unlink", "unlinkat", "rmdir", "fsync"],
  ...["mount", "umount2", "unshare", "setns", "flock", "openat"],
];

const NETWORKS = ["--networks=mapped,second", "--port_mappings=8080:80"];

/** An agent with a container that lives, and what the agent is like with it. */
class Scene implements AsyncDisposable {
  private constructor(readonly agent: Agent, readonly keeper: Waiting, readonly before: string) {}

  /**
   * @param first what else leaves something on the agent that stays there
   * @param search where plugins are besides the agent's own; undefined: inside of the program
   */
  static async create(
    { first = async () => {}, backend = "iptables", search }: {
      first?: (agent: Agent) => Promise<unknown>;
      backend?: string;
      search: string | undefined;
    },
  ): Promise<Scene> {
    const second = { ...bridgeNetwork("second", "10.1.0.0/16"), bridge: "mesos-cni1" };
    const agent = await Agent.create({ ...portMapperNetwork("mapped"), backend }, second);
    agent.search = search;
    await agent.ok([...NETWORKS], ["true"]); // both bridges stay, and the chain
    await first(agent);
    const keeper = await agent.attach("keeper", [], {
      network_infos: [{ name: "mapped", port_mappings: [{ host_port: 9090, container_port: 80 }] }],
    });
    return new Scene(agent, keeper, await agent.traces());
  }

  /** Recovers, as an agent does that knows of the keeper only, and looks for traces. */
  async recoveredFrom(what: string): Promise<void> {
    const { code, stdout, stderr } = await this.agent.isolator("recover", [], {
      states: [{ container_id: "keeper" }],
    });
    assertEquals(code, 0, `${what}: ${stdout}${stderr}`);
    assertEquals(await this.agent.traces(this.before), this.before, what);
    await this.keeper.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
    await until(() => orphans().length === 0, `${what}: the end of ${orphans().join(", ")}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
  }
}

/** First processes of containers whose `run` is gone. */
function orphans(): string[] {
  return [...Deno.readDirSync("/proc")].flatMap(({ name: pid }) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const line = Deno.readTextFileSync(`/proc/${pid}/cmdline`).replaceAll("\0", " ");
      const run = line.match(/mesos-cni launch \d+ (\d+)/)?.[1];
      return run !== undefined && !isRunning(Number(run)) ? [`${pid} (${line})`] : [];
    } catch {
      return []; // it has just ended
    }
  });
}

/** A step: the `when`-th call of a system call. */
interface Step {
  call: string;
  when: number;
}

/** The steps of a command, each with its number among those of the same call. */
async function stepsOf(agent: Agent, argv: string[]): Promise<Step[]> {
  const trace = `${agent.sandbox.dir}/trace`;
  await agent.sandbox.ok(["strace", "-qq", "-o", trace, "-e", `trace=${STEPS.join(",")}`, ...argv]);
  const counts = new Map<string, number>();
  return Deno.readTextFileSync(trace).split("\n").flatMap((line) => {
    const call = line.match(/^\w+/)?.[0];
    if (!call) return [];
    const when = (counts.get(call) ?? 0) + 1;
    counts.set(call, when);
    // Files are opened all the time; those it makes are steps.
    return call === "openat" && !line.includes("O_CREAT") ? [] : [{ call, when }];
  });
}

/** The arguments that run a command and kill it on its way into a step. */
function killedAt({ call, when }: Step, argv: string[]): string[] {
  const inject = `inject=${call}:signal=SIGKILL:when=${when}`;
  return ["strace", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", inject, ...argv];
}

Deno.test("crash: run, killed at each of its steps from prepare to cleanup", async () => {
  await using scene = await Scene.create({ search: CNI_PLUGINS });
  const { agent } = scene;
  const argv = agent.runArgv([...NETWORKS, "--name=victim"], ["true"]);
  const steps = await stepsOf(agent, argv);
  assertEquals(steps.length > 60, true, `${steps.length} steps are too few to be all`);
  let killed = 0;
  const chosen = partOf(sample(steps, 10), 3);
  for (const step of chosen) {
    const { code } = await agent.sandbox.run(killedAt(step, argv));
    if (code === 137) killed++; // a lock may be had at the first try, another time at the second
    await scene.recoveredFrom(`${step.call} ${step.when}`);
  }
  assertEquals(killed > chosen.length / 2, true, `only ${killed} were killed`);
});

Deno.test("crash: cleanup and recover, killed at each of their steps, and repeated", async () => {
  await using scene = await Scene.create({ search: CNI_PLUGINS });
  const { agent } = scene;
  const victim = async () => {
    const process = await agent.attach("victim", [], {
      network_infos: [
        { name: "mapped", port_mappings: [{ host_port: 8080, container_port: 80 }] },
        { name: "second" },
      ],
    });
    await process.end();
  };
  for (const operation of [["cleanup", "victim"], ["recover"]]) {
    const argv = agent.isolatorArgv(...operation);
    await victim();
    const steps = await stepsOf(agent, argv);
    for (const step of partOf(sample(steps, 5), 5)) {
      await victim();
      await agent.sandbox.run(killedAt(step, argv));
      await scene.recoveredFrom(`${operation[0]}: ${step.call} ${step.when}`);
    }
  }
});

Deno.test("crash: killed by its plugin, which stops too or goes on, before and after its work", async () => {
  const first = async (agent: Agent) => {
    agent.plugin(
      "killer",
      `order=$(cat ${agent.sandbox.dir}/order)
       [ "$order" != "$CNI_COMMAND before, stops" ] || { kill -9 $PPID; exit 1; }
       [ "$order" != "$CNI_COMMAND before, goes on" ] || { kill -9 $PPID; sleep 0.3; }
       result=$(/usr/lib/cni/bridge); code=$?
       [ "$order" != "$CNI_COMMAND after, goes on" ] || kill -9 $PPID
       [ "$order" != "$CNI_COMMAND after, stops" ] || { kill -9 $PPID; kill -9 $$; }
       echo "$result"; exit $code`,
    );
    agent.define({ ...bridgeNetwork("killer"), type: "killer", bridge: "mesos-cni0" });
    agent.write(`${agent.sandbox.dir}/order`, "none");
    await agent.ok(["--networks=killer"], ["true"]);
  };
  await using scene = await Scene.create({ first, search: CNI_PLUGINS });
  const { agent } = scene;
  const order = `${agent.sandbox.dir}/order`;
  const orders = ["ADD", "DEL"].flatMap((command) =>
    ["before", "after"].flatMap((when) =>
      ["stops", "goes on"].map((then) => `${command} ${when}, ${then}`)
    )
  );
  for (const what of partOf(orders, 4)) {
    agent.write(order, what);
    const { code } = await agent.run(["--networks=killer,second", "--name=victim"], ["true"]);
    assertEquals(code, 137, what);
    agent.write(order, "none");
    await scene.recoveredFrom(what);
  }
});

Deno.test("crash: recover at the same time as a container is made keeps it", async () => {
  await using scene = await Scene.create({ search: CNI_PLUGINS });
  const { agent } = scene;
  agent.plugin("slow", `[ $CNI_COMMAND != ADD ] || sleep 0.7; exec /usr/lib/cni/bridge`);
  agent.define({ ...bridgeNetwork("slow"), type: "slow", bridge: "mesos-cni0" });
  await agent.json("prepare", ["new"], containerConfig("slow"));
  const process = await agent.process();
  const isolated = agent.json("isolate", ["new", `${process.pid}`]);
  await until(async () => (await agent.list(agent.checkpoint("new"))).length > 0, "its directory");
  assertEquals(await agent.json("recover"), [
    { container: "keeper", outcome: "kept" },
    { container: "new", outcome: "kept" },
  ]);
  await isolated;
  await process.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
});

const KINDS = ["iptables", "nftables"].flatMap((backend) => [
  { backend, plugins: "the reference's plugins", search: CNI_PLUGINS },
  { backend, plugins: "our own plugins", search: undefined },
]);

for (const { backend, plugins, search } of partOf(KINDS, 4)) {
  Deno.test(`crash: at random moments under load, ${backend}, ${plugins} (seed ${SEED})`, async () => {
    await using scene = await Scene.create({ backend, search });
    const { agent } = scene;
    const together = 8;
    const kills = FULL ? 256 : 8;
    const random = randomFrom(SEED);
    const argv = (name: string, i: number) =>
      agent.runArgv(
        ["--networks=mapped,second", `--port_mappings=${8080 + i}:80`, `--name=${name}`],
        ["true"],
      );
    const start = performance.now();
    await Promise.all(
      Array.from({ length: together }, (_, i) => agent.sandbox.ok(argv(`w${i}`, i))),
    );
    const duration = performance.now() - start;
    let killed = 0;
    // On a machine whose speed changes, kills may come too late: then there are more of them.
    const isEnough = () => killed > kills / 3;
    for (let round = 0; round * together < (isEnough() ? kills : 10 * kills); round++) {
      const moments = Array.from({ length: together }, () => random() * duration);
      await Promise.all(moments.map(async (moment, i) => {
        const victim = new Running(agent.sandbox.spawn(argv(`v${round}-${i}`, i)));
        await new Promise((resolve) => setTimeout(resolve, moment));
        victim.kill("SIGKILL");
        if ((await victim.output()).code === 137) killed++;
      }));
      await scene.recoveredFrom(`round ${round}`);
    }
    assertEquals(isEnough(), true, `only ${killed} were killed`);
  });
}
