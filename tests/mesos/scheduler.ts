/**
 * A framework of Mesos' HTTP API v1, as a program in the lab: a line of JSON on standard input is
 * an order, a line on standard output a status update. It accepts the first offer that an order
 * fits into, so a port that was just freed is used again at once.
 */
import { TextLineStream } from "./lines.ts";

/** An order: tasks for the command executor, a group for the default executor, or a kill. */
export type Order =
  | { launch: Record<string, unknown>[] }
  | { group: Record<string, unknown>[] }
  | { kill: string };

/** A status update, as far as tests look at it. */
export interface Update {
  task: string;
  state: string;
  message: string;
}

interface Resource {
  name: string;
  type: string;
  scalar?: { value: number };
  ranges?: { range: { begin: number; end: number }[] };
  [field: string]: unknown;
}
interface Offer {
  id: unknown;
  agent_id: unknown;
  resources: Resource[];
}

const FRAMEWORK = {
  user: "root",
  name: "lab",
  roles: ["*"],
  capabilities: [{ type: "MULTI_ROLE" }],
  checkpoint: true,
};

class Framework {
  readonly #url: string;
  #id?: unknown;
  #stream = "";
  readonly #waiting: Exclude<Order, { kill: string }>[] = [];
  readonly #agents = new Map<string, unknown>();

  constructor(master: string) {
    this.#url = `http://${master}:5050/api/v1/scheduler`;
  }

  async run(): Promise<void> {
    const response = await this.#subscribe();
    this.#stream = response.headers.get("mesos-stream-id")!;
    for await (const event of records(response.body!)) await this.#on(event);
  }

  /** A master that has just been started may not listen yet, or not have recovered (503). */
  async #subscribe(): Promise<Response> {
    for (let attempt = 1;; attempt++) {
      try {
        const response = await fetch(this.#url, {
          method: "POST",
          headers: { "content-type": "application/json", accept: "application/json" },
          body: JSON.stringify({ type: "SUBSCRIBE", subscribe: { framework_info: FRAMEWORK } }),
        });
        if (response.status === 200) return response;
        throw new Error(`SUBSCRIBE: ${response.status} ${await response.text()}`);
      } catch (error) {
        if (attempt === 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  // deno-lint-ignore no-explicit-any
  async #on(event: any): Promise<void> {
    if (event.type === "SUBSCRIBED") this.#id = event.subscribed.framework_id;
    if (event.type === "OFFERS") {
      for (const offer of event.offers.offers) {
        await this.#use(offer);
      }
    }
    if (event.type !== "UPDATE") return;
    const { status } = event.update;
    const { task_id, agent_id, uuid, state, message = "" } = status;
    if (uuid) await this.#call("ACKNOWLEDGE", { acknowledge: { agent_id, task_id, uuid } });
    const update: Update = { task: task_id.value, state, message };
    console.log(JSON.stringify(update));
  }

  async order(order: Order): Promise<void> {
    if ("kill" in order) {
      const task_id = { value: order.kill };
      await this.#call("KILL", { kill: { task_id, agent_id: this.#agents.get(order.kill) } });
    } else this.#waiting.push(order);
  }

  async #use(offer: Offer): Promise<void> {
    const { id, agent_id, resources } = offer;
    const index = this.#waiting.findIndex((order) => fits(tasksOf(order), resources));
    if (index < 0) {
      return await this.#call("DECLINE", {
        decline: { offer_ids: [id], filters: { refuse_seconds: 0.05 } },
      });
    }
    const [order] = this.#waiting.splice(index, 1);
    const tasks = tasksOf(order!).map((task) => ({ ...task, agent_id }));
    for (const task of tasks) {
      this.#agents.set((task as unknown as { name: string }).name, agent_id);
    }
    const operation = "launch" in order! ? { type: "LAUNCH", launch: { task_infos: tasks } } : {
      type: "LAUNCH_GROUP",
      launch_group: { executor: this.#executor(), task_group: { tasks } },
    };
    await this.#call("ACCEPT", {
      accept: { offer_ids: [id], operations: [operation], filters: { refuse_seconds: 0 } },
    });
  }

  /** A pod joins the network of its executor. */
  #executor(): unknown {
    return {
      type: "DEFAULT",
      executor_id: { value: `pod-${crypto.randomUUID()}` },
      framework_id: this.#id,
      resources: [scalar("cpus", 0.1), scalar("mem", 32), scalar("disk", 10)],
      container: { type: "MESOS", network_infos: [{ name: "cni-bridge" }] },
    };
  }

  async #call(type: string, body: Record<string, unknown>): Promise<void> {
    const response = await fetch(this.#url, {
      method: "POST",
      headers: { "content-type": "application/json", "mesos-stream-id": this.#stream },
      body: JSON.stringify({ type, framework_id: this.#id, ...body }),
    });
    const text = await response.text();
    if (response.status !== 202) console.error(`${type}: ${response.status} ${text}`);
  }
}

export function scalar(name: string, value: number): Resource {
  return { name, type: "SCALAR", scalar: { value }, allocation_info: { role: "*" } };
}

function tasksOf(order: Exclude<Order, { kill: string }>): { resources: Resource[] }[] {
  return ("launch" in order ? order.launch : order.group) as unknown as { resources: Resource[] }[];
}

/** Whether an offer has the ports that tasks want; of the rest the lab has plenty. */
function fits(tasks: readonly { resources: Resource[] }[], offered: readonly Resource[]): boolean {
  const ranges = (resources: readonly Resource[]) =>
    resources.filter(({ name }) => name === "ports").flatMap(({ ranges }) => ranges?.range ?? []);
  const free = ranges(offered);
  return offered.some(({ name, scalar }) => name === "cpus" && (scalar?.value ?? 0) >= 1) &&
    tasks.flatMap(({ resources }) => ranges(resources)).every((wanted) =>
      free.some(({ begin, end }) => begin <= wanted.begin && wanted.end <= end)
    );
}

/** RecordIO: the length of a record in decimal, a line feed, the record. */
async function* records(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown> {
  let bytes = new Uint8Array();
  for await (const chunk of body) {
    const joined = new Uint8Array(bytes.length + chunk.length);
    joined.set(bytes);
    joined.set(chunk, bytes.length);
    bytes = joined;
    while (true) {
      const end = bytes.indexOf(0x0a);
      if (end < 0) break;
      const length = Number(new TextDecoder().decode(bytes.subarray(0, end)));
      if (bytes.length < end + 1 + length) break;
      yield JSON.parse(new TextDecoder().decode(bytes.subarray(end + 1, end + 1 + length)));
      bytes = bytes.slice(end + 1 + length);
    }
  }
}

if (import.meta.main) {
  const framework = new Framework(Deno.args[0]!);
  framework.run().then(() => Deno.exit(1));
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) await framework.order(JSON.parse(line));
  Deno.exit(0);
}
