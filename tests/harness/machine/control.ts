/** The wire to a virtual machine: scripts in, their output back (guest/control is the other end). */
import type { Output } from "../sandbox.ts";

interface Waiting {
  resolve: (output: Output) => void;
  reject: (error: Error) => void;
}

export class Control {
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, Waiting>();
  readonly #up = Promise.withResolvers<void>();
  readonly #stream: ReadableStreamDefaultReader<Uint8Array>;
  #last = 0;
  #ended = false;

  /** @param console the file with the kernel's messages, for when something goes wrong */
  constructor(qemu: Deno.ChildProcess, private readonly console: string) {
    this.#writer = qemu.stdin.getWriter();
    this.#stream = qemu.stdout.getReader();
    this.#up.promise.catch(() => {}); // `up` may not be waiting for it.
    this.#read().catch(() => {}).finally(() => this.#end("the machine is off"));
  }

  /** Resolves when the machine takes commands. */
  up(seconds: number): Promise<void> {
    return this.#within(this.#up.promise, seconds, "the machine is up");
  }

  async run(script: string, seconds: number): Promise<Output> {
    if (this.#ended) throw new Error("the machine is off");
    const number = ++this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<Output>();
    this.#waiting.set(number, { resolve, reject });
    promise.catch(() => {}); // Its caller may wait for something else.
    const line = `${number} ${encode(script)}\n`;
    await this.#writer.write(new TextEncoder().encode(line)).catch(() => {});
    return await this.#within(promise, seconds, script);
  }

  /** Whoever still waits for an answer is told that there will be none. */
  abandon(): void {
    this.#end("the machine's power was cut");
    this.#writer.close().catch(() => {});
    this.#stream.cancel().catch(() => {});
  }

  #end(why: string): void {
    this.#ended = true;
    for (const { reject } of this.#waiting.values()) reject(new Error(why));
    this.#waiting.clear();
    this.#up.reject(new Error(`${why}\n${this.#messages()}`));
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for (let read = await this.#stream.read(); !read.done; read = await this.#stream.read()) {
      text += decoder.decode(read.value, { stream: true });
      const lines = text.split("\n");
      text = lines.pop()!;
      lines.forEach((line) => this.#take(line));
    }
  }

  #take(line: string): void {
    if (line === "up") return this.#up.resolve();
    const [number, code, stdout, stderr] = line.split(" ");
    const waiting = this.#waiting.get(Number(number));
    this.#waiting.delete(Number(number));
    waiting?.resolve({ code: Number(code), stdout: decode(stdout!), stderr: decode(stderr!) });
  }

  async #within<T>(promise: Promise<T>, seconds: number, what: string): Promise<T> {
    let timer: number | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`not within ${seconds} s: ${what}\n${this.#messages()}`)),
        seconds * 1000,
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #messages(): string {
    try {
      return Deno.readTextFileSync(this.console).slice(-4000);
    } catch {
      return ""; // It was never on.
    }
  }
}

function encode(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** A field has a point in front, so that an empty one is none the less there. */
function decode(field: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(field.slice(1)), (c) => c.charCodeAt(0)));
}
