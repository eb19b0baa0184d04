/**
 * The threads in which operations are done, so that the one that talks to callers waits for nothing:
 * a system call that changes a network waits for all others that do on this machine, and a
 * container may see to it that those are many. Each lane has an isolator of its own; what they have
 * in common is on disk, as with other processes.
 */
import { messageOf } from "../base/error.ts";
import { log } from "../base/log.ts";
import { joinTurns, sharedTurns } from "../kernel/threads.ts";
import type { HttpRequest, HttpResponse } from "./http.ts";
import type { Counts, MeasuredIsolator } from "./measured.ts";
import { respond } from "./routes.ts";

/** One for each CPU, as far as their memory is worth it. */
const MOST_LANES = 2;

interface Question {
  number: number;
  request: HttpRequest;
}

interface Reply {
  number: number;
  response: HttpResponse;
  counts: Counts;
}

/** Work on one container, which is done in the order that it is asked for; or on all of them. */
const ONE = /^\/v1\/containers\/([^/]+)\/(?:prepare|isolate|check|cleanup|usage)$/;
const ALL = /^\/(?:v1\/recover|v1\/gc|readyz)$/;

export class Lanes implements Disposable {
  readonly #workers: Worker[];
  readonly #waiting = new Map<number, (response: HttpResponse) => void>();
  #asked = 0;

  /** @param isolator counts for all */
  constructor(private readonly isolator: MeasuredIsolator) {
    const count = Math.min(MOST_LANES, navigator.hardwareConcurrency);
    this.#workers = Array.from({ length: count }, () => this.#start());
  }

  #start(): Worker {
    // The same program with the same arguments, which ends up in `work`.
    const worker = new Worker(Deno.mainModule, { type: "module", name: "lane" });
    worker.onmessage = ({ data: { number, response, counts } }: MessageEvent<Reply>) => {
      this.isolator.absorb(counts);
      this.#waiting.get(number)?.(response);
      this.#waiting.delete(number);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      // As of any defect that nobody has caught: all that is known is on disk.
      log.error(event.message);
      Deno.exit(1);
    };
    worker.postMessage(sharedTurns());
    return worker;
  }

  /** Answers a request, here or in a lane. */
  respond(request: HttpRequest): Promise<HttpResponse> {
    const id = ONE.exec(request.path)?.[1];
    if (id === undefined && !ALL.test(request.path)) return respond(this.isolator, request);
    const lane = id === undefined ? 0 : hash(id) % this.#workers.length;
    const number = this.#asked++;
    return new Promise((resolve) => {
      this.#waiting.set(number, resolve);
      this.#workers[lane]!.postMessage({ number, request } satisfies Question);
    });
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}

/** What a lane does, for as long as the service lives. */
export function work(isolator: MeasuredIsolator): Promise<never> {
  const lane = globalThis as unknown as {
    onmessage: (event: MessageEvent<Question | SharedArrayBuffer>) => void;
    postMessage(reply: Reply): void;
  };
  lane.onmessage = async ({ data }) => {
    if (data instanceof SharedArrayBuffer) return joinTurns(data);
    const { number, request } = data;
    try {
      const response = await respond(isolator, request);
      lane.postMessage({ number, response, counts: isolator.drain() });
    } catch (error) {
      reportError(new Error(messageOf(error), { cause: error }));
    }
  };
  return new Promise(() => {});
}
