/** The port mapper on an agent in a sandbox: the compiled program, called as a runtime calls it. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { CNI_PLUGINS, MESOS_CNI, PYTHON } from "./binary.ts";
import { type Namespace, type Output, Sandbox } from "./sandbox.ts";

export type Json = Record<string, unknown>;

export const STATE_DIR = "/run/mesos-cni/port-mapper";
const ECHO = fromFileUrl(new URL("./echo.py", import.meta.url));
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** The two programs that are called iptables. */
export const VARIANTS = ["nft", "legacy"] as const;
export type Variant = (typeof VARIANTS)[number];

/** The documents' bridge, behind the port mapper. */
export function bridge(more: Json = {}): Json {
  return {
    type: "bridge",
    bridge: "mesos-cni0",
    isGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
    ...more,
  };
}

/** The same bridge with addresses of both families. */
export const DUAL_STACK = bridge({
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "192.168.0.0/16" }], [{ subnet: "fd00:1::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  },
});

/** What a framework asks for, as Mesos hands it on. */
export function mesosArgs(...mappings: unknown[]): Json {
  return { "org.apache.mesos": { network_info: { name: "pm", port_mappings: mappings } } };
}

/** The documents' network, with mappings of host ports to 80 (`8080`) or as given. */
export function network(mappings: unknown[] = [8080], more: Json = {}): Json {
  return {
    name: "pm",
    type: "mesos-cni-port-mapper",
    chain: "MESOS-TEST-PORT-MAPPER",
    excludeDevices: ["mesos-cni0"],
    args: mesosArgs(
      ...mappings.map((one) =>
        typeof one === "number" ? { host_port: one, container_port: 80 } : one
      ),
    ),
    delegate: bridge(),
    ...more,
  };
}

export interface Reply extends Output {
  json?: Json;
}

export interface CallOptions {
  netns?: string | null;
  ifName?: string;
  env?: Record<string, string>;
  /** Which plugin of the program, instead of the port mapper; or a file. */
  type?: string;
  /** Standard input instead of the config. */
  stdin?: string | Uint8Array<ArrayBuffer>;
}

/** How long an answer that must come is waited for; more than it takes on a busy machine. */
const PATIENCE_MS = 60_000;
/** How long one that must not come could take. */
const SILENCE_MS = 1000;
const NO_ANSWER = "no answer";

export interface AskOptions {
  from?: Namespace | string;
  protocol?: "tcp" | "udp";
  fromPort?: number;
}

export class PortMapperAgent implements AsyncDisposable {
  readonly pluginDir: string;
  /** Where other plugins are searched; undefined for none, so that they are those inside ours. */
  search: string | undefined = CNI_PLUGINS;
  /** Where the plugin finds iptables. */
  readonly path: string;

  private constructor(readonly sandbox: Sandbox, variant: Variant) {
    this.pluginDir = `${sandbox.dir}/plugins`;
    Deno.mkdirSync(this.pluginDir);
    Deno.symlinkSync(MESOS_CNI, `${this.pluginDir}/mesos-cni-port-mapper`);
    this.path = PATH;
    if (variant === "legacy") {
      const dir = `${sandbox.dir}/legacy`;
      Deno.mkdirSync(dir);
      for (const tool of ["iptables", "ip6tables"]) {
        for (const what of ["", "-save", "-restore"]) {
          Deno.symlinkSync("/usr/sbin/xtables-legacy-multi", `${dir}/${tool}${what}`);
        }
      }
      this.path = `${dir}:${PATH}`;
    }
  }

  static async create(variant: Variant = "nft"): Promise<PortMapperAgent> {
    return new PortMapperAgent(await Sandbox.create(), variant);
  }

  /** Installs a plugin that is a shell script. */
  async script(name: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.pluginDir}/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  /** Makes a network namespace for a container, with a process: its ports are a living one's. */
  async container(id: string): Promise<void> {
    await this.sandbox.ok(["ip", "netns", "add", id]);
    const child = this.sandbox.spawn(["ip", "netns", "exec", id, "sleep", "1000000"]);
    this.#processes.push([id, child]);
    while (await this.sandbox.ok(["ip", "netns", "pids", id]) === "") {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Ends a container's process; its namespace stays until its runtime detaches it. */
  async kill(id: string): Promise<void> {
    const index = this.#processes.findIndex(([one]) => one === id);
    await end(this.#processes.splice(index, 1)[0]![1]);
  }

  readonly #processes: [id: string, child: Deno.ChildProcess][] = [];

  /** The path of a container's namespace. */
  netns(id: string): string {
    return `/run/netns/${id}`;
  }

  environment(command: string, id: string, options: CallOptions = {}): Record<string, string> {
    const { netns = this.netns(id), ifName = "eth0", env = {} } = options;
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: id,
      CNI_IFNAME: ifName,
      CNI_PATH: [this.pluginDir, this.search ?? []].flat().join(":"),
      PATH: this.path,
      ...(netns === null ? {} : { CNI_NETNS: netns }),
      ...env,
    };
  }

  #program(type: string | undefined): string {
    if (type === undefined || type.startsWith("/")) return type ?? this.plugin;
    const link = `${this.pluginDir}/${type}`;
    try {
      Deno.symlinkSync(MESOS_CNI, link);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
    return link;
  }

  get plugin(): string {
    return `${this.pluginDir}/mesos-cni-port-mapper`;
  }

  /** Calls the plugin. Whatever happens, standard output is one JSON document or nothing. */
  async call(command: string, id: string, config: Json, options: CallOptions = {}): Promise<Reply> {
    const output = await this.sandbox.run([this.#program(options.type)], {
      clearEnv: true,
      env: this.environment(command, id, options),
      stdin: options.stdin ?? JSON.stringify(config),
    });
    if (output.stdout === "") {
      assertEquals(output.code, 0, `a failure without an error object: ${output.stderr}`);
      return output;
    }
    const json: Json = JSON.parse(output.stdout);
    assertEquals(typeof json.cniVersion, "string", output.stdout);
    if (output.code !== 0) {
      assertEquals(output.code, 1, output.stderr);
      assertEquals(typeof json.code, "number", output.stdout);
      assert(typeof json.msg === "string" && json.msg !== "", output.stdout);
    }
    return { ...output, json };
  }

  /** A call that must succeed. */
  async ok(command: string, id: string, config: Json, options: CallOptions = {}): Promise<Json> {
    const reply = await this.call(command, id, config, options);
    assertEquals(reply.code, 0, `${command} ${id}: ${reply.stdout}${reply.stderr}`);
    return reply.json ?? {};
  }

  /** A call that must fail. */
  async fails(command: string, id: string, config: Json, options: CallOptions = {}): Promise<{
    code: number;
    msg: string;
    details: string;
  }> {
    const reply = await this.call(command, id, config, options);
    assertEquals(reply.code, 1, `${command} ${id} did not fail: ${reply.stdout}`);
    const { code, msg, details = "" } = reply.json as {
      code: number;
      msg: string;
      details?: string;
    };
    return { code, msg, details };
  }

  /** Makes a namespace and ADDs. */
  async add(id: string, config: Json = network(), options: CallOptions = {}): Promise<Json> {
    await this.container(id);
    return await this.ok("ADD", id, config, options);
  }

  /** Rules of the nat table as iptables-save prints them, without counters. */
  async rules(filter = "", tool = "iptables-save"): Promise<string[]> {
    const text = await this.sandbox.ok([tool, "-t", "nat"], { env: { PATH: this.path } });
    return text.split("\n").filter((line) => line.startsWith("-A ") && line.includes(filter));
  }

  /** Elements of the nftables backend, as nft prints them. */
  async elements(): Promise<string> {
    const { stdout } = await this.sandbox.run(["nft", "list", "table", "inet", "mesos-cni"]);
    return stdout;
  }

  /** Everything that may not be left of containers: rules, claims, records, locks, addresses. */
  async leftovers(): Promise<string[]> {
    const files = await this.sandbox.ok([
      "find",
      "/run/mesos-cni",
      "/var/lib/cni/networks",
      "-mindepth",
      "2",
      "(",
      "-type",
      "f",
      "-o",
      "-type",
      "l",
      ")",
      "-printf",
      "%p\n",
    ]).catch(() => "");
    // What belongs to the store, and to no container; calls are history.
    const kept = /\/(?:lock|last_reserved_ip\.\d+|orphans\.json|history\/.*|ip6?tables\.json)$/;
    const elements = await this.elements();
    return [
      ...await this.rules("container_id"),
      ...await this.rules("container_id", "ip6tables-save"),
      ...elements.split("\n").filter((line) => line.includes("container_id")),
      ...files.split("\n").filter((file) => file !== "" && !kept.test(file)),
    ];
  }

  /** Starts a server, in a container if it is one's, that answers with its name. */
  async serve(
    name: string,
    port = 80,
    where: "its container" | "the agent itself" = "its container",
  ): Promise<Deno.ChildProcess> {
    const inside = where === "its container" ? ["ip", "netns", "exec", name] : [];
    const child = this.sandbox.spawn([...inside, PYTHON, ECHO, "serve", name, `${port}`]);
    const reader = child.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    this.#children.push(child);
    return child;
  }

  /** Starts a web server on the agent itself. */
  async listen(address: string): Promise<void> {
    const args = ["-f", "-p", address, "-h", this.sandbox.dir];
    this.#children.push(this.sandbox.spawn(["busybox", "httpd", ...args]));
    const port = `:${address.split(":").at(-1)}`;
    while (!(await this.sandbox.ok(["ss", "-Hltn"])).includes(`${port} `)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  readonly #children: Deno.ChildProcess[] = [];

  async stop(child: Deno.ChildProcess): Promise<void> {
    this.#children.splice(this.#children.indexOf(child), 1);
    await end(child);
  }

  /** What a client on `from` (the agent itself if absent) is answered at an address. */
  ask(address: string, port: number, options: AskOptions = {}): Promise<string> {
    return this.#ask(address, port, options, PATIENCE_MS);
  }

  /** That a client gets no answer there. */
  async assertSilent(address: string, port: number, options: AskOptions = {}): Promise<void> {
    const answer = await this.#ask(address, port, options, SILENCE_MS);
    assertEquals(answer, NO_ANSWER, `${address}:${port} answers`);
  }

  async #ask(address: string, port: number, options: AskOptions, ms: number): Promise<string> {
    const { from = this.sandbox, protocol = "tcp", fromPort = 0 } = options;
    const where = [protocol, address, `${port}`, `${fromPort}`];
    const client = [PYTHON, ECHO, "ask", ...where, `${ms}`];
    const answer = typeof from === "string"
      ? await this.sandbox.ok(["ip", "netns", "exec", from, ...client])
      : await from.ok(client);
    return answer.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const processes = this.#processes.splice(0).map(([, child]) => child);
    await Promise.all([...this.#children.splice(0), ...processes].map(end));
    await this.sandbox[Symbol.asyncDispose]();
  }
}

/** The address of a result in the form of 0.1.0. */
export function address4(result: Json): string {
  return (result.ip4 as { ip: string }).ip.split("/")[0]!;
}

export async function end(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // it has ended
  }
  await Promise.all([
    child.stdin.close().catch(() => {}),
    child.stdout.cancel().catch(() => {}),
    child.stderr.cancel().catch(() => {}),
    child.status,
  ]);
}
