/**
 * A day of a service in minutes, with a neighbour that does what it can to be in the way: 10,000
 * containers come and go with MESOS_CNI_TEST_SCALE=full, each on two networks. At the end, the service
 * and the machine have what they had after the first hundred, and nobody else has waited for the
 * neighbour.
 */
import { assert, assertEquals } from "@std/assert";
import { PYTHON } from "../harness/binary.ts";
import { Containerizer } from "../harness/containerizer.ts";
import {
  Agent,
  bridgeNetwork,
  CONTAINERS,
  portMapperNetwork,
  RUNTIME_DIR,
} from "../harness/agent.ts";
import { isRunning } from "../harness/agent.ts";
import { Service, until } from "../harness/service.ts";
import { ALL_PARTS, FULL } from "../harness/scale.ts";

const CYCLES = FULL ? 10_000 : ALL_PARTS ? 32 : 16;
/** After so many, what there is counts as what there should be. */
const FIRST = FULL ? 100 : 8;
const AT_A_TIME = 8;
/** A look at everything comes after so many. */
const BETWEEN_LOOKS = FULL ? 1_000 : 8;
/** Processes of the neighbour. */
const CROWD = FULL ? 6_000 : 100;
/**
 * How long the neighbour rests after each attack, in its durations. One that never rests keeps the
 * kernel's lock of all networks for so much of the time that a day would take one.
 */
const REST = FULL ? 9 : 0;
/**
 * How much longer, in ms, 99 of 100 answers may take than those of a service that has no neighbour. A
 * service that is blocked by the neighbour is so for seconds.
 */
const P99_LIMIT = FULL ? 100 : 600;
/** And at most, in ms: a neighbour is no reason for what keeps all services waiting. */
const P99_AT_ALL = 5_000;
/**
 * The same for what only the kernel knows of a link: it has one lock for all networks of the machine
 * (RTNL), which the neighbour keeps for tens of ms at a time.
 */
const P99_OF_LINKS = 10_000;
const MEMORY_SLACK_MIB = 40;

/** Renames and flushes, makes and removes, without end; a flood of packets; a crowd of processes. */
const HOSTILE = `
import ctypes, os, socket, subprocess, sys, time
crowd, rest = int(sys.argv[1]), int(sys.argv[2])
def attack(work):
    while True:
        begin = time.monotonic()
        work()
        time.sleep(rest * (time.monotonic() - begin))
os.nice(5)
if os.fork() == 0:
    for i in range(crowd):
        if os.fork() == 0: break
    ctypes.CDLL(None).pause()
if os.fork() == 0:
    flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    flood.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    def send():
        for port in range(1024, 2024):
            try: flood.sendto(b"x" * 64, ("192.168.0.1", port))
            except OSError: pass
    attack(send)
print("ready", flush=True)
lines = []
for i in range(60):
    lines += [f"address add 198.51.100.{i}/32 dev eth0", f"link add h{i} type veth peer name i{i}"]
lines += ["address add 2001:db8::%d/128 dev eth0" % i for i in range(60)]
for i in range(60):
    lines += [f"address del 198.51.100.{i}/32 dev eth0", f"link del h{i}"]
lines += ["address del 2001:db8::%d/128 dev eth0" % i for i in range(60)]
batch = "\\n".join(lines)
ip = ["ip", "-force", "-batch", "-"]
attack(lambda: subprocess.run(ip, input=batch, text=True, stderr=subprocess.DEVNULL))
`;

/** What may not grow. */
interface Possessions {
  descriptors: number;
  memoryMiB: number;
  mounts: number;
  rules: number;
  links: number;
  files: number;
}

async function possessions(agent: Agent, service: Service): Promise<Possessions> {
  const count = async (argv: string[]) => (await agent.sandbox.ok(argv)).split("\n").length;
  const rss = /VmRSS:\s+(\d+)/.exec(Deno.readTextFileSync(`/proc/${service.pid}/status`))![1];
  const files = await Promise.all(
    [RUNTIME_DIR, "/run/mesos-cni", "/var/lib/cni"].map((path) => agent.list(path)),
  );
  return {
    descriptors: [...Deno.readDirSync(`/proc/${service.pid}/fd`)].length,
    memoryMiB: Number(rss) / 1024,
    mounts: await count(["cat", "/proc/self/mountinfo"]),
    rules: await count(["iptables-save"]) + await count(["ip6tables-save"]),
    links: await count(["ip", "-brief", "link"]),
    // Files that hold what was given out last are written at the first occasion.
    files: files.flat().filter((file) => !/last_reserved_ip|orphans/.test(file)).length,
  };
}

/** Asks a question over and over. */
class Asker {
  readonly waits: number[] = [];
  #done = false;
  readonly #asking: Promise<void>;

  constructor(ask: () => Promise<unknown>) {
    this.#asking = (async () => {
      while (!this.#done) {
        const start = performance.now();
        await ask();
        this.waits.push(performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
  }

  /** What 99 of 100 answers took at most, in ms. */
  async p99(): Promise<number> {
    this.#done = true;
    await this.#asking;
    return this.waits.toSorted((a, b) => a - b)[Math.floor(this.waits.length * 0.99)]!;
  }
}

Deno.test(`day: ${CYCLES} containers beside a hostile one leave nothing, and nobody waits`, async () => {
  // Only built-in plugins: what the day costs is ours.
  await using agent = await Agent.create(portMapperNetwork("mapped"), bridgeNetwork("plain"));
  const start = (name: string, runtimeDir: string) =>
    Service.start(agent.sandbox, `${agent.sandbox.dir}/${name}`, [
      `--network_cni_config_dir=${agent.configDir}`,
      `--network_cni_plugins_dir=${agent.pluginDir}`,
      `--runtime_dir=${runtimeDir}`,
    ]);
  await using service = await start("socket", RUNTIME_DIR);
  await using alone = await start("alone", "/run/alone");
  await using containerizer = new Containerizer(agent.sandbox);
  const attach = async (id: string, body: unknown): Promise<number> => {
    await service.ok(`/v1/containers/${id}/prepare`, { container_info: body });
    const pid = await containerizer.start();
    await service.ok(`/v1/containers/${id}/isolate`, { pid });
    return pid;
  };
  const plain = { network_infos: [{ name: "plain" }] };
  const keeper = await attach("keeper", plain);
  const hostile = await attach("hostile", plain);
  const inside = (pid: number, argv: string[]) => ["nsenter", `--target=${pid}`, "--net", ...argv];
  const attacker = agent.spawn([
    ...["unshare", "--pid", "--fork", "--kill-child"],
    ...inside(hostile, [PYTHON, "-c", HOSTILE, `${CROWD}`, `${REST}`]),
  ]);
  await attacker.printed(/ready/);

  const cycle = async (i: number) => {
    const id = `c${i}`;
    const pid = await attach(id, {
      network_infos: [{
        name: "mapped",
        port_mappings: [
          { host_port: 10_000 + i % 20_000, container_port: 80 },
          { host_port: 30_000 + i % 20_000, container_port: 53, protocol: "UDP" },
        ],
      }, { name: "plain" }],
    });
    Deno.kill(pid, "SIGKILL");
    await until(() => !isRunning(pid), `the end of process ${pid}`);
    await service.ok(`/v1/containers/${id}/cleanup`);
  };
  const cycles = async (from: number, to: number) => {
    let next = from;
    const worker = async () => {
      for (let i = next++; i < to; i = next++) await cycle(i);
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  };
  const look = async () => {
    assertEquals((await service.ok("/v1/gc", { apply: true })).json, []);
    const states = ["keeper", "hostile"].map((value) => ({ container_id: { value } }));
    const { json } = await service.ok("/v1/recover", { states });
    assertEquals(json.map(({ outcome }: { outcome: string }) => outcome), ["kept", "kept"]);
    await service.get("/v1/containers/hostile/usage");
    assertEquals((await service.get("/v1/containers")).status, 200);
  };

  await cycles(0, FIRST);
  await look();
  const before = await possessions(agent, service);
  const [health, status, usage] = [
    "/healthz",
    "/v1/containers/keeper/status",
    "/v1/containers/keeper/usage",
  ]
    .map((path) => new Asker(() => service.get(path))) as [Asker, Asker, Asker];
  const undisturbed = new Asker(() => alone.get("/healthz"));
  for (let done = FIRST; done < CYCLES; done += BETWEEN_LOOKS) {
    await cycles(done, Math.min(done + BETWEEN_LOOKS, CYCLES));
    await look();
  }
  const p99 = Math.max(await health.p99(), await status.p99());
  const p99OfLinks = await usage.p99();
  const p99Alone = await undisturbed.p99();
  const after = await possessions(agent, service);

  const { memoryMiB: memoryBefore, ...rest } = before;
  const { memoryMiB, ...restAfter } = after;
  assertEquals(restAfter, rest);
  assert(memoryMiB < memoryBefore + MEMORY_SLACK_MIB, `${memoryBefore} MiB became ${memoryMiB}`);
  const longer = p99 - p99Alone;
  const took = `99 of 100 answers took up to ${p99} ms, alone ${p99Alone} ms`;
  assert(longer <= P99_LIMIT && p99 <= P99_AT_ALL, took);
  assert(p99OfLinks <= P99_OF_LINKS, `99 of 100 answers about links took up to ${p99OfLinks} ms`);
  await agent.sandbox.ok(inside(keeper, ["busybox", "ping", "-c1", "-W30", "192.168.0.1"]));

  // Even the neighbour goes as anyone does.
  await attacker.end();
  for (const [id, pid] of [["hostile", hostile], ["keeper", keeper]] as const) {
    Deno.kill(pid, "SIGKILL");
    await until(() => !isRunning(pid), `the end of process ${pid}`);
    await service.ok(`/v1/containers/${id}/cleanup`);
  }
  assertEquals(await agent.list(CONTAINERS), []);
  assertEquals((await service.ok("/v1/gc", { apply: true })).json, []);
});
