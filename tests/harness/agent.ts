/** An agent's networks, plugins and state in a sandbox, and the compiled program at work there. */
import { assertEquals } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "./binary.ts";
import { type Output, type RunOptions, Sandbox } from "./sandbox.ts";

/** Below the sandbox's own tmpfs mounts. */
export const RUNTIME_DIR = "/run/mesos";
export const WORK_DIR = "/var/lib/mesos";
export const CONTAINERS = `${RUNTIME_DIR}/isolators/network/cni`;
export const REQUESTS = `${RUNTIME_DIR}/isolators/network/mesos-cni`;
/** What stays there when all containers are gone. */
export const STANDING = [".sharing.lock", "handles", "handles/.seal"].map((name) =>
  `${REQUESTS}/${name}`
);
const IPAM_DIR = "/var/lib/cni/networks";
const PORT_MAPPER_DIR = "/run/mesos-cni/port-mapper";

/** A network config, as JSON. */
export type Config = Record<string, unknown>;

/** The bridge network of the documents. */
export function bridgeNetwork(name = "cni-test", subnet = "192.168.0.0/16"): Config {
  return {
    name,
    type: "bridge",
    bridge: "mesos-cni0",
    isGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", subnet, routes: [{ dst: "0.0.0.0/0" }] },
  };
}

/** The ContainerConfig of a container on networks; an object goes into its ContainerInfo. */
export function containerConfig(...networks: (string | Config)[]): Config {
  const names = networks.filter((network) => typeof network === "string");
  const info = networks.filter((network) => typeof network !== "string");
  return {
    container_info: {
      type: "MESOS",
      network_infos: names.map((name) => ({ name })),
      ...Object.assign({}, ...info),
    },
  };
}

/** The documents' port mapper, with their bridge as its delegate. */
export function portMapperNetwork(name = "port-mapper-test"): Config {
  const { name: _, ...delegate } = bridgeNetwork();
  return {
    name,
    type: "mesos-cni-port-mapper",
    excludeDevices: ["mesos-cni0"],
    chain: "MESOS-TEST-PORT-MAPPER",
    delegate,
  };
}

/** Seconds that nothing here takes, on the slowest machine and with all the other tests beside it. */
const PATIENCE = 60;

export class Agent implements AsyncDisposable {
  /** `--network_cni_config_dir` */
  readonly configDir: string;
  /** The first directory of `--network_cni_plugins_dir`; Debian's plugins are the second. */
  readonly pluginDir: string;
  /** Where else plugins are; undefined for nowhere, so that they are those inside of the program. */
  search: string | undefined = CNI_PLUGINS;
  readonly #children: Running[] = [];

  private constructor(readonly sandbox: Sandbox) {
    this.configDir = `${sandbox.dir}/networks`;
    this.pluginDir = `${sandbox.dir}/plugins`;
    for (const dir of [this.configDir, this.pluginDir]) Deno.mkdirSync(dir);
  }

  static async create(...networks: Config[]): Promise<Agent> {
    const agent = new Agent(await Sandbox.create());
    // A container without an image sees the agent's files: here, copies that it may spoil.
    await agent.sandbox.ok([
      "sh",
      "-ec",
      "for name in hosts hostname resolv.conf; do " +
      "cp /etc/$name /run/etc-$name; mount --bind /run/etc-$name /etc/$name; done",
    ]);
    networks.forEach((network) => agent.define(network));
    return agent;
  }

  /** Writes a network's config, in one step. */
  define(network: Config, file = `${network.name}.conf`): void {
    this.write(`${this.configDir}/${file}`, JSON.stringify(network));
  }

  /** Installs a plugin that is a shell script; its standard input is the config. */
  plugin(name: string, script: string): void {
    this.write(`${this.pluginDir}/${name}`, `#!/bin/sh\n${script}\n`, 0o755);
  }

  /** Writes a file that nobody sees half. */
  write(path: string, text: string, mode = 0o644): void {
    Deno.writeTextFileSync(`${this.sandbox.dir}/new`, text, { mode });
    Deno.renameSync(`${this.sandbox.dir}/new`, path);
  }

  get flags(): string[] {
    return [
      `--network_cni_config_dir=${this.configDir}`,
      `--network_cni_plugins_dir=${[this.pluginDir, this.search ?? []].flat().join(":")}`,
      `--runtime_dir=${RUNTIME_DIR}`,
    ];
  }

  /** The arguments of `mesos-cni run FLAGS -- COMMAND`. */
  runArgv(flags: readonly string[], command: readonly string[]): string[] {
    return [MESOS_CNI, "run", ...this.flags, ...flags, "--", ...command];
  }

  /** `mesos-cni run` to its end. */
  run(flags: string[], command: string[], options?: RunOptions): Promise<Output> {
    return this.sandbox.run(this.runArgv(flags, command), options);
  }

  /** The standard output of a `mesos-cni run` that must succeed. */
  ok(flags: string[], command: string[], options?: RunOptions): Promise<string> {
    return this.sandbox.ok(this.runArgv(flags, command), options);
  }

  /** `mesos-cni run` of a command that goes on; resolves when the command is running. */
  async start(name: string, flags: string[], command = "exec sleep 1000"): Promise<Running> {
    const running = this.spawn(
      this.runArgv([`--name=${name}`, ...flags], ["sh", "-c", `echo started $$; ${command}`]),
    );
    await running.printed(/started (\d+)/);
    return running;
  }

  /** A command in the sandbox that ends with the test, if not before. */
  spawn(argv: string[]): Running {
    const running = new Running(this.sandbox.spawn(argv));
    this.#children.push(running);
    return running;
  }

  /** `mesos-cni isolator OPERATION …` to its end; `input` is its standard input, as JSON. */
  isolator(operation: string, operands: string[] = [], input?: unknown): Promise<Output> {
    return this.sandbox.run(
      this.isolatorArgv(operation, ...operands),
      input === undefined ? {} : { stdin: JSON.stringify(input) },
    );
  }

  /** The arguments of `mesos-cni isolator OPERATION …`. */
  isolatorArgv(...operation: string[]): string[] {
    return [MESOS_CNI, "isolator", ...operation, ...this.flags];
  }

  /** What an operation that must succeed prints, parsed; undefined if it prints nothing. */
  // deno-lint-ignore no-explicit-any
  async json(operation: string, operands: string[] = [], input?: unknown): Promise<any> {
    const { code, stdout, stderr } = await this.isolator(operation, operands, input);
    assertEquals(code, 0, `isolator ${operation} ${operands.join(" ")}\n${stdout}${stderr}`);
    // What a cleanup says is for people.
    return stdout === "" || operation === "cleanup" ? undefined : JSON.parse(stdout);
  }

  /** A namespace that is nobody's is taken apart some time later: until the bridge has so many wires. */
  async wires(bridge: string, count: number): Promise<void> {
    const list = ["ip", "-o", "link", "show", "master", bridge, "type", "veth"];
    const isDone = async () => (await this.sandbox.ok(list)).split("\n").length - 1 === count;
    await until(isDone, `${bridge} has ${count} wires`);
  }

  /** Where a container's checkpoints are. */
  checkpoint(id: string, file = ""): string {
    return `${CONTAINERS}/${id}/${file}`;
  }

  /** Where a container's request is. */
  request(id: string): string {
    return `${REQUESTS}/${id}.json`;
  }

  /** The text of a file that only the sandbox sees. */
  read(path: string): Promise<string> {
    return this.sandbox.ok(["cat", path]);
  }

  /** The files and directories below, sorted; none if there is no such directory. */
  async list(path: string): Promise<string[]> {
    const { stdout } = await this.sandbox.run(["find", path, "-mindepth", "1"]);
    return stdout.split("\n").filter((line) => line !== "").sort();
  }

  /** A process in new namespaces that waits, as a containerizer makes it before `isolate`. */
  async process(
    namespaces = ["--mount", "--net", "--uts"],
    enter: readonly string[] = [],
  ): Promise<Waiting> {
    const running = this.spawn([
      ...enter,
      "unshare",
      ...namespaces,
      "sh",
      "-c",
      "echo $$; exec cat",
    ]);
    return new Waiting(Number((await running.printed(/^(\d+)\n/))[1]), running, this);
  }

  /** A container on networks, by `prepare` and `isolate`. */
  async attach(id: string, networks: string[], info: Config = {}): Promise<Waiting> {
    await this.json("prepare", [id], containerConfig(...networks, info));
    const process = await this.process();
    await this.json("isolate", [id, `${process.pid}`]);
    return process;
  }

  /**
   * Everything that a container could leave behind on the agent.
   *
   * @param before what there should be: links that are not in it are waited for, since a namespace
   * that is nobody's is taken apart some time later
   */
  async traces(before?: string): Promise<string> {
    const known = before?.split("\n");
    await until(async () => {
      const links = known ? JSON.parse(await this.sandbox.ok(["ip", "-j", "link"])) : [];
      return links.every(({ ifname }: { ifname: string }) => known!.includes(ifname));
    }, "the end of links that were not there before");
    const parts = await Promise.all([
      this.sandbox.ok(["iptables-save"]),
      this.sandbox.ok(["ip6tables-save"]),
      this.sandbox.ok(["ip", "-j", "link"]),
      this.sandbox.ok(["cat", "/proc/thread-self/mountinfo"]),
      this.list(RUNTIME_DIR),
      this.list(WORK_DIR),
      this.list(IPAM_DIR),
      this.list(PORT_MAPPER_DIR),
    ]);
    const [ip4, ip6, links, mounts, ...files] = parts;
    return [
      // Comments hold the time, and chains count packets.
      ...[ip4, ip6].map((rules) => rules.replaceAll(/^#.*\n| \[\d+:\d+\]$/gm, "")),
      ...JSON.parse(links).map((link: { ifname: string }) => link.ifname),
      ...mounts.split("\n").map((line) => line.split(" ").slice(3, 6).join(" ")).sort(),
      // What is known of rules without a record belongs to no container.
      ...files.flat().filter((file) => !file.endsWith("/orphans.json")),
    ].join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await child.end();
    await this.sandbox[Symbol.asyncDispose]();
  }
}

/** A process whose output is watched while it runs. */
export class Running {
  stdout = "";
  stderr = "";
  readonly status: Promise<Deno.CommandStatus>;
  readonly #ended: Promise<void>;
  readonly #abandoned = new AbortController();

  constructor(readonly process: Deno.ChildProcess) {
    this.status = process.status;
    const collect = async (stream: ReadableStream<Uint8Array>, add: (text: string) => void) => {
      const decoder = new TextDecoder();
      const reader = stream.getReader();
      this.#abandoned.signal.addEventListener("abort", () => void reader.cancel());
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        add(decoder.decode(read.value, { stream: true }));
      }
    };
    this.#ended = Promise.all([
      collect(process.stdout, (text) => this.stdout += text),
      collect(process.stderr, (text) => this.stderr += text),
    ]).then(() => {});
  }

  get pid(): number {
    return this.process.pid;
  }

  /** Waits until its standard output matches. */
  async printed(pattern: RegExp): Promise<RegExpMatchArray> {
    await until(() => pattern.test(this.stdout), `${pattern} in its output`, () => this.stderr);
    return this.stdout.match(pattern)!;
  }

  /** Sends a signal, unless it has ended. */
  kill(signal: Deno.Signal): void {
    try {
      this.process.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  /** Ends it, whatever it has left behind. */
  async end(): Promise<void> {
    this.kill("SIGTERM");
    const slow = setTimeout(() => this.kill("SIGKILL"), 5_000);
    await this.status;
    clearTimeout(slow);
    await this.process.stdin.close().catch(() => {});
    this.#abandoned.abort(); // somebody that it started may hold its pipes
    await this.#ended;
  }

  /** Its exit code (128 + n for signal n) and all it printed, once it has ended. */
  async output(): Promise<Output> {
    await this.process.stdin.close().catch(() => {});
    const { code } = await this.status;
    await this.#ended;
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}

/** A container's first process, which does nothing. */
export class Waiting {
  constructor(readonly pid: number, readonly running: Running, private readonly agent: Agent) {}

  /** Runs a command in the container. */
  run(argv: string[]): Promise<Output> {
    return this.agent.sandbox.run(this.#inside(argv));
  }

  ok(argv: string[]): Promise<string> {
    return this.agent.sandbox.ok(this.#inside(argv));
  }

  #inside(argv: string[]): string[] {
    return ["nsenter", `--target=${this.pid}`, "--net", "--mount", "--uts", "--", ...argv];
  }

  async end(): Promise<void> {
    Deno.kill(this.pid, "SIGKILL");
    await this.running.status;
  }
}

/** Waits until something is so. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  more: () => string = () => "",
  between = 20,
): Promise<void> {
  const deadline = Date.now() + PATIENCE * 1000;
  while (!await holds()) {
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE} s: ${what}\n${more()}`);
    await new Promise((resolve) => setTimeout(resolve, between));
  }
}

/** Whether a process exists and is no zombie. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\tZ/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
