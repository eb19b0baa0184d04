/**
 * What `mesos-cni isolator serve` costs for each container: on a plugin that does nothing, which
 * leaves the service's own work, and on our own bridge; next to a shell script that makes the namespace
 * and executes the plugin, of Go for the bridge.
 */
import { CNI_PLUGINS } from "../tests/harness/binary.ts";
import { Containerizer } from "../tests/harness/containerizer.ts";
import { Sandbox } from "../tests/harness/sandbox.ts";
import { Service } from "../tests/harness/service.ts";
import { Shell } from "./shell.ts";
import { floor, goal, median, row, runProgram } from "./timing.ts";

const CONTAINERS = 2000;
/** A bridge of the kernel has 1,023 ports: there are as many networks as it takes. */
const PER_NETWORK = 1000;
const AT_A_TIME = 32;
/** So many are the first and the last, of attaches as of detaches. */
const PART = 100;
/** Containers before those that count: the first ones meet code that was never run. */
const WARM_UP = 50;
/** How long, in ms, the machine gets to be done with the start of a process. */
const SETTLE_MS = 5;

const OVERHEAD_LIMIT_MS = 5;
const GROWTH_LIMIT = 1.2;
const MEMORY_LIMIT_MIB = 150;

/** The config of each type's network of a number. */
const NETWORKS = {
  noop: () => ({}),
  bridge: (number: number) => ({
    bridge: `bench${number}`,
    isGateway: true,
    ipam: { type: "host-local", subnet: `10.${number}.0.0/16`, routes: [{ dst: "0.0.0.0/0" }] },
  }),
};

/** What was measured of each container, in ms. */
interface Measured {
  attaches: number[];
  detaches: number[];
}

/** `./dev bench isolator [CONTAINERS [noop|bridge]]` */
export async function run([count, plugin]: string[] = []): Promise<void> {
  for (const [type, config] of Object.entries(NETWORKS)) {
    if (plugin === undefined || plugin === type) {
      await measure(type, config, Number(count ?? CONTAINERS));
    }
  }
}

async function measure(
  type: string,
  configOf: (number: number) => Record<string, unknown>,
  count: number,
) {
  await using agent = await Sandbox.create();
  const { dir } = agent;
  Deno.mkdirSync(`${dir}/networks`);
  const networkOf = (number: number) => ({
    cniVersion: "1.0.0",
    name: `${type}-${number}`,
    type,
    ...configOf(number),
  });
  for (let number = 0; number <= (count + WARM_UP) / PER_NETWORK; number++) {
    Deno.writeTextFileSync(`${dir}/networks/${number}`, JSON.stringify(networkOf(number)));
  }
  const source = new URL("noop_plugin.c", import.meta.url).pathname;
  await runProgram("gcc", ["-O2", "-static", "-o", `${dir}/noop`, source]);
  const cniPath = `${dir}:${CNI_PLUGINS}`;
  await using service = await Service.start(agent, `${dir}/isolator.sock`, [
    `--network_cni_config_dir=${dir}/networks`,
    `--network_cni_plugins_dir=${dir}`,
  ]);
  await using containerizer = new Containerizer(agent);
  // On an agent of its own: the mounts of `ip netns` would spread to all containers.
  await using other = await Sandbox.create();
  const plugin = type === "noop" ? `${dir}/noop` : `${CNI_PLUGINS}/${type}`;
  await using shell = new Shell(other, plugin, cniPath, JSON.stringify(networkOf(0)));
  const served = new Served(service, containerizer, type);

  for (let i = count; i < count + WARM_UP; i++) {
    await served.attach([i]);
    await shell.step("attach", i);
    await served.detach([i]);
    await shell.step("detach", i);
  }
  const shelled = { attaches: [], detaches: [], plugin: [] } as Measured & { plugin: number[] };
  const one: Measured = { attaches: [], detaches: [] };
  /** How long the service has waited for the plugin in the first part, and in the last one. */
  const waited: number[] = [];
  for (let i = 0; i < count; i++) {
    // Not at each one: the service counts its containers for the answer.
    if (i === 0 || i === count - PART) waited.push(-await served.pluginMs());
    one.attaches.push(...(await served.attach([i])).ms);
    if (i === PART - 1 || i === count - 1) waited.push(waited.pop()! + await served.pluginMs());
    if (i >= PER_NETWORK) continue; // the script knows one network
    const bare = await shell.step("attach", i);
    shelled.attaches.push(bare.ms);
    shelled.plugin.push(bare.plugin);
  }
  const memory = [memoryMiB(service.pid)];
  for (let i = 0; i < count; i++) {
    one.detaches.push(...(await served.detach([i])).ms);
    if (i < PER_NETWORK) shelled.detaches.push((await shell.step("detach", i)).ms);
  }

  const many: Measured = { attaches: [], detaches: [] };
  let [attaching, detaching] = [0, 0];
  for (const batch of batches(count)) {
    const { ms, all } = await served.attach(batch);
    many.attaches.push(...ms);
    attaching += all;
  }
  memory.push(memoryMiB(service.pid));
  for (const batch of batches(count)) {
    const { ms, all } = await served.detach(batch);
    many.detaches.push(...ms);
    detaching += all;
  }

  const show = (name: string, { attaches, detaches }: Measured, time: [number, number]) => {
    const [a, d] = time.map((ms) => `${(attaches.length / ms * 1000).toFixed(0)}/s`);
    const [attach, detach] = [attaches, detaches]
      .map((all) => `${median(all).toFixed(1)} ms (p99 ${p99(all).toFixed(0)})`);
    console.log(row(name, attach!, a!, detach!, d!));
  };
  const sum = (all: number[]) => all.reduce((total, ms) => total + ms, 0);
  const alone = (
    { attaches, detaches }: Measured,
  ): [number, number] => [sum(attaches), sum(detaches)];
  console.log(
    `${count} containers, plugin ${type}, load average ${Deno.loadavg()[0]!.toFixed(1)}:\n`,
  );
  console.log(row("how", "attach, median", "attaches", "detach, median", "detaches"));
  console.log(row("---", "---", "---", "---", "---"));
  show("serve, one after the other", one, alone(one));
  show(`serve, ${AT_A_TIME} at a time`, many, [attaching, detaching]);
  show("shell script: ip netns, plugin", shelled, alone(shelled));

  const ends = (all: number[]) =>
    [median(all.slice(0, PART)), median(all.slice(-PART))] as [number, number];
  const [first, last] = ends(one.attaches);
  const [fullest, emptiest] = ends(one.detaches);
  const own = median(shelled.plugin.map((ms, i) => one.attaches[i]! - ms));
  const shown = (ms: [number, number]) => ms.map((one) => `${one.toFixed(2)} ms`).join(", ");
  console.log(`
The first ${PART} and the last ${PART}, medians: attach ${shown([first, last])}; \
detach ${shown([fullest, emptiest])}; \
the plugin alone, from the shell: ${shown(ends(shelled.plugin))}; \
as the service waits for it, means: ${shown(waited.map((ms) => ms / PART) as [number, number])}.
`);
  if (type === "noop") {
    const what = "attach less the plugin alone";
    console.log(goal(what, own, OVERHEAD_LIMIT_MS, " ms"));
    const least = median(shelled.plugin.map((ms, i) => shelled.attaches[i]! - ms));
    console.log(floor(what, least, "the shell script's", " ms"));
  }
  console.log(goal("last attaches, times the first", last / first, GROWTH_LIMIT));
  console.log(
    goal("detaches among the most, times among the fewest", fullest / emptiest, GROWTH_LIMIT),
  );
  const { attaches, detaches } = shelled;
  for (
    const [what, [more, less]] of [
      ["last attaches, times the first", ends(attaches).toReversed()],
      ["detaches among the most, times among the fewest", ends(detaches)],
    ] as const
  ) {
    console.log(floor(what, more! / less!, "the shell script's"));
  }
  console.log(goal("memory of serve", Math.max(...memory), MEMORY_LIMIT_MIB, " MiB"));
  console.log();
}

function p99(all: readonly number[]): number {
  return all.toSorted((a, b) => a - b)[Math.floor(all.length * 0.99)]!;
}

/** The numbers below `count` in groups. */
function batches(count: number): number[][] {
  return Array.from(
    { length: Math.ceil(count / AT_A_TIME) },
    (_, b) =>
      Array.from(
        { length: Math.min(AT_A_TIME, count - b * AT_A_TIME) },
        (_, i) => b * AT_A_TIME + i,
      ),
  );
}

/** Containers of a service, by their numbers. */
class Served {
  readonly #pids = new Map<number, number>();

  constructor(
    private readonly service: Service,
    private readonly containerizer: Containerizer,
    private readonly type: string,
  ) {}

  /** Attaches all at the same time; what the start of their processes takes does not count. */
  async attach(batch: readonly number[]): Promise<{ ms: number[]; all: number }> {
    const prepared = await timedEach(batch, (i) => {
      const name = `${this.type}-${Math.floor(i / PER_NETWORK)}`;
      return this.#post(i, "prepare", { container_info: { network_infos: [{ name }] } });
    });
    const pids = await Promise.all(batch.map(() => this.containerizer.start()));
    batch.forEach((i, at) => this.#pids.set(i, pids[at]!));
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const isolated = await timedEach(batch, (i, at) => this.#post(i, "isolate", { pid: pids[at] }));
    return {
      ms: batch.map((_, at) => prepared.each[at]! + isolated.each[at]!),
      all: prepared.all + isolated.all,
    };
  }

  async detach(batch: readonly number[]): Promise<{ ms: number[]; all: number }> {
    await Promise.all(batch.map((i) => this.containerizer.end(this.#pids.get(i)!)));
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const { each, all } = await timedEach(batch, (i) => this.#post(i, "cleanup"));
    return { ms: each, all };
  }

  #post(i: number, operation: string, body?: unknown) {
    return this.service.ok(`/v1/containers/c${i}/${operation}`, body);
  }

  /** How long the service has waited for ADD of its plugins so far. */
  async pluginMs(): Promise<number> {
    const { text } = await this.service.get("/metrics");
    const sum = /^mesos_cni_plugin_duration_seconds_sum\{.*command="ADD"\} (.*)$/m.exec(text);
    return Number(sum?.[1] ?? 0) * 1000;
  }
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

function memoryMiB(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(Deno.readTextFileSync(`/proc/${pid}/status`));
  return Number(match![1]) / 1024;
}
