/**
 * Throwaway networks for tests: an "agent" in network and mount namespaces of its own, and
 * "outside" hosts behind a wire. All of it goes when the last process in it does, and that is
 * one `cat` that ends with the test.
 */
import { assertEquals } from "@std/assert";
import { endProcessesIn } from "./processes.ts";

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** Standard input; nothing when absent. */
  stdin?: string | Uint8Array<ArrayBuffer>;
  env?: Record<string, string>;
  /** Only `env`, instead of the test's own environment with `env` on top. */
  clearEnv?: boolean;
  cwd?: string;
}

const root = (Deno.uid() ?? 0) === 0;

/** A set of namespaces held open by a process of their own. */
export class Namespace implements AsyncDisposable {
  /** Of its namespaces, the one that nothing else is in. */
  protected readonly own: "net" | "mnt" = "mnt";

  protected constructor(readonly pid: number, private readonly holder: Deno.ChildProcess) {}

  /** Starts `argv`, which must print a line once it is ready and then read standard input to its end. */
  protected static async hold(argv: string[]): Promise<[number, Deno.ChildProcess]> {
    const holder = new Deno.Command(argv[0]!, {
      args: argv.slice(1),
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = holder.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    const pid = Number(new TextDecoder().decode(value));
    if (!pid) throw new Error(`could not make a namespace with: ${argv.join(" ")}`);
    return [pid, holder];
  }

  /**
   * Where its file system is seen from here. An absolute symlink in it, such as /var/run, leads into
   * the file system of who follows it.
   */
  get root(): string {
    return `/proc/${this.pid}/root`;
  }

  /** The arguments that put a command into this namespace. */
  enter(argv: string[]): string[] {
    const user = root ? [] : ["--user", "--preserve-credentials"];
    return ["nsenter", `--target=${this.pid}`, ...user, "--net", "--mount", "--", ...argv];
  }

  /** Starts a command in this namespace; its streams are pipes. */
  spawn(argv: string[], options: RunOptions = {}): Deno.ChildProcess {
    const [command, ...args] = this.enter(argv);
    return new Deno.Command(command!, {
      args,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: options.env,
      clearEnv: options.clearEnv,
      cwd: options.cwd,
    }).spawn();
  }

  /** Runs a command in this namespace to its end. */
  async run(argv: string[], options: RunOptions = {}): Promise<Output> {
    const child = this.spawn(argv, options);
    const writer = child.stdin.getWriter();
    const input = options.stdin ?? new Uint8Array();
    // A command that doesn't read its input closes the pipe; its exit code tells what happened.
    writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input)
      .then(() => writer.close()).catch(() => {});
    const { code, stdout, stderr } = await child.output();
    return {
      code,
      stdout: new TextDecoder().decode(stdout),
      stderr: new TextDecoder().decode(stderr),
    };
  }

  /** The standard output of a command that must succeed. */
  async ok(argv: string[], options: RunOptions = {}): Promise<string> {
    const output = await this.run(argv, options);
    assertEquals(output.code, 0, `${argv.join(" ")}\n${output.stdout}${output.stderr}`);
    return output.stdout;
  }

  /** What `ip` is told, line by line, in one process: each costs as much as what it does. */
  async ip(lines: readonly string[]): Promise<void> {
    await this.ok(["ip", "-batch", "-"], { stdin: lines.join("\n") });
  }

  /** Ends everything that was started in it, services that left their parents too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await endProcessesIn(this.pid, this.own);
    await this.holder.stdin.close().catch(() => {});
    await this.holder.stdout.cancel().catch(() => {});
    await this.holder.status;
  }
}

/** The address of the agent on the wire to its outside hosts. */
export const AGENT_ADDRESS = "203.0.113.1";
export const AGENT_ADDRESS_6 = "2001:db8:113::1";

/** The machine's own files, which a container without a file system of its own would write into. */
const GUARD_ETC = "for file in hosts hostname resolv.conf; do [ ! -f /etc/$file ] || " +
  "mount -o bind,ro /etc/$file /etc/$file || exit 1; done";

/** An agent: its own network, its own /run and /var/lib, and a directory for the test's files. */
export class Sandbox extends Namespace {
  /** A directory outside the sandbox's tmpfs mounts, gone with the sandbox. */
  readonly dir: string;
  #outsides: Outside[] = [];

  private constructor(pid: number, holder: Deno.ChildProcess) {
    super(pid, holder);
    this.dir = Deno.makeTempDirSync({ prefix: "mesos-cni-test-" });
  }

  static async create(): Promise<Sandbox> {
    const user = root ? [] : ["--map-root-user", "--uts"];
    const script = [
      "mount -t tmpfs tmpfs /run",
      "mount -t tmpfs tmpfs /var/lib",
      GUARD_ETC,
      "ip link set lo up",
      "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
      "echo $$",
      "exec cat",
    ].join(" && ");
    return new Sandbox(
      ...await Namespace.hold(["unshare", ...user, "--net", "--mount", "sh", "-c", script]),
    );
  }

  /** Adds a host on a wire of its own to the agent: 203.0.113.N beside the agent's .1. */
  async outside(): Promise<Outside> {
    const outside = await Outside.create(this, this.#outsides.length);
    this.#outsides.push(outside);
    return outside;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const outside of this.#outsides) await outside[Symbol.asyncDispose]();
    await super[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** A host that is not the agent. Hosts share one bridge `wan0`, which carries the agent's address. */
export class Outside extends Namespace {
  /** Its mounts are the agent's. */
  protected override readonly own = "net";

  private constructor(
    pid: number,
    holder: Deno.ChildProcess,
    readonly address: string,
    readonly address6: string,
  ) {
    super(pid, holder);
  }

  static async create(agent: Sandbox, index: number): Promise<Outside> {
    const [pid, holder] = await Namespace.hold(
      agent.enter(["unshare", "--net", "sh", "-c", "echo $$ && exec cat"]),
    );
    const outside = new Outside(
      pid,
      holder,
      `203.0.113.${index + 2}`,
      `2001:db8:113::${index + 2}`,
    );
    const wire = `wan0-${index}`;
    const bridge = [
      "link add wan0 type bridge",
      `address add ${AGENT_ADDRESS}/24 dev wan0`,
      `address add ${AGENT_ADDRESS_6}/64 dev wan0 nodad`,
      "link set wan0 up",
    ];
    await agent.ip([
      ...index === 0 ? bridge : [],
      `link add ${wire} type veth peer name eth0 netns ${pid}`,
      `link set ${wire} master wan0 up`,
    ]);
    await outside.ip([
      "link set lo up",
      "link set eth0 up",
      `address add ${outside.address}/24 dev eth0`,
      `address add ${outside.address6}/64 dev eth0 nodad`,
    ]);
    return outside;
  }
}
