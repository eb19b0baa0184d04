/** A framework on a lab's master, as tests use it. */
import { fromFileUrl } from "@std/path";
import { ADDRESS, type MesosLab } from "./lab.ts";
import { TextLineStream } from "./lines.ts";
import { type Order, scalar, type Update } from "./scheduler.ts";

export interface Mapping {
  host_port: number;
  container_port: number;
  protocol?: string;
}
export interface NetworkInfo {
  name: string;
  port_mappings?: Mapping[];
  labels?: unknown;
}

const ENDED = /^TASK_(?:FINISHED|FAILED|KILLED|LOST|ERROR|GONE|DROPPED)$/;
const DEADLINE_MS = 90_000;

/** A task's TaskInfo, with the resources that its ports need. */
export function task(
  name: string,
  command: string,
  networks?: readonly NetworkInfo[],
  container: Record<string, unknown> = {},
): Record<string, unknown> {
  const ports = (networks ?? []).flatMap(({ port_mappings = [] }) => port_mappings);
  return {
    name,
    task_id: { value: name },
    resources: [
      scalar("cpus", 0.1),
      scalar("mem", 32),
      ...ports.map(({ host_port }) => ({
        name: "ports",
        type: "RANGES",
        ranges: { range: [{ begin: host_port, end: host_port }] },
        allocation_info: { role: "*" },
      })),
    ],
    command: { value: command },
    container: { type: "MESOS", ...(networks && { network_infos: networks }), ...container },
  };
}

export class Framework implements AsyncDisposable {
  readonly #updates: Update[] = [];
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #read: Promise<void>;
  #heard: () => void = () => {};

  constructor(lab: MesosLab) {
    const script = fromFileUrl(new URL("scheduler.ts", import.meta.url));
    const flags = ["--quiet", "--no-config", "--no-check", "--no-lock", `--allow-net=${ADDRESS}`];
    this.#child = lab.spawn([Deno.execPath(), "run", ...flags, script, ADDRESS], {
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    });
    this.#input = this.#child.stdin.getWriter();
    this.#read = this.#listen();
  }
  readonly #child: Deno.ChildProcess;

  async #listen(): Promise<void> {
    const lines = this.#child.stdout.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      this.#updates.push(JSON.parse(line));
      this.#heard();
    }
  }

  async order(order: Order): Promise<void> {
    await this.#input.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
  }

  /** The first update of a task that is one of these states. @throws after a minute and a half */
  async hear(name: string, isIt: (state: string) => boolean): Promise<Update> {
    const end = Date.now() + DEADLINE_MS;
    while (Date.now() < end) {
      const found = this.#updates.find(({ task, state }) => task === name && isIt(state));
      if (found) return found;
      await Promise.race([
        new Promise<void>((resolve) => this.#heard = resolve),
        new Promise((resolve) => setTimeout(resolve, 200)),
      ]);
    }
    throw new Error(`${name} was not heard of: ${JSON.stringify(this.#updates)}`);
  }

  /** Waits until a task runs. @throws if it ends instead */
  async running(name: string): Promise<void> {
    const update = await this.hear(name, (state) => state === "TASK_RUNNING" || ENDED.test(state));
    if (update.state !== "TASK_RUNNING") throw new Error(`${name}: ${JSON.stringify(update)}`);
  }

  /** How a task ended. */
  async ended(name: string): Promise<Update> {
    return await this.hear(name, (state) => ENDED.test(state));
  }

  async kill(name: string): Promise<Update> {
    await this.order({ kill: name });
    return await this.ended(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    await this.#child.status;
    await this.#read;
  }
}
