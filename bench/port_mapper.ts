/**
 * The port mapper beside Go's `bridge` and `portmap` as a chain (Debian's package), by turns in
 * one throwaway network: two mappings each, with other rules around them.
 *
 * `./dev bench port-mapper [ROUNDS]`: 15 rounds unless told; less is for a first look.
 */
import { fromFileUrl } from "@std/path";
import { locatePlugin } from "../lib/cni/locate.ts";
import { REGISTRY } from "../plugins/registry.ts";
import type { Invocation } from "../lib/cni/invocation.ts";
import type { JsonObject } from "../lib/base/json.ts";
import { readProcFile } from "../lib/kernel/files.ts";
import { portMapper } from "../plugins/port_mapper/plugin.ts";
import { goal, median, row, runProgram, summary } from "./timing.ts";

const BINARY = fromFileUrl(new URL("../dist/mesos-cni", import.meta.url));
const ECHO = fromFileUrl(new URL("../tests/harness/echo.ts", import.meta.url));
const GO = "/usr/lib/cni";
const PLUGINS = "/run/plugins";
const NETNS = "/run/netns/bench";
const CHAIN = "MESOS-BENCH";
const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
const AGENT = "203.0.113.1";
const INSIDE = "MESOS_CNI_BENCH_INSIDE";

type Backend = "iptables" | "nftables";
type Samples = { [what: string]: { ADD: number[]; DEL: number[] } };

export async function run(args: string[]): Promise<void> {
  if (!Deno.env.has(INSIDE)) return await runInside();
  const rounds = Number(args[0] ?? 15);
  await prepare();
  const results = new Map<string, Samples>();
  for (const count of [0, 1000, 10_000]) {
    await fill("iptables", count);
    results.set(`${count} foreign rules`, await measure(rounds, ["iptables"]));
  }
  await fill("iptables", 0);
  await ownContainers("iptables", 1000);
  results.set("1000 containers of our own", await measure(rounds, ["iptables"]));
  for (const count of [0, 10_000]) {
    await fill("nftables", count);
    results.set(`${count} foreign elements (nftables)`, await measure(rounds, ["nftables"]));
  }
  await fill("nftables", 0);
  await ownContainers("nftables", 1000);
  results.set("1000 containers of our own (nftables)", await measure(rounds, ["nftables"]));
  print(results);
  await printProfile(rounds, results.get("0 foreign rules")!);
  await printLatency();
}

/** This program again, in a network and with a /run of its own. */
async function runInside(): Promise<void> {
  const command = readProcFile("/proc/self/cmdline").split("\0").slice(0, -1);
  // All benchmarks may be running: the one inside is this alone.
  const main = command.findIndex((word) => word.endsWith("bench/main.ts"));
  const args = Deno.args[0] === "port-mapper" ? Deno.args : ["port-mapper"];
  const { code } = await new Deno.Command("unshare", {
    args: ["--net", "--mount", "--", Deno.execPath(), ...command.slice(1, main + 1), ...args],
    env: { [INSIDE]: "1" },
  }).spawn().status;
  if (code !== 0) throw new Error(`the benchmark ended with ${code}`);
}

async function prepare(): Promise<void> {
  const commands = [
    "mount -t tmpfs tmpfs /run",
    "mount -t tmpfs tmpfs /var/lib",
    "ip link set lo up",
    "sysctl -qw net.ipv4.ip_forward=1",
    "ip netns add bench",
    `ip address add ${AGENT}/32 dev lo`,
    `mkdir ${PLUGINS}`,
    `ln -s ${BINARY} ${PLUGINS}/mesos-cni-port-mapper`,
  ];
  for (const command of commands) {
    const [file, ...args] = command.split(" ");
    await runProgram(file!, args);
  }
}

/** Empties the tables, then puts rules of others into the chain, or elements into the map. */
async function fill(backend: Backend, count: number): Promise<void> {
  await runProgram("nft", ["flush", "ruleset"]);
  await runProgram("rm", ["-rf", "/run/mesos-cni"]);
  // What is only done once is done: chains, jumps, the examination of iptables.
  await portMapper(invocation("ADD", "warm", inList(backend, 1)));
  await portMapper(invocation("DEL", "warm", inList(backend, 1)));
  if (count === 0) return;
  const others = Array.from({ length: count }, (_, i) => ({
    comment: `"container_id: other-${i}"`,
    port: 10_000 + i,
    to: `192.168.${100 + (i >> 8)}.${i & 255}`,
  }));
  const rules = others.map(({ comment, port, to }) =>
    `-A ${CHAIN} ! -i mesos-cni0 -p tcp -m tcp --dport ${port} -m comment --comment ${comment} ` +
    `-j DNAT --to-destination ${to}:80`
  );
  if (backend === "iptables") {
    const stdin = ["*nat", ...rules, "COMMIT", ""].join("\n");
    await runProgram("iptables-restore", ["--noflush"], { stdin });
    return;
  }
  const elements = others.map(({ comment, port, to }) =>
    `tcp . ${port} comment ${comment} : ${to} . 80`
  );
  await runProgram("nft", ["-f", "-"], {
    stdin: `add element inet mesos-cni ports4 { ${elements.join(", ")} }\n`,
  });
}

async function ownContainers(backend: Backend, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await portMapper(invocation("ADD", `own-${i}`, inList(backend, 20_000 + i, i)));
  }
}

async function measure(rounds: number, backends: readonly Backend[]): Promise<Samples> {
  const samples: Samples = {};
  const take = async (what: string, command: "ADD" | "DEL", work: () => Promise<unknown>) => {
    const start = performance.now();
    await work();
    const both = samples[what] ??= { ADD: [], DEL: [] };
    both[command].push(performance.now() - start);
  };
  for (let round = 0; round <= rounds; round++) {
    let result = "";
    await take("Go bridge", "ADD", async () => result = await go("bridge", "ADD", BRIDGE));
    const portmap = { ...PORTMAP, prevResult: JSON.parse(result) };
    await take("Go portmap", "ADD", () => go("portmap", "ADD", portmap));
    await take("Go portmap", "DEL", () => go("portmap", "DEL", portmap));
    await take("Go bridge", "DEL", () => go("bridge", "DEL", BRIDGE));
    for (const backend of backends) {
      for (const command of ["ADD", "DEL"] as const) {
        await take(`ours, ${backend}`, command, () => program(command, wrapping(backend)));
      }
      for (const command of ["ADD", "DEL"] as const) {
        const call = invocation(command, "bench", inList(backend, 8080));
        await take(`ours in-process, ${backend}`, command, () => portMapper(call));
      }
    }
    // The first round warms up.
    if (round === 0) { for (const key of Object.keys(samples)) delete samples[key]; }
  }
  for (const command of ["ADD", "DEL"] as const) {
    const chain = samples["Go bridge"]![command].map((ms, i) =>
      ms + samples["Go portmap"]![command][i]!
    );
    (samples["Go chain"] ??= { ADD: [], DEL: [] })[command] = chain;
  }
  return samples;
}

const BRIDGE = {
  cniVersion: "0.4.0",
  name: "go",
  type: "bridge",
  bridge: "mesos-cni0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
};

const PORTMAP = {
  cniVersion: "0.4.0",
  name: "go",
  type: "portmap",
  runtimeConfig: {
    portMappings: [8080, 8081].map((hostPort) => ({
      hostPort,
      containerPort: 80,
      protocol: "tcp",
    })),
  },
};

function mapped(backend: Backend, port: number): JsonObject {
  return {
    cniVersion: "0.4.0",
    name: "bench",
    type: "mesos-cni-port-mapper",
    backend,
    chain: CHAIN,
    excludeDevices: ["mesos-cni0"],
    args: {
      "org.apache.mesos": {
        network_info: {
          port_mappings: [port, port + 20_000].map((host_port) => ({
            host_port,
            container_port: 80,
          })),
        },
      },
    },
  };
}

function wrapping(backend: Backend): JsonObject {
  const { name: _name, cniVersion: _version, ...delegate } = BRIDGE;
  return { ...mapped(backend, 8080), delegate };
}

/** As in a list, after another plugin: the port-mapping part alone. */
function inList(backend: Backend, port: number, host = 0): JsonObject {
  const ips = [{ version: "4", address: `10.77.${host >> 8}.${host & 255}/16` }];
  return { ...mapped(backend, port), prevResult: { cniVersion: "0.4.0", ips } };
}

function invocation(command: "ADD" | "DEL", containerId: string, config: JsonObject): Invocation {
  return {
    command,
    containerId,
    netns: NETNS,
    ifName: "eth0",
    path: PATH,
    searchPath: PLUGINS,
    config,
    locate: (type) => locatePlugin(type, PLUGINS, REGISTRY, {}),
  };
}

function environment(command: string, ifName: string): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: "bench",
    CNI_NETNS: NETNS,
    CNI_IFNAME: ifName,
    CNI_PATH: GO,
    PATH,
  };
}

function go(plugin: string, command: string, config: unknown): Promise<string> {
  const env = environment(command, "go0");
  return runProgram(`${GO}/${plugin}`, [], { clearEnv: true, env, stdin: JSON.stringify(config) });
}

function program(command: string, config: unknown): Promise<string> {
  const env = environment(command, "eth0");
  const stdin = JSON.stringify(config);
  return runProgram(`${PLUGINS}/mesos-cni-port-mapper`, [], { clearEnv: true, env, stdin });
}

function print(results: Map<string, Samples>): void {
  const cell = (values: number[]) => {
    const { median, min } = summary(values);
    return `${median.toFixed(1)} (least ${min.toFixed(1)})`;
  };
  for (const [around, samples] of results) {
    console.log(`\n### ${around}: medians in ms\n`);
    console.log(
      row("", "ADD", "DEL", "ADD ÷ Go chain", "DEL ÷ Go chain", "ADD ÷ portmap", "DEL ÷ portmap"),
    );
    console.log(row("---", "--:", "--:", "--:", "--:", "--:", "--:"));
    for (const [what, { ADD, DEL }] of Object.entries(samples)) {
      const to = (other: string, command: "ADD" | "DEL") =>
        ratio(samples, what, other, command).toFixed(2);
      console.log(
        row(
          ...[what, cell(ADD), cell(DEL), to("Go chain", "ADD"), to("Go chain", "DEL")],
          ...[to("Go portmap", "ADD"), to("Go portmap", "DEL")],
        ),
      );
    }
  }
  const none = results.get("0 foreign rules")!;
  const many = results.get("10000 foreign rules")!;
  console.log("");
  console.log(
    goal("whole ADD ÷ Go chain, no rules", ratio(none, "ours, iptables", "Go chain", "ADD"), 0.9),
  );
  console.log(
    goal("whole ADD ÷ Go chain, 10,000", ratio(many, "ours, iptables", "Go chain", "ADD"), 0.4),
  );
  for (const command of ["ADD", "DEL"] as const) {
    const alone = (samples: Samples) =>
      ratio(samples, "ours in-process, iptables", "Go portmap", command);
    console.log(goal(`${command} in-process ÷ portmap, no rules`, alone(none), 0.15));
    console.log(goal(`${command} in-process ÷ portmap, 10,000`, alone(many), 0.06));
  }
  const [empty, full] = [0, 10_000].map((count) =>
    results.get(`${count} foreign elements (nftables)`)!
  );
  for (const command of ["ADD", "DEL"] as const) {
    for (const what of ["ours, nftables", "ours in-process, nftables"]) {
      const flat = median(full![what]![command]) / median(empty![what]![command]);
      console.log(goal(`${command} at 10,000 ÷ at 0, ${what}`, flat, 1.3));
    }
  }
}

function ratio(samples: Samples, what: string, to: string, command: "ADD" | "DEL"): number {
  return median(samples[what]![command]) / median(samples[to]![command]);
}

/** What the parts of an ADD cost by themselves, which is the profile behind a missed goal. */
async function printProfile(rounds: number, none: Samples): Promise<void> {
  console.log("\n### The parts of an ADD by themselves: medians in ms\n");
  console.log(row("", "no rules", "10,000 rules"));
  console.log(row("---", "--:", "--:"));
  const rules = [8080, 8081].map((port) =>
    `-A ${CHAIN} ! -i mesos-cni0 -p tcp -m tcp --dport ${port} -m comment --comment ` +
    `"container_id: bench" -j DNAT --to-destination 192.168.0.2:80`
  );
  const stdin = ["*nat", ...rules, "COMMIT", ""].join("\n");
  const parts: Record<string, () => Promise<unknown>> = {
    "process start and end (VERSION)": () => program("VERSION", {}),
    "iptables-restore of two rules, alone": () =>
      runProgram("iptables-restore", ["--noflush"], { stdin }),
    "nft of one comment, alone": () => runProgram("nft", ["-f", "-"], { stdin: "# nothing\n" }),
    "a process that does nothing": () => runProgram("true"),
  };
  const found = new Map<string, number[]>();
  for (const count of [0, 10_000]) {
    await fill("iptables", count);
    for (const [name, part] of Object.entries(parts)) {
      const samples: number[] = [];
      for (let round = 0; round <= rounds; round++) {
        const start = performance.now();
        await part();
        if (round > 0) samples.push(performance.now() - start);
      }
      found.set(name, [...found.get(name) ?? [], median(samples)]);
    }
  }
  for (const [name, values] of found) console.log(row(name, ...values.map((ms) => ms.toFixed(1))));
  const [start, bridge, chain] = [
    found.get("process start and end (VERSION)")![0]!,
    median(none["Go bridge"]!.ADD),
    median(none["Go chain"]!.ADD),
  ];
  console.log(
    `\nOf the whole ADD without rules, starting the process (${start.toFixed(1)} ms) and the ` +
      `delegate itself (${bridge.toFixed(1)} ms) are ${((start + bridge) / chain).toFixed(2)} × ` +
      "the Go chain by themselves: no port mapping can be below that.",
  );
}

/** How long a client waits for a connection through the last of 10,000 mappings. */
async function printLatency(): Promise<void> {
  console.log("\n### Setting up a TCP connection to a container: medians of 300, in µs\n");
  console.log(row("", "no other mappings", "through 10,000"));
  console.log(row("---", "--:", "--:"));
  for (const backend of ["iptables", "nftables"] as const) {
    const medians: number[] = [];
    for (const count of [0, 10_000]) {
      await fill(backend, count);
      await program("ADD", wrapping(backend));
      const server = new Deno.Command("ip", {
        args: [
          ...["netns", "exec", "bench", Deno.execPath(), "run", "--no-config", "--no-lock"],
          ...["--no-check", "--quiet", "--unstable-net", "--allow-all", ECHO, "serve", "x", "80"],
        ],
        stdout: "piped",
      }).spawn();
      const reader = server.stdout.getReader();
      await reader.read();
      const samples: number[] = [];
      for (let i = 0; i < 300; i++) {
        const start = performance.now();
        const connection = await Deno.connect({ hostname: AGENT, port: 8080 });
        samples.push((performance.now() - start) * 1000);
        connection.close();
      }
      medians.push(median(samples));
      server.kill("SIGKILL");
      await reader.cancel();
      await server.status;
      await program("DEL", wrapping(backend));
    }
    console.log(row(backend, ...medians.map((us) => us.toFixed(0))));
  }
}
