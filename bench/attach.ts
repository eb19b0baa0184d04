/**
 * Attaching a container to a bridge with two ports, and detaching it: ours over the service's socket
 * and as programs, beside Go's `bridge` and `portmap` as a list and netavark, by turns; alone, among
 * 10,000 mappings of others, and with many containers on the bridge.
 *
 * `./dev bench attach [ROUNDS [CONTAINERS]]`. GO_PLUGINS is the directory of a newer build of Go's
 * plugins than Debian's, which have no backend nftables; NETAVARK a build of netavark.
 */
import { ruleExpressions } from "../lib/firewall/encode.ts";
import type { Place } from "../lib/firewall/rule.ts";
import { applyBatch } from "../lib/nft/batch.ts";
import { addRule } from "../lib/nft/changes.ts";
import { Rules } from "../lib/nft/rules.ts";
import { goChain, mapOthersOfGo, ownChain } from "./attach/go.ts";
import { asProgram, CHAIN, inProcess, mapOthers } from "./attach/ours.ts";
import { KERNEL, Kernel } from "./attach/kernel.ts";
import { netavark } from "./attach/netavark.ts";
import type { Backend, Peer } from "./attach/peer.ts";
import { networkOf, Served, servedName } from "./attach/served.ts";
import { compileLeast } from "./startup.ts";
import { floor, goal, median, row, runProgram, shown, summary } from "./timing.ts";

const OTHERS = 10_000;
/** More than a network of an agent has; each costs a look (CHANGELOG.md: host-local keeps no index). */
const LEASED = 250;
const BACKENDS: readonly Backend[] = ["iptables", "nftables"];

/** The medians of a peer, in ms. */
interface Times {
  attach: number;
  detach: number;
  /** Of the processors for one attach, in the mean: what others take of the machine is not in it. */
  cpu: number;
}

export async function run(args: string[]): Promise<void> {
  const [rounds = 15, count = 1000] = args.map(Number);
  await runProgram("sh", ["-ec", "ip link set lo up; mkdir -p /run/netns; ip netns add bench"]);
  await using served = await Served.start();
  servicePid = served.service.pid;
  const empty = await emptyProgram();
  const peers = [
    (await Kernel.prepare()).peer(),
    ...BACKENDS.map((backend) => served.peer(backend)),
    ...await Promise.all(BACKENDS.map(asProgram)),
    ...await goChains(),
  ];
  const others = [...BACKENDS.map(inProcess), await ownChain(), ...netavark(), empty];
  const alone = await measure("alone", [...peers, ...others], rounds);
  judgeAlone(alone);

  for (const backend of BACKENDS) await mapOthers(backend, OTHERS);
  if (peers.some(({ name }) => name === GO.nftables)) await mapOthersOfGo(OTHERS);
  const among = await measure(`among ${OTHERS} mappings of others`, peers, rounds);
  judgeAmong(alone, among);
  printFloors(alone, among, rounds);

  await containers(count);
  await leases(networkOf("iptables"), LEASED);
  const crowd = `${count} containers on the bridge, ${LEASED} leases`;
  const many = await measure(crowd, [served.peer("iptables")], rounds);
  const [few, lots] = [among.get(OURS.iptables)!, many.get(OURS.iptables)!];
  console.log(goal(`attach with ${crowd}, beside without`, lots.attach / few.attach, 1.3));
  console.log(goal(`detach with ${crowd}, beside without`, lots.detach / few.detach, 1.3));
  await served.verify();
  await printFloor(rounds);
}

const OURS = { iptables: servedName("iptables"), nftables: servedName("nftables") };
const GO = { iptables: goChain("iptables").name, nftables: goChain("nftables").name };
const PROGRAM = {
  iptables: "ours, a program, iptables",
  nftables: "ours, a program, nftables",
};

const LIST = "ours, a list of bridge and portmap, iptables";
const EMPTY = "an empty compiled program";

/** What the runtime alone takes for each of both. */
async function emptyProgram(): Promise<Peer> {
  const program = await compileLeast("empty");
  const start = async () => void await runProgram(program);
  return { name: EMPTY, attach: start, detach: start };
}

/** Debian's plugins are older than the backend nftables, and take no notice of it. */
async function goChains(): Promise<Peer[]> {
  const chains = [goChain("iptables")];
  const newer = goChain("nftables");
  await newer.attach("probe");
  const rules = await runProgram("nft", ["list", "ruleset"]);
  await newer.detach("probe");
  return rules.includes("cni_hostport") ? [...chains, newer] : chains;
}

let servicePid = 0;

/**
 * What this process, the service and all that they have started and waited for took of the
 * processors, in ms, counted in ticks of 10 (proc_pid_stat(5), fields 14 to 17).
 */
function cpuTime(): number {
  return [Deno.pid, servicePid].reduce((sum, pid) => {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields.slice(11, 15).reduce((ticks, field) => ticks + Number(field), 0) * 10 + sum;
  }, 0);
}

/** By turns, so that what disturbs the machine disturbs all alike. The first round warms up. */
async function measure(
  scenario: string,
  peers: readonly Peer[],
  rounds: number,
): Promise<Map<string, Times>> {
  const samples = new Map(
    peers.map(({ name }) => [name, { attach: [] as number[], detach: [] as number[], cpu: 0 }]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const peer of peers) {
      for (const work of ["attach", "detach"] as const) {
        await (work === "attach" ? peer.beforeAttach : peer.beforeDetach)?.();
        const own = samples.get(peer.name)!;
        const [start, before] = [performance.now(), cpuTime()];
        await peer[work](`bench-${round}`);
        if (round === 0) continue;
        own[work].push(performance.now() - start);
        if (work === "attach") own.cpu += (cpuTime() - before) / rounds;
      }
    }
  }
  console.log(`\n### ${scenario}\n`);
  console.log(row("", "attach", "detach", "attach, ms of processors"));
  console.log(row("---", "--:", "--:", "--:"));
  for (const [name, { attach, detach, cpu }] of samples) {
    console.log(row(name, shown(summary(attach)), shown(summary(detach)), cpu.toFixed(0)));
  }
  console.log("");
  return new Map(
    [...samples].map((
      [name, { attach, detach, cpu }],
    ) => [name, { attach: median(attach), detach: median(detach), cpu }]),
  );
}

/** The least of those that were measured. */
function best(
  times: Map<string, Times>,
  names: readonly string[],
  work: "attach" | "detach",
): number {
  return Math.min(...names.flatMap((name) => times.get(name)?.[work] ?? []));
}

function judgeAlone(alone: Map<string, Times>): void {
  const go = Object.values(GO);
  for (
    const [what, names, limits, [least, times]] of [
      ["in the service", Object.values(OURS), { attach: 0.15, detach: 0.2 }, [KERNEL, 1]],
      ["as a program", Object.values(PROGRAM), { attach: 0.6, detach: 0.6 }, [EMPTY, 1]],
      ["as a list of programs", [LIST], { attach: 0.9, detach: 0.9 }, [EMPTY, 2]],
    ] as const
  ) {
    for (const work of ["attach", "detach"] as const) {
      const beside = `${work} ${what}, alone, beside Go's better backend`;
      const theirs = best(alone, go, work);
      console.log(goal(beside, best(alone, names, work) / theirs, limits[work]));
      const reached = times * best(alone, [least], work) / theirs;
      console.log(floor(beside, reached, times === 1 ? least : `${times} times ${least}`));
    }
  }
  const rust = alone.get("netavark, nftables");
  if (rust) {
    const ratio = best(alone, Object.values(OURS), "attach") / rust.attach;
    console.log(goal("attach in the service, alone, beside netavark", ratio, 0.4));
  }
  const start = alone.get(EMPTY)!.attach;
  const later = best(alone, Object.values(PROGRAM), "attach") - start;
  const what = "attach as a program, later than an empty program";
  console.log(goal(what, later, 18, " ms"));
  console.log(floor(what, best(alone, [KERNEL], "attach"), KERNEL, " ms"));
}

function judgeAmong(alone: Map<string, Times>, among: Map<string, Times>): void {
  const ratio = (ours: string, theirs: string, of: keyof Times = "attach") =>
    among.get(ours)![of] / among.get(theirs)![of];
  for (
    const [backend, limits] of [
      ["iptables", { service: 0.06, program: 0.25 }],
      ["nftables", { service: 0.12, program: 0.6 }],
    ] as const
  ) {
    if (among.has(GO[backend])) {
      const beside = `among ${OTHERS} mappings, beside Go's on ${backend}`;
      const { service, program } = limits;
      console.log(
        goal(`attach in the service ${beside}`, ratio(OURS[backend], GO[backend]), service),
      );
      console.log(
        goal(`attach as a program ${beside}`, ratio(PROGRAM[backend], GO[backend]), program),
      );
      const [served, started] = [OURS, PROGRAM].map((own) =>
        ratio(own[backend], GO[backend], "cpu").toFixed(2)
      );
      console.log(`of the processors: ${served} in the service, ${started} as a program`);
    }
    for (const work of ["attach", "detach"] as const) {
      const flat = among.get(OURS[backend])![work] / alone.get(OURS[backend])![work];
      console.log(goal(`${work} among ${OTHERS} mappings, beside alone, ${backend}`, flat, 1.2));
    }
  }
}

/** Other containers' wires on the bridge. */
async function containers(count: number): Promise<void> {
  const lines = Array.from(
    { length: count },
    (_, i) =>
      `link add other${i} type veth peer name peer${i}\n` +
      `link set other${i} master ${networkOf("iptables")} up`,
  );
  await runProgram("ip", ["-batch", "-"], { stdin: lines.join("\n") });
}

async function leases(network: string, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const address = `10.50.${100 + Math.floor(i / 250)}.${i % 250 + 1}`;
    await Deno.writeTextFile(`/var/lib/cni/networks/${network}/${address}`, `old${i}\r\neth0`);
  }
}

/**
 * The least that a program can take among others: the runtime starts; the kernel lists the rules of Go's portmap,
 * which tell in no other way whose a port is; and of iptables it adds a rule, for which it looks through the whole
 * table and copies the chain.
 */
function printFloors(alone: Map<string, Times>, among: Map<string, Times>, rounds: number): void {
  const chain: Place = { family: 4, table: "nat", chain: CHAIN };
  const rule = ruleExpressions({
    ...chain,
    port: { protocol: "tcp", number: 9 },
    comment: "container_id: floor",
    target: { dnat: { address: "10.0.0.2", port: 9 } },
  });
  const change = addRule({ family: "ip", name: chain.table }, CHAIN, rule, { protocol: 6 });
  const theirs = new Rules({ family: "ip", name: "cni_hostport" });
  const listing = kernel(
    `the rules of Go's portmap among ${OTHERS} mappings`,
    rounds,
    () => theirs.list("hostports", () => undefined, () => false),
  );
  const adding = kernel(
    `one rule more among ${OTHERS} mappings`,
    rounds,
    () => applyBatch([change], "add a rule"),
  );
  for (const [backend, more] of [["iptables", adding], ["nftables", 0]] as const) {
    const go = among.get(GO[backend]);
    if (!go) continue;
    for (
      const [how, least, why] of [
        ["in the service", among.get(KERNEL)!.attach, KERNEL],
        [
          "as a program",
          alone.get(EMPTY)!.attach + listing,
          "an empty start, and the kernel alone",
        ],
      ] as const
    ) {
      const what = `attach ${how} among ${OTHERS} mappings, beside Go's on ${backend}`;
      console.log(floor(what, (least + more) / go.attach, why));
    }
  }
}

/** The median of what the kernel is asked for. */
function kernel(what: string, rounds: number, ask: () => unknown): number {
  const times = Array.from({ length: rounds }, () => {
    const start = performance.now();
    ask();
    return performance.now() - start;
  });
  console.log(`the kernel alone, ${what}: ${shown(summary(times))}`);
  return median(times);
}

/** What the kernel alone takes to delete a wire, during which it only waits. */
async function printFloor(rounds: number): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await runProgram("ip", ["link", "add", "floor0", "type", "veth", "peer", "name", "floor1"]);
    const start = performance.now();
    await runProgram("ip", ["link", "del", "floor0"]);
    times.push(performance.now() - start);
  }
  console.log("\n### what the kernel takes\n");
  console.log(row("", "detach"));
  console.log(row("---", "--:"));
  console.log(row("deleting a pair of veths (ip link del)", shown(summary(times))));
}
