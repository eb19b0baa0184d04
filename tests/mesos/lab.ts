/**
 * A real Apache Mesos: a master and an agent with the Mesos containerizer, in network, mount and
 * process namespaces of their own. `MESOS_DIR` names an unpacked one (bin/, libexec/, lib/); without
 * it these tests are skipped and say so.
 */
import { assertEquals } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { REGISTRY } from "../../plugins/registry.ts";
import type { Output, RunOptions } from "../harness/sandbox.ts";

/** The unpacked Mesos; undefined where there is none. */
export const MESOS_DIR = Deno.env.get("MESOS_DIR") || undefined;

/** The address of master and agent. */
export const ADDRESS = "10.99.0.1";
const DEADLINE_MS = 150_000;
/** An agent whose first registration is lost tries again after up to a minute (REGISTER_RETRY_INTERVAL_MAX). */
const REGISTRATION_MS = 75_000;
/** Mesos' own start is not judged here: beside much other work one was seen that had not registered after 150 s. */
const STARTS = 3;

/**
 * What is in the agent's plugins directory: Debian's plugins with our port mapper or with Mesos',
 * or links to our file alone.
 */
export type Plugins = "ours" | "original" | "links";

export type NetworkConfig = { name: string; [field: string]: unknown };

/** What tasks and networks may leave on the agent. */
export interface Left {
  veths: number;
  leases: number;
  rules: number;
  checkpoints: number;
  records: number;
}

export const NOTHING: Left = { veths: 0, leases: 0, rules: 0, checkpoints: 0, records: 0 };

export class MesosLab implements AsyncDisposable {
  #agent?: string;

  private constructor(
    readonly dir: string,
    /** The first process of the lab, which reaps what the agent's death leaves. */
    readonly pid: number,
    private readonly holder: Deno.ChildProcess,
  ) {}

  static async open(networks: readonly NetworkConfig[]): Promise<MesosLab> {
    const dir = Deno.makeTempDirSync({ prefix: "mesos-lab-" });
    for (const name of ["conf", "ours", "original", "links"]) Deno.mkdirSync(`${dir}/${name}`);
    for (const network of networks) {
      Deno.writeTextFileSync(`${dir}/conf/${network.name}.conf`, JSON.stringify(network));
    }
    for (const { name } of Deno.readDirSync(CNI_PLUGINS)) {
      for (const plugins of ["ours", "original"]) {
        Deno.symlinkSync(`${CNI_PLUGINS}/${name}`, `${dir}/${plugins}/${name}`);
      }
    }
    for (const { type, load } of REGISTRY.values()) {
      if (load) Deno.symlinkSync(MESOS_CNI, `${dir}/links/${type}`);
    }
    const type = "mesos-cni-port-mapper";
    Deno.symlinkSync(MESOS_CNI, `${dir}/ours/${type}`);
    Deno.symlinkSync(`${MESOS_DIR}/libexec/mesos/${type}`, `${dir}/original/${type}`);
    const lab = await MesosLab.#hold(dir);
    await lab.#startMaster();
    return lab;
  }

  /** The namespaces, held by a bash that reaps and ends with its standard input. */
  static async #hold(dir: string): Promise<MesosLab> {
    const script = [
      "set -e",
      // The cgroup isolators want version 1 alone.
      "umount /sys/fs/cgroup/unified 2>/dev/null || true",
      "mount -t tmpfs tmpfs /run",
      "mkdir -p /run/lock /var/lib/cni",
      "mount -t tmpfs tmpfs /var/lib/cni",
      "echo '# none' >/run/resolv.conf",
      "mount --bind /run/resolv.conf /etc/resolv.conf",
      "ip link set lo up",
      "ip link add host0 type bridge",
      `ip address add ${ADDRESS}/24 dev host0`,
      "ip link set host0 up",
      "sysctl -qw net.ipv4.ip_forward=1",
      "echo ready",
      "read -r _ || true",
    ].join("\n");
    const holder = new Deno.Command("unshare", {
      args: [
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
        "--propagation=private",
        "bash",
        "-c",
        script,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = holder.stdout.getReader();
    const { done } = await reader.read();
    reader.releaseLock();
    if (done) throw new Error("the namespaces of the lab could not be made");
    const children = Deno.readTextFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`);
    return new MesosLab(dir, Number(children.trim()), holder);
  }

  #enter(argv: readonly string[]): [string, string[]] {
    return ["nsenter", [`--target=${this.pid}`, "--net", "--mount", "--pid", "--", ...argv]];
  }

  spawn(argv: readonly string[], options: Deno.CommandOptions = {}): Deno.ChildProcess {
    const [command, args] = this.#enter(argv);
    return new Deno.Command(command, { args, ...options }).spawn();
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<Output> {
    const [command, args] = this.#enter(argv);
    const { code, stdout, stderr } = await new Deno.Command(command, { args, env: options.env })
      .output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  async ok(argv: readonly string[]): Promise<string> {
    const output = await this.run(argv);
    assertEquals(output.code, 0, `${argv.join(" ")}\n${output.stdout}${output.stderr}`);
    return output.stdout;
  }

  /** Our program with the flags that say where this agent keeps things. */
  mesosCni(...words: string[]): Promise<Output> {
    const end = words.indexOf("--");
    const [own, rest] = end < 0 ? [words, []] : [words.slice(0, end), words.slice(end)];
    const flags = [`--runtime_dir=${this.dir}/run`, `--work_dir=${this.dir}/work`];
    return this.run([MESOS_CNI, ...own, ...flags, ...rest]);
  }

  /** Starts a program that runs on; its output goes to a file. @returns its id in the lab */
  async #start(name: string, argv: readonly string[]): Promise<string> {
    const log = `${this.dir}/${name}.log`;
    const pidFile = `${this.dir}/${name}.pid`;
    const script = 'log=$1 pid=$2; shift 2; echo $$ >"$pid"; exec "$@" >>"$log" 2>&1 </dev/null';
    await this.ok(["sh", "-c", `setsid sh -c '${script}' - "$@" &`, "-", log, pidFile, ...argv]);
    await until(`${name} to start`, () => Deno.readTextFileSync(pidFile).trim() !== "");
    return Deno.readTextFileSync(pidFile).trim();
  }

  async #startMaster(): Promise<void> {
    await this.#start("master", [
      `${MESOS_DIR}/bin/mesos-master`,
      `--ip=${ADDRESS}`,
      "--port=5050",
      `--hostname=${ADDRESS}`,
      "--no-hostname_lookup",
      "--registry=in_memory",
      `--work_dir=${this.dir}/master`,
      // Offers a freed port at once, which is the hardest case for who is to detach it.
      "--allocation_interval=50ms",
    ]);
  }

  /** Starts the agent, instead of one that runs: that is killed, and its tasks go on. */
  async startAgent(plugins: Plugins): Promise<void> {
    await this.killAgent();
    Deno.removeSync(`${this.dir}/agent.pid`, { recursive: true });
    for (let starts = 1; !await this.#registers(plugins); starts++) {
      const logs = ["agent", "master"] as const;
      const told = logs.map((name) => `${name}:\n${this.log(name).slice(-3000)}`).join("\n");
      if (starts === STARTS) throw new Error(`no agent registered, of ${STARTS} starts\n${told}`);
      console.error(`the agent did not register, and is started anew\n${told}`);
      await this.killAgent();
      Deno.removeSync(`${this.dir}/agent.pid`);
    }
  }

  /** Starts an agent. @returns whether it has registered @throws when it has ended by itself, which is no start that was slow */
  async #registers(plugins: Plugins): Promise<boolean> {
    const agent = await this.#start("agent", [
      `${MESOS_DIR}/bin/mesos-agent`,
      `--master=${ADDRESS}:5050`,
      `--ip=${ADDRESS}`,
      "--port=5051",
      `--hostname=${ADDRESS}`,
      "--no-hostname_lookup",
      `--work_dir=${this.dir}/work`,
      `--runtime_dir=${this.dir}/run`,
      `--launcher_dir=${MESOS_DIR}/libexec/mesos`,
      "--launcher=linux",
      // The hierarchies are the machine's: two labs must not share a root in them.
      `--cgroups_root=${this.#cgroup}`,
      "--isolation=filesystem/linux,network/cni,namespaces/pid,cgroups/cpu,cgroups/mem",
      `--network_cni_config_dir=${this.dir}/conf`,
      `--network_cni_plugins_dir=${this.dir}/${plugins}`,
      "--no-systemd_enable_support",
      `--fetcher_cache_dir=${this.dir}/fetch`,
      `--docker_store_dir=${this.dir}/docker`,
      `--appc_store_dir=${this.dir}/appc`,
      "--executor_registration_timeout=3mins",
      "--resources=cpus:8;mem:4096;disk:1000;ports:[31000-32000]",
    ]);
    this.#agent = agent;
    return await isSoonSo(async () => {
      const metrics = await this.run(["curl", "-fsm2", `http://${ADDRESS}:5051/metrics/snapshot`]);
      if (/slave\\?\/registered":1/.test(metrics.stdout)) return true;
      const { code } = await this.run(["kill", "-0", agent]);
      assertEquals(code, 0, `the agent has ended:\n${this.log("agent").slice(-4000)}`);
      return false;
    }, REGISTRATION_MS);
  }

  async killAgent(): Promise<void> {
    if (this.#agent === undefined) {
      Deno.writeTextFileSync(`${this.dir}/agent.pid`, "");
      return;
    }
    await this.run(["kill", "-9", this.#agent]);
    await until("the agent to end", async () => {
      return (await this.run(["kill", "-0", this.#agent!])).code !== 0;
    });
    this.#agent = undefined;
  }

  /** The ids of the containers that the agent has checkpoints of. */
  containers(): string[] {
    try {
      return [...Deno.readDirSync(this.checkpoints)].map(({ name }) => name).sort();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  }

  /** Where the agent keeps what it knows of its containers' networks. */
  get checkpoints(): string {
    return `/proc/${this.pid}/root${this.dir}/run/isolators/network/cni`;
  }

  async left(): Promise<Left> {
    const lines = (text: string) => text.split("\n").filter((line) => line !== "");
    const links = lines(await this.ok(["ip", "-br", "link", "show", "type", "veth"]));
    const leases = await this.run(["find", "/var/lib/cni", "-name", "10.*"]);
    const rules = await this.ok(["iptables-save", "-t", "nat"]);
    const elements = await this.run(["nft", "list", "ruleset"]);
    const records = await this.run(["ls", "/run/mesos-cni/port-mapper/attachments"]);
    const named = /container_id|name: /;
    return {
      veths: links.length,
      leases: lines(leases.stdout).length,
      rules: lines(rules).filter((line) => named.test(line)).length +
        lines(elements.stdout).filter((line) => /elements|comment "container_id/.test(line))
          .filter((line) => /container_id/.test(line) && !/iifname|jump|counter/.test(line)).length,
      checkpoints: this.containers().length,
      records: lines(records.stdout).length,
    };
  }

  /** Waits until the agent has detached everything. */
  async untilNothingIsLeft(): Promise<void> {
    let left: Left = NOTHING;
    try {
      await until("the agent to detach", async () => {
        left = await this.left();
        return JSON.stringify(left) === JSON.stringify(NOTHING);
      });
    } catch {
      assertEquals(left, NOTHING, this.log("agent").slice(-4000));
    }
  }

  /** What a program of the lab has logged. */
  log(name: "agent" | "master"): string {
    return Deno.readTextFileSync(`${this.dir}/${name}.log`);
  }

  get #cgroup(): string {
    return this.dir.slice(this.dir.lastIndexOf("/") + 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.holder.stdin.close().catch(() => {});
    await this.holder.stdout.cancel().catch(() => {});
    await this.holder.status;
    for (const hierarchy of ["cpu", "cpuacct", "memory", "freezer"]) {
      await new Deno.Command("find", {
        args: [`/sys/fs/cgroup/${hierarchy}/${this.#cgroup}`, "-depth", "-type", "d", "-delete"],
        stderr: "null",
      }).output();
    }
    await new Deno.Command("rm", { args: ["-rf", this.dir] }).output();
  }
}

/** Asks again until it is so. @throws if it is not within the deadline */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  if (!await isSoonSo(condition, DEADLINE_MS)) throw new Error(`waited for ${what} in vain`);
}

async function isSoonSo(
  condition: () => boolean | Promise<boolean>,
  milliseconds: number,
): Promise<boolean> {
  const end = Date.now() + milliseconds;
  while (Date.now() < end) {
    try {
      if (await condition()) return true;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return false;
}
