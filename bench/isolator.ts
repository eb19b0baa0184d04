/**
 * What `mesos-cni isolator serve` costs for each container: on a plugin that does nothing, which
 * leaves the service's own work, and on the Go bridge; next to a shell script that makes the
 * namespace and executes the plugin.
 */
import { CNI_PLUGINS } from "../tests/harness/binary.ts";
import { Sandbox } from "../tests/harness/sandbox.ts";
import { Service } from "../tests/harness/service.ts";
import { Containerizer } from "./containerizer.ts";
import { goal, median, row, runProgram } from "./timing.ts";

/** A bridge of the kernel has 1,023 ports. */
const CONTAINERS = 1000;
const AT_A_TIME = 32;
/** Of the attaches, so many are the first and the last. */
const PART = 0.1;
const BARE_ROUNDS = 50;
/** How long, in ms, the machine gets to be done with the start of a process. */
const SETTLE_MS = 5;

const OVERHEAD_LIMIT_MS = 5;
const GROWTH_LIMIT = 1.2;
const MEMORY_LIMIT_MIB = 150;

const NETWORKS = {
  noop: {},
  bridge: {
    bridge: "bench0",
    isGateway: true,
    ipam: { type: "host-local", subnet: "10.0.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
  },
};

/** What was measured, in ms; of each container. */
interface Measured {
  attaches: number[];
  detaches: number[];
  attachesPerSecond: number;
  detachesPerSecond: number;
}

/** `./dev bench isolator [CONTAINERS]` */
export async function run([count]: string[] = []): Promise<void> {
  for (const [type, config] of Object.entries(NETWORKS)) {
    await compare(
      type,
      { cniVersion: "1.0.0", name: type, type, ...config },
      Number(count ?? CONTAINERS),
    );
  }
}

async function compare(type: string, config: Record<string, unknown>, count: number) {
  await using agent = await Sandbox.create();
  const { dir } = agent;
  Deno.mkdirSync(`${dir}/networks`);
  const file = `${dir}/networks/${type}`;
  Deno.writeTextFileSync(file, JSON.stringify(config));
  const source = new URL("noop_plugin.c", import.meta.url).pathname;
  await runProgram("gcc", ["-O2", "-static", "-o", `${dir}/noop`, source]);
  const cniPath = `${dir}:${CNI_PLUGINS}`;
  await using service = await Service.start(agent, `${dir}/isolator.sock`, [
    `--network_cni_config_dir=${dir}/networks`,
    `--network_cni_plugins_dir=${cniPath}`,
  ]);

  const plugin = type === "noop" ? `${dir}/noop` : `${CNI_PLUGINS}/${type}`;
  const bare = await script(agent, plugin, file, cniPath, BARE_ROUNDS);
  const one = await serve(agent, service, type, count, 1);
  const memory = [one.memory];
  const many = await serve(agent, service, type, count, AT_A_TIME);
  memory.push(many.memory);
  const shell = await script(agent, plugin, file, cniPath, count);

  const part = Math.ceil(count * PART);
  const [first, last] = [one.attaches.slice(0, part), one.attaches.slice(-part)].map(median);
  const show = (name: string, measured: Measured) =>
    console.log(row(
      name,
      `${median(measured.attaches).toFixed(1)} ms`,
      `${measured.attachesPerSecond.toFixed(0)}/s`,
      `${median(measured.detaches).toFixed(1)} ms`,
      `${measured.detachesPerSecond.toFixed(0)}/s`,
    ));
  console.log(`${count} containers, plugin ${type}:\n`);
  console.log(row("how", "attach, median", "attaches", "detach, median", "detaches"));
  console.log(row("---", "---", "---", "---", "---"));
  show("serve, one after the other", one);
  show(`serve, ${AT_A_TIME} at a time`, many);
  show("shell: ip netns, plugin", shell);
  show("shell: the plugin alone", { ...shell, ...shell.pluginAlone });
  console.log(
    `\nfirst ${part} attaches: ${first!.toFixed(2)} ms, last ${part}: ${last!.toFixed(2)} ms`,
  );
  console.log(
    `the plugin alone: ${median(bare.pluginAlone.attaches).toFixed(2)} ms; ` +
      `as serve sees it: ${median(one.plugin).toFixed(2)} ms`,
  );
  if (type === "noop") {
    const own = median(one.attaches) - median(bare.pluginAlone.attaches);
    console.log(goal("attach less the plugin alone", own, OVERHEAD_LIMIT_MS, " ms"));
  }
  const own = one.attaches.map((ms, i) => ms - one.plugin[i]!);
  console.log(goal("attach less the plugin in serve", median(own), OVERHEAD_LIMIT_MS, " ms"));
  console.log(goal("last attaches, times the first", last! / first!, GROWTH_LIMIT));
  console.log(goal("memory of serve", Math.max(...memory), MEMORY_LIMIT_MIB, " MiB"));
  console.log();
}

/** Attaches and detaches containers by the service, in batches. */
async function serve(
  agent: Sandbox,
  service: Service,
  network: string,
  count: number,
  atATime: number,
): Promise<Measured & { plugin: number[]; memory: number }> {
  await using containerizer = new Containerizer(agent);
  const body = { container_info: { network_infos: [{ name: network }] } };
  const attaches: number[] = [];
  const detaches: number[] = [];
  const plugin: number[] = [];
  let attaching = 0;
  for (let i = 0; i < count; i += atATime) {
    const batch = Array.from({ length: Math.min(atATime, count - i) }, (_, j) => `c${i + j}`);
    const prepared = await timedEach(
      batch,
      (id) => service.ok(`/v1/containers/${id}/prepare`, body),
    );
    const pids = await Promise.all(batch.map(() => containerizer.start()));
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const before = await pluginMs(service);
    const isolated = await timedEach(
      batch,
      (id, j) => service.ok(`/v1/containers/${id}/isolate`, { pid: pids[j] }),
    );
    plugin.push((await pluginMs(service) - before) / batch.length);
    attaches.push(...batch.map((_, j) => prepared.each[j]! + isolated.each[j]!));
    attaching += prepared.all + isolated.all;
  }
  const memory = memoryMiB(service.pid);
  let detaching = 0;
  for (let i = 0; i < count; i += atATime) {
    const batch = Array.from({ length: Math.min(atATime, count - i) }, (_, j) => `c${i + j}`);
    const cleaned = await timedEach(batch, (id) => service.ok(`/v1/containers/${id}/cleanup`));
    detaches.push(...cleaned.each);
    detaching += cleaned.all;
  }
  return {
    attaches,
    detaches,
    attachesPerSecond: count / attaching * 1000,
    detachesPerSecond: count / detaching * 1000,
    plugin,
    memory,
  };
}

/** Does `work` for all at the same time: how long each took, and all together, in ms. */
async function timedEach<T>(
  things: readonly T[],
  work: (thing: T, i: number) => Promise<unknown>,
): Promise<{ each: number[]; all: number }> {
  const start = performance.now();
  const each = await Promise.all(things.map(async (thing, i) => {
    await work(thing, i);
    return performance.now() - start;
  }));
  return { each, all: performance.now() - start };
}

/** How long the service has waited for ADD of its plugins so far. */
async function pluginMs(service: Service): Promise<number> {
  const { text } = await service.get("/metrics");
  const sum = /^mesos_cni_plugin_duration_seconds_sum\{.*command="ADD"\} (.*)$/m.exec(text);
  return Number(sum?.[1] ?? 0) * 1000;
}

/** Does the same by a shell script, which prints the microseconds of each step. */
async function script(
  agent: Sandbox,
  plugin: string,
  config: string,
  cniPath: string,
  count: number,
): Promise<Measured & { pluginAlone: Pick<Measured, "attaches" | "detaches"> }> {
  const text = `
    export CNI_IFNAME=eth0
    for ((i = 0; i < ${count}; i++)); do
      t0=\${EPOCHREALTIME/./}
      ip netns add s$i
      t1=\${EPOCHREALTIME/./}
      CNI_COMMAND=ADD CNI_CONTAINERID=s$i CNI_NETNS=/run/netns/s$i "$plugin" < "$config" > /run/result
      t2=\${EPOCHREALTIME/./}
      echo attach $((t2 - t0)) $((t2 - t1))
    done
    for ((i = 0; i < ${count}; i++)); do
      t0=\${EPOCHREALTIME/./}
      CNI_COMMAND=DEL CNI_CONTAINERID=s$i CNI_NETNS=/run/netns/s$i "$plugin" < "$config" > /run/result
      t1=\${EPOCHREALTIME/./}
      ip netns delete s$i
      t2=\${EPOCHREALTIME/./}
      echo detach $((t2 - t0)) $((t1 - t0))
    done`;
  const output = await agent.ok(["bash", "-euc", text], {
    env: { plugin, config, CNI_PATH: cniPath },
  });
  const steps = output.trim().split("\n").map((line) => line.split(" "));
  const column = (step: string, i: number) =>
    steps.filter(([name]) => name === step).map((cells) => Number(cells[i]) / 1000);
  const [attaches, detaches] = [column("attach", 1), column("detach", 1)];
  const perSecond = (all: number[]) => 1000 * all.length / all.reduce((sum, ms) => sum + ms, 0);
  return {
    attaches,
    detaches,
    attachesPerSecond: perSecond(attaches),
    detachesPerSecond: perSecond(detaches),
    pluginAlone: { attaches: column("attach", 2), detaches: column("detach", 2) },
  };
}

function memoryMiB(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
  return Number(match![1]) / 1024;
}
