/** `mesos-cni isolator serve` in a sandbox, and an HTTP client of its own (Deno's) for it. */
import { assertEquals } from "@std/assert";
import { MESOS_CNI } from "./binary.ts";
import type { Namespace, RunOptions } from "./sandbox.ts";

export interface Reply {
  status: number;
  text: string;
  /** Undefined for a body that is no JSON. */
  // deno-lint-ignore no-explicit-any
  json: any;
}

/** Requests to a service at the path of a socket. */
export class ServiceClient implements Disposable {
  readonly #client: Deno.HttpClient;

  constructor(readonly socket: string) {
    this.#client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  }

  async request(method: string, path: string, body?: unknown): Promise<Reply> {
    const response = await fetch(`http://localhost${path}`, {
      method,
      client: this.#client,
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type") === "application/json";
    return { status: response.status, text, json: isJson ? JSON.parse(text) : undefined };
  }

  get(path: string): Promise<Reply> {
    return this.request("GET", path);
  }

  post(path: string, body?: unknown): Promise<Reply> {
    return this.request("POST", path, body);
  }

  /** A POST that must work. */
  async ok(path: string, body?: unknown): Promise<Reply> {
    const reply = await this.post(path, body);
    assertEquals(Math.floor(reply.status / 100), 2, `${path}: ${reply.status} ${reply.text}`);
    return reply;
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** A running service. Ends with its `using` block, at the latest. */
export class Service extends ServiceClient implements AsyncDisposable {
  private constructor(socket: string, readonly process: Deno.ChildProcess) {
    super(socket);
  }

  get pid(): number {
    return this.process.pid;
  }

  /** Starts one, and waits until it answers. `socket` must lie outside the sandbox's /run. */
  static async start(
    agent: Pick<Namespace, "spawn">,
    socket: string,
    flags: readonly string[],
    options: RunOptions = {},
  ): Promise<Service> {
    const process = agent.spawn(
      [MESOS_CNI, "isolator", "serve", `--socket=${socket}`, ...flags],
      options,
    );
    await process.stdin.close();
    const service = new Service(socket, process);
    await until(
      async () => (await service.get("/healthz")).status === 200,
      "the service to answer",
    );
    return service;
  }

  /** Asks it to stop; what it said besides where it listens, and how it ended. */
  async stop(
    signal: Deno.Signal = "SIGTERM",
  ): Promise<{ code: number; signal: Deno.Signal | null; stderr: string }> {
    this.process.kill(signal);
    const { code, signal: endedBy, stderr } = await this.process.output();
    const said = new TextDecoder().decode(stderr).replace(
      `mesos-cni: listening at ${this.socket}\n`,
      "",
    );
    return { code, signal: endedBy, stderr: said };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
    if (this.process.stdout.locked) return; // stopped already
    await this.stop("SIGKILL");
  }
}

/** Waits for something to become true; an error counts as "not yet". */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    try {
      if (await holds()) return;
    } catch {
      // not yet
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
}

/** The first process of a container: it waits in new namespaces, as a containerizer's does. */
export class ContainerProcess implements AsyncDisposable {
  private constructor(readonly process: Deno.ChildProcess) {}

  get pid(): number {
    return this.process.pid;
  }

  static async start(agent: Namespace): Promise<ContainerProcess> {
    const process = agent.spawn(["unshare", "--net", "--mount", "--uts", "cat"]);
    const link = (pid: number) => Deno.readLinkSync(`/proc/${pid}/ns/uts`);
    const home = link(agent.pid);
    await until(
      () => link(process.pid) !== home && comm(process.pid) === "cat",
      "the container's process",
    );
    return new ContainerProcess(process);
  }

  /** The arguments that put a command into the container. */
  enter(argv: string[]): string[] {
    return ["nsenter", `--target=${this.pid}`, "--net", "--mount", "--uts", "--", ...argv];
  }

  async end(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stdin.close().catch(() => {});
    await this.process.output();
  }
}

function comm(pid: number): string {
  return Deno.readTextFileSync(`/proc/${pid}/comm`).trim();
}
