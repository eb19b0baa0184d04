/** What isolators leave to a containerizer: the first processes of containers, by the thousand. */
import { isRunning } from "./agent.ts";
import type { Namespace } from "./sandbox.ts";

/** Starts the first processes of containers, each in namespaces of its own. */
export class Containerizer implements AsyncDisposable {
  readonly #shell: Deno.ChildProcess;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting: ((pid: number) => void)[] = [];
  readonly #reading: Promise<void>;

  constructor(agent: Pick<Namespace, "spawn">) {
    // As after clone(2): the agent's mounts still spread into the new namespace.
    // It would tell of each process that a test has killed, and die of it once nobody listens.
    const script = `exec 2>/dev/null; while read order; do
      unshare --net --mount --propagation=unchanged --uts sh -c 'echo $$; exec sleep 1000' &
    done; kill $(jobs -p)`;
    this.#shell = agent.spawn(["bash", "-c", script]);
    this.#orders = this.#shell.stdin.getWriter();
    this.#reading = this.#read();
  }

  /** @returns the id of a process that waits in its namespaces */
  async start(): Promise<number> {
    const pid = new Promise<number>((resolve) => this.#waiting.push(resolve));
    await this.#orders.write(new TextEncoder().encode("\n"));
    return await pid;
  }

  /** Ends a process, and waits until nothing of it is left but what a parent may still ask. */
  async end(pid: number): Promise<void> {
    Deno.kill(pid, "SIGKILL");
    while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async #read(): Promise<void> {
    let text = "";
    for await (const chunk of this.#shell.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (text + chunk).split("\n");
      text = lines.pop()!;
      for (const line of lines) this.#waiting.shift()!(Number(line));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#orders.close();
    await this.#shell.stderr.cancel();
    await this.#shell.status;
    await this.#reading;
  }
}
