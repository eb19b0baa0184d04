/**
 * The service through its socket: prepare, isolate and cleanup of containers with two mappings each, one
 * after the other and many at a time, while its metrics are scraped every second; beside Go's `bridge`
 * and `portmap` as programs, by turns, and netavark.
 *
 * `./dev bench service [CONTAINERS]`
 */
import { Chain, GO_PLUGINS } from "./attach/go.ts";
import { KERNEL, Kernel } from "./attach/kernel.ts";
import { netavark } from "./attach/netavark.ts";
import { Served } from "./attach/served.ts";
import { floor, goal, median, row, runProgram, shown, summary } from "./timing.ts";

const CONTAINERS = 1000;
/** So many meet a service that was just started; from then on it is warm after as many again, three times. */
const FIRST = 25;
const WARM = 75;
const AT_A_TIME = 32;
/** Each so-many-th container has one of Go's and one of netavark's beside it. */
const BESIDE = 10;
/** Of Go's attaches, how many are the first and the last ones. */
const GROWN = 10;
/** Containers of Go's chain at each concurrency that is tried. */
const GO_CONTAINERS = 32;
const GO_AT_A_TIME = [1, 2, 4, 8];
const SCRAPE_MS = 1000;
const MEMORY_LIMIT_MIB = 150;
/** Of the containers' ports: two each. */
const FIRST_PORT = 10_000;
const GO_PORT = 5_000;
const GO_NET = 54;

/** What each took, in ms. */
interface Measured {
  attach: number[];
  detach: number[];
}

const idOf = (i: number) => `c${i}`;
const portOf = (i: number) => FIRST_PORT + 2 * i;
const of = (): Measured => ({ attach: [], detach: [] });

export async function run([count]: string[]): Promise<void> {
  const containers = Number(count ?? CONTAINERS);
  if (containers < 2 * WARM) throw new Error(`at least ${2 * WARM} containers, for a warm half`);
  await runProgram("sh", ["-ec", "ip link set lo up; mkdir -p /run/netns; ip netns add bench"]);
  const go = new Chain(GO_PLUGINS, "go-bench", GO_NET, "iptables");
  await go.attach("warm-up", GO_PORT);
  await go.detach("warm-up", GO_PORT);
  const kernel = await Kernel.prepare();

  const { one, theirs, least, rust, many, memory, scrapes } = await usual(go, kernel, containers);
  const goRates = await ratesOfGo(go);
  const netns = (i: number) => `go-${i}`;
  const kernelRate = await rate(
    GO_CONTAINERS,
    AT_A_TIME,
    (i) => kernel.attach(1 + i, netns(i), `/run/netns/${netns(i)}`),
  );
  await rate(GO_CONTAINERS, AT_A_TIME, (i) => kernel.detach(1 + i));
  const without = await withoutIpv6(Math.max(2 * WARM, containers / 2));

  console.log(`${containers} containers, two mappings each, ${scrapes} scrapes of the metrics:\n`);
  console.log(row("", "attach", "detach"));
  console.log(row("---", "--:", "--:"));
  const print = (what: string, { attach, detach }: Measured) =>
    console.log(row(what, shown(summary(attach)), shown(summary(detach))));
  const first = { attach: one.attach.slice(0, FIRST), detach: one.detach.slice(0, FIRST) };
  const warm = afterWarm(one);
  print(`in the service, the first ${FIRST}`, first);
  print(`in the service, from the ${WARM}th`, warm);
  print("Go's bridge and portmap as programs", theirs);
  print(KERNEL, least);
  if (rust) print("netavark, nftables", rust);
  print(`in the service, disableIPv6, from the ${WARM}th`, afterWarm(without));
  const best = goRates.reduce((a, b) => (b.rate > a.rate ? b : a));
  console.log(`\n${row("attaches a second", "")}`);
  console.log(row("---", "--:"));
  console.log(row(`in the service, ${AT_A_TIME} at a time`, many.attach.toFixed(0)));
  for (const { atATime, rate } of goRates) {
    console.log(row(`Go's as programs, ${atATime} at a time`, rate.toFixed(1)));
  }
  console.log(row(`${KERNEL}, ${AT_A_TIME} at a time`, kernelRate.toFixed(1)));
  console.log("");
  const ratio = (ours: number[], beside: number[]) => median(ours) / median(beside);
  const grown = ({ attach }: Measured) => ratio(attach.slice(-WARM), attach.slice(WARM, 2 * WARM));
  const goals: [string, number, number][] = [
    [`attach of the first ${FIRST}, beside Go's`, ratio(first.attach, theirs.attach), 0.25],
    ["attach once warm, beside Go's", ratio(warm.attach, theirs.attach), 0.15],
    ["detach once warm, beside Go's", ratio(warm.detach, theirs.detach), 0.2],
    ...rust
      ? [
        ["attach once warm, beside netavark", ratio(warm.attach, rust.attach), 0.4] as [
          string,
          number,
          number,
        ],
      ]
      : [],
    [
      `Go's best attaches a second, beside ours ${AT_A_TIME} at a time`,
      best.rate / many.attach,
      1 / 8,
    ],
    ["the last attaches, times the first warm ones", grown(one), 1.2],
    ["the last attaches, times the first warm ones, disableIPv6", grown(without), 1.2],
  ];
  for (const [what, value, limit] of goals) console.log(goal(`service: ${what}`, value, limit));
  for (const work of ["attach", "detach"] as const) {
    const reached = ratio(least[work], theirs[work]);
    console.log(floor(`service: ${work} once warm, beside Go's`, reached, KERNEL));
  }
  const what = `service: Go's best attaches a second, beside ours ${AT_A_TIME} at a time`;
  console.log(floor(what, best.rate / kernelRate, KERNEL));
  // The kernel hands each new container's IPv6 multicast to every port: theirs grow by it as ours do.
  const growth = ratio(theirs.attach.slice(-GROWN), theirs.attach.slice(0, GROWN));
  console.log(`floor: service: Go's last attaches, times their first: ${growth.toFixed(2)}`);
  console.log(goal("service: memory", Math.max(...memory), MEMORY_LIMIT_MIB, " MiB"));
}

const afterWarm = ({ attach, detach }: Measured): Measured => ({
  attach: attach.slice(WARM),
  detach: detach.slice(WARM),
});

/** On bridges as they are by default, beside the others. */
async function usual(go: Chain, kernel: Kernel, containers: number) {
  await using served = await Served.start();
  await using scraping = scrape(served);
  const series = await inTurn(served, go, kernel, containers);
  const memory = [served.memory()];
  const many = await together(served, containers);
  memory.push(served.memory());
  await served.verify();
  if (scraping.count() === 0) throw new Error("no metrics were scraped");
  return { ...series, many, memory, scrapes: scraping.count() };
}

/** On bridges whose containers send no multicast of IPv6, in another service: half as many. */
async function withoutIpv6(count: number): Promise<Measured> {
  await using served = await Served.start({ disableIPv6: true });
  await using _scraping = scrape(served);
  return await oneByOne(served, count);
}

/** Asks for the metrics every second, as a Prometheus does that is in a hurry. */
function scrape(served: Served): AsyncDisposable & { count(): number } {
  let count = 0;
  let last: Promise<void> | undefined;
  const timer = setInterval(() => {
    last ??= served.service.get("/metrics").then(({ status }) => {
      if (status === 200) count++;
      last = undefined;
    });
  }, SCRAPE_MS);
  return {
    count: () => count,
    // The service goes after that: of what fails, the first is said and not the scrape.
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      await last;
    },
  };
}

async function timed(samples: number[], work: () => Promise<unknown>): Promise<void> {
  const start = performance.now();
  await work();
  samples.push(performance.now() - start);
}

/** Beside one of the others' after every so many. */
async function inTurn(served: Served, go: Chain, kernel: Kernel, count: number) {
  const [theirs, least] = [of(), of()];
  const same = kernel.peer();
  const [other] = netavark();
  const rust = other ? of() : undefined;
  const one = await oneByOne(served, count, async (i) => {
    if (i % BESIDE !== 0) return;
    await timed(theirs.attach, () => go.attach(`go-${i}`, GO_PORT));
    await timed(theirs.detach, () => go.detach(`go-${i}`, GO_PORT));
    await timed(least.attach, () => same.attach(""));
    await timed(least.detach, () => same.detach(""));
    if (!other || !rust) return;
    await timed(rust.attach, () => other.attach(`nv-${i}`));
    await timed(rust.detach, () => other.detach(`nv-${i}`));
  });
  return { one, theirs, least, rust };
}

/** One after the other: all are attached, and then detached. */
async function oneByOne(
  served: Served,
  count: number,
  beside: (i: number) => Promise<void> = async () => {},
): Promise<Measured> {
  const one = of();
  const pids: number[] = [];
  for (let i = 0; i < count; i++) {
    const pid = await served.ready();
    pids.push(pid);
    await timed(one.attach, () => served.attach(idOf(i), "iptables", portOf(i), pid));
    await beside(i);
  }
  for (let i = 0; i < count; i++) {
    await served.end(pids[i]!);
    await timed(one.detach, () => served.detach(idOf(i)));
  }
  return one;
}

/** Works off numbers, so many at a time; how many a second. */
async function rate(
  count: number,
  atATime: number,
  work: (i: number) => Promise<void>,
): Promise<number> {
  const start = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atATime }, worker));
  return count / (performance.now() - start) * 1000;
}

/** Attaches and detaches a second, many at a time; their processes are there before. */
async function together(
  served: Served,
  count: number,
): Promise<{ attach: number; detach: number }> {
  const pids: number[] = [];
  for (let i = 0; i < count; i++) pids.push(await served.ready());
  const attach = await rate(
    count,
    AT_A_TIME,
    (i) => served.attach(`m${i}`, "iptables", portOf(i), pids[i]!),
  );
  for (const pid of pids) await served.end(pid);
  const detach = await rate(count, AT_A_TIME, (i) => served.detach(`m${i}`));
  return { attach, detach };
}

/** Attaches a second of Go's programs, at a few concurrencies. */
async function ratesOfGo(go: Chain): Promise<{ atATime: number; rate: number }[]> {
  const netns = (i: number) => `/run/netns/go-${i}`;
  for (let i = 0; i < GO_CONTAINERS; i++) await runProgram("ip", ["netns", "add", `go-${i}`]);
  const rates = [];
  for (const atATime of GO_AT_A_TIME) {
    const port = (i: number) => GO_PORT + 2 * i;
    const attaches = await rate(
      GO_CONTAINERS,
      atATime,
      (i) => go.attach(`many-${i}`, port(i), netns(i)),
    );
    rates.push({ atATime, rate: attaches });
    await rate(GO_CONTAINERS, 4, (i) => go.detach(`many-${i}`, port(i), netns(i)));
  }
  return rates;
}
