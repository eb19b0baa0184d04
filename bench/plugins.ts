/**
 * The built-in bridge, host-local and port mapper as the service calls them, without a process,
 * beside Go's `bridge` and `portmap` (Debian's packages) as a chain: two mappings each, with few
 * and many containers on the bridge, rules around them and leases in the store.
 *
 * `./dev bench plugins [ROUNDS [CONTAINERS…]]`
 */
import type { JsonObject } from "../lib/base/json.ts";
import type { CniCommand, Invocation } from "../lib/cni/invocation.ts";
import { locatePlugin } from "../lib/cni/locate.ts";
import { REGISTRY } from "../plugins/registry.ts";
import { goal, median, row, runProgram } from "./timing.ts";

const GO = "/usr/lib/cni";
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const LEASES = "/var/lib/cni/networks/bench";
const LEASED = 10_000;
const FOREIGN_RULES = 10_000;
const MAPPINGS = [
  { hostPort: 18080, containerPort: 80, protocol: "tcp" },
  { hostPort: 18443, containerPort: 443, protocol: "tcp" },
];
const BRIDGE = {
  cniVersion: "1.0.0",
  name: "bench",
  type: "bridge",
  bridge: "bench0",
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.0.0.0/8", routes: [{ dst: "0.0.0.0/0" }] },
};

type Times = { ADD: number[]; DEL: number[] };

export async function run(args: string[]): Promise<void> {
  const [rounds = 15, ...counts] = args.map(Number);
  await prepare();
  console.log(row("", "ours ADD", "DEL", "Go ADD", "DEL"));
  console.log(row("---", "---", "---", "---", "---"));
  const base = await both("1 container", rounds);
  console.log(goal("attach, beside Go's", base.ours.ADD / base.go.ADD, 0.1));
  console.log(goal("detach, beside Go's", base.ours.DEL / base.go.DEL, 0.16));
  await rules(FOREIGN_RULES);
  const ruled = await both(`1 container, ${FOREIGN_RULES} foreign rules`, Math.min(rounds, 5));
  console.log(goal("attach among rules, beside Go's", ruled.ours.ADD / ruled.go.ADD, 0.02));
  await rules(0);
  for (const count of counts.length > 0 ? counts : [1000]) {
    await containers(count);
    await leases(LEASED);
    const many = await ours(rounds);
    console.log(row(`${count} containers, ${LEASED} leases`, ...shown(many), "", ""));
    console.log(goal("attach among many, beside alone", many.ADD / base.ours.ADD, 1.3));
    console.log(goal("detach among many, beside alone", many.DEL / base.ours.DEL, 1.3));
  }
  await floor(rounds);
}

async function prepare(): Promise<void> {
  await runProgram("sh", ["-ec", `ip link set lo up; mkdir -p /run/netns; ip netns add bench`]);
}

async function both(what: string, rounds: number) {
  const [a, b] = [await ours(rounds), await go(rounds)];
  console.log(row(what, ...shown(a), ...shown(b)));
  return { ours: a, go: b };
}

const shown = ({ ADD, DEL }: { ADD: number; DEL: number }) =>
  [ADD, DEL].map((ms) => `${ms.toFixed(2)} ms`);

/** As the service does it: functions of this process. */
async function ours(rounds: number) {
  const config = {
    cniVersion: "1.0.0",
    name: "bench",
    type: "mesos-cni-port-mapper",
    chain: "MESOS-BENCH",
    delegate: BRIDGE,
    runtimeConfig: { portMappings: MAPPINGS },
  };
  return await timed(
    rounds,
    (command, id) => call(config, command, id, ""),
  );
}

/** As libcni does it: two programs, one after the other. */
async function go(rounds: number) {
  let result: JsonObject | undefined;
  const portmap = {
    cniVersion: "1.0.0",
    name: "bench",
    type: "portmap",
    runtimeConfig: { portMappings: MAPPINGS },
  };
  return await timed(rounds, async (command, id) => {
    if (command === "ADD") {
      const prevResult = (await call(BRIDGE, "ADD", id, GO, true))!;
      result = await call({ ...portmap, prevResult }, "ADD", id, GO, true);
    } else {
      await call({ ...portmap, prevResult: result! }, "DEL", id, GO, true);
      await call({ ...BRIDGE, prevResult: result! }, "DEL", id, GO, true);
    }
  });
}

async function timed(
  rounds: number,
  work: (command: "ADD" | "DEL", id: string) => Promise<unknown>,
) {
  const times: Times = { ADD: [], DEL: [] };
  for (let round = -2; round < rounds; round++) {
    for (const command of ["ADD", "DEL"] as const) {
      const start = performance.now();
      await work(command, `bench-${round + 2}`);
      if (round >= 0) times[command].push(performance.now() - start);
    }
  }
  return { ADD: median(times.ADD), DEL: median(times.DEL) };
}

async function call(
  config: JsonObject,
  command: CniCommand,
  containerId: string,
  searchPath: string,
  asProcess = false,
): Promise<JsonObject | undefined> {
  const registry = asProcess ? new Map() : REGISTRY;
  const locate: Invocation["locate"] = (type, options = {}) =>
    locatePlugin(type, searchPath, registry, options);
  return await locate(String(config.type))({
    command,
    containerId,
    netns: "/run/netns/bench",
    ifName: "eth0",
    path: PATH,
    searchPath,
    config,
    locate,
  });
}

/** Other containers' wires on the bridge. */
async function containers(count: number): Promise<void> {
  const lines = Array.from(
    { length: count },
    (_, i) =>
      `link add other${i} type veth peer name peer${i}\nlink set other${i} master bench0 up`,
  );
  await runProgram("ip", ["-batch", "-"], { stdin: lines.join("\n") });
}

async function leases(count: number): Promise<void> {
  await runProgram("sh", [
    "-ec",
    `cd ${LEASES}; i=0
    while [ $i -lt ${count} ]; do
      printf 'old%s\\r\\neth0' $i > 10.9.$((i / 250 + 1)).$((i % 250 + 1)); i=$((i + 1))
    done`,
  ]);
}

async function rules(count: number): Promise<void> {
  const lines = Array.from(
    { length: count },
    (_, i) =>
      `-A FOREIGN -p tcp -d 192.0.2.1 --dport ${i + 1} -j DNAT --to-destination 198.51.100.1:80`,
  );
  const text = ["*nat", ":FOREIGN - [0:0]", ...lines, "COMMIT", ""].join("\n");
  await runProgram("iptables-restore", ["--noflush"], { stdin: text });
}

/** What the kernel alone takes to delete a wire, during which it only waits. */
async function floor(rounds: number): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await runProgram("ip", ["link", "add", "floor0", "type", "veth", "peer", "name", "floor1"]);
    const start = performance.now();
    await runProgram("ip", ["link", "del", "floor0"]);
    times.push(performance.now() - start);
  }
  console.log(
    row("the kernel deletes a wire (ip link del)", "", `${median(times).toFixed(2)} ms`, "", ""),
  );
}
