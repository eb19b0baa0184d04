/**
 * What `mesos-cni isolator serve` costs for each container: on a plugin that does nothing, which
 * shows the service's own work, and on the Go bridge; next to a shell script that makes the
 * namespace and executes the plugin.
 */
import { CNI_PLUGINS } from "../tests/harness/binary.ts";
import { Sandbox } from "../tests/harness/sandbox.ts";
import { Service } from "../tests/harness/service.ts";
import { goal, median, row, runProgram } from "./timing.ts";

const CONTAINERS = 1000;
const AT_A_TIME = 32;
/** How many of the first and the last attaches are compared. */
const PART = 0.1;

const OVERHEAD_LIMIT_MS = 5;
const GROWTH_LIMIT = 1.2;
const MEMORY_LIMIT_MIB = 150;

interface Network {
  name: string;
  plugin: string;
  config: Record<string, unknown>;
}

const NETWORKS: readonly Network[] = [
  {
    name: "noop",
    plugin: "noop",
    config: { cniVersion: "1.0.0", name: "noop", type: "noop" },
  },
  {
    name: "bridge",
    plugin: "bridge",
    config: {
      cniVersion: "1.0.0",
      name: "bridge",
      type: "bridge",
      bridge: "bench0",
      isGateway: true,
      ipam: { type: "host-local", subnet: "10.0.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
    },
  },
];

/** `./dev bench isolator [CONTAINERS]` */
export async function run([count]: string[] = []): Promise<void> {
  const containers = Number(count ?? CONTAINERS);
  console.log(row("plugin, containers", "attach", "detach", "first", "last", "own work", "RSS"));
  console.log(row(...Array(7).fill("---")));
  for (const network of NETWORKS.slice(0, 1)) await measure(network, containers);
}

async function measure(network: Network, count: number): Promise<void> {
  await using agent = await Sandbox.create();
  const { dir } = agent;
  Deno.mkdirSync(`${dir}/networks`);
  Deno.writeTextFileSync(`${dir}/networks/one`, JSON.stringify(network.config));
  await runProgram("gcc", [
    "-O2",
    "-static",
    "-o",
    `${dir}/noop`,
    new URL("noop_plugin.c", import.meta.url).pathname,
  ]);
  await using service = await Service.start(agent, `${dir}/isolator.sock`, [
    `--network_cni_config_dir=${dir}/networks`,
    `--network_cni_plugins_dir=${dir}:${CNI_PLUGINS}`,
  ]);
  const bare = await barePlugin(agent, network, `${dir}:${CNI_PLUGINS}`);

  for (const atATime of [1, AT_A_TIME]) {
    await using containerizer = new Containerizer(agent);
    const attaches = await inTurns(count, atATime, async (i) => {
      const path = `/v1/containers/c${i}`;
      const prepared = await timed(() =>
        service.ok(`${path}/prepare`, {
          container_info: { network_infos: [{ name: network.name }] },
        })
      );
      const pid = await containerizer.start();
      const before = atATime === 1 ? await pluginSeconds(service, "ADD") : 0;
      const isolated = await timed(() => service.ok(`${path}/isolate`, { pid }));
      const plugin = atATime === 1 ? (await pluginSeconds(service, "ADD") - before) * 1000 : NaN;
      return { ms: prepared + isolated, plugin };
    });
    const memory = memoryMiB(service.pid);
    const detaches = await inTurns(
      count,
      atATime,
      (i) => timed(() => service.ok(`/v1/containers/c${i}/cleanup`)),
    );
    const ms = attaches.results.map((attach) => attach.ms);
    const own = attaches.results.map((attach) => attach.ms - attach.plugin);
    const part = Math.ceil(count * PART);
    const [first, last] = [own.slice(0, part), own.slice(-part)].map(median);
    console.log(row(
      `${network.name}, ${count} × ${atATime}`,
      `${median(ms).toFixed(1)} ms, ${attaches.perSecond.toFixed(0)}/s`,
      `${median(detaches.results).toFixed(1)} ms, ${detaches.perSecond.toFixed(0)}/s`,
      first!.toFixed(2),
      last!.toFixed(2),
      `${median(own).toFixed(2)} bare ${bare.toFixed(2)}`,
      `${memory.toFixed(0)} MiB`,
    ));
    if (atATime === 1) {
      console.log(goal("own", median(ms) - bare, OVERHEAD_LIMIT_MS, " ms"));
      console.log(goal("growth", last! / first!, GROWTH_LIMIT));
    }
    console.log(goal("memory", memory, MEMORY_LIMIT_MIB, " MiB"));
  }
}

/** Does `work` so often, so many at a time. */
async function inTurns<R>(
  count: number,
  atATime: number,
  work: (i: number) => Promise<R>,
): Promise<{ results: R[]; perSecond: number }> {
  const results: R[] = [];
  let next = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: atATime }, async () => {
    for (let i = next++; i < count; i = next++) results[i] = await work(i);
  }));
  return { results, perSecond: count / (performance.now() - start) * 1000 };
}

/** How long something took, in ms. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What the service says that its plugins have taken so far. */
async function pluginSeconds(service: Service, command: string): Promise<number> {
  const { text } = await service.get("/metrics");
  const line = new RegExp(`^mesos_cni_plugin_duration_seconds_sum\\{.*"${command}"\\} (.*)$`, "m");
  return Number(line.exec(text)?.[1] ?? 0);
}

/** How long the plugin takes for an ADD when nothing but the kernel is between, in ms. */
async function barePlugin(agent: Sandbox, network: Network, cniPath: string): Promise<number> {
  const script = `
import os, subprocess, sys, time, json
config, cni_path, plugin = sys.argv[1:]
file = next(f"{d}/{plugin}" for d in cni_path.split(":") if os.path.exists(f"{d}/{plugin}"))
times = []
for i in range(30):
  subprocess.run(["ip", "netns", "add", f"bare{i}"], check=True)
  env = {"CNI_CONTAINERID": f"bare{i}", "CNI_NETNS": f"/run/netns/bare{i}", "CNI_IFNAME": "eth0", "CNI_PATH": cni_path, "PATH": os.environ["PATH"]}
  for command in "ADD", "DEL":
    start = time.perf_counter()
    subprocess.run([file], input=config.encode(), env={**env, "CNI_COMMAND": command}, check=True, stdout=subprocess.PIPE)
    if command == "ADD": times.append(time.perf_counter() - start)
  subprocess.run(["ip", "netns", "del", f"bare{i}"], check=True)
print(json.dumps(times))
`;
  const argv = ["python3", "-c", script, JSON.stringify(network.config), cniPath, network.plugin];
  return median(JSON.parse(await agent.ok(argv)) as number[]) * 1000;
}

function memoryMiB(pid: number): number {
  const match = /VmRSS:\s+(\d+) kB/.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
  return Number(match![1]) / 1024;
}

/** Starts the first processes of containers, each in namespaces of its own. */
class Containerizer implements AsyncDisposable {
  readonly #shell: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting: ((pid: number) => void)[] = [];
  readonly #reading: Promise<void>;

  constructor(agent: Sandbox) {
    // As after clone(2): mounts still spread into the new namespace.
    const script = `while read order; do
      unshare --net --mount --propagation=unchanged --uts sh -c 'echo $$; exec sleep 100000' &
    done; kill $(jobs -p)`;
    this.#shell = agent.spawn(["bash", "-c", script]);
    this.#orders = this.#shell.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** @returns the process's id, once it is in its namespaces */
  async start(): Promise<number> {
    const pid = new Promise<number>((resolve) => this.#waiting.push(resolve));
    await this.#orders.write(new TextEncoder().encode("\n"));
    return await pid;
  }

  async #read(): Promise<void> {
    let text = "";
    for await (const chunk of this.#shell.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split("\n");
      text = lines.pop()!;
      for (const line of lines) this.#waiting.shift()!(Number(line));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orders.close();
    await this.#shell.stderr.cancel();
    await this.#shell.status;
    await this.#reading;
  }
}
