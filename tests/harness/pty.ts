/** A pseudo terminal with a shell in it, for what only shows in a terminal: keys, jobs, sizes. */
import { openLibc } from "../../lib/kernel/libc.ts";
import { type Handle, open } from "../../lib/kernel/files.ts";
import { until } from "./agent.ts";
import type { Sandbox } from "./sandbox.ts";

const libc = openLibc({
  ioctl: { parameters: ["i32", "u64", "buffer"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const blocking = openLibc({
  read: { parameters: ["i32", "buffer", "usize"], result: "isize", nonblocking: true },
});

/** asm-generic/ioctls.h, the same on x64 and arm64. */
const TIOCSPTLCK = 0x40045431n;
const TIOCGPTN = 0x80045430n;
const TIOCSWINSZ = 0x5414n;
const O_RDWR = 2;
const O_NOCTTY = 0o400;
/** asm-generic/fcntl.h */
const F_SETFL = 4;

export class Pty implements AsyncDisposable {
  #seen = "";
  readonly #master: Handle;
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  /** Starts a command as the leader of a session whose terminal this is. */
  constructor(argv: string[], env: Record<string, string> = {}) {
    this.#master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    // What reads it waits, on a thread of its own.
    if (libc().fcntl(this.#master.fd, F_SETFL, 0) < 0) throw new Error("fcntl of a pty");
    const number = new Int32Array(1);
    this.#ioctl(TIOCSPTLCK, new Uint8Array(4));
    this.#ioctl(TIOCGPTN, new Uint8Array(number.buffer));
    this.resize(24, 80);
    this.#child = new Deno.Command("sh", {
      args: [
        "-c",
        'exec setsid --ctty "$@" <"$0" >"$0" 2>&1',
        `/dev/pts/${number[0]}`,
        ...argv,
      ],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#reading = this.#read();
  }

  #ioctl(request: bigint, argument: Uint8Array<ArrayBuffer>): void {
    if (libc().ioctl(this.#master.fd, request, argument) < 0) throw new Error("ioctl of a pty");
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(4096);
    const decoder = new TextDecoder(); // a character may come in two parts
    while (true) {
      const count = Number(await blocking().read(this.#master.fd, buffer, 4096n));
      // EIO: the last process that had the terminal open is gone.
      if (count <= 0) return;
      this.#seen += decoder.decode(buffer.subarray(0, count), { stream: true });
    }
  }

  /** The command, or what has started it. */
  get pid(): number {
    return this.#child.pid;
  }

  /** What was printed since the last {@link expect} that was met. */
  get seen(): string {
    return this.#seen;
  }

  /** As typed on the keyboard; `\x03` is Ctrl-C, `\x1a` Ctrl-Z. */
  type(text: string): void {
    const bytes = new TextEncoder().encode(text);
    libc().write(this.#master.fd, bytes, BigInt(bytes.length));
  }

  resize(rows: number, columns: number): void {
    this.#ioctl(TIOCSWINSZ, new Uint8Array(new Uint16Array([rows, columns, 0, 0]).buffer));
  }

  /** Waits until the terminal shows `pattern`. */
  async expect(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
    const end = Date.now() + timeoutMs;
    while (true) {
      const match = pattern.exec(this.#seen);
      if (match) {
        this.#seen = this.#seen.slice(match.index + match[0].length);
        return match;
      }
      if (Date.now() > end) {
        throw new Error(`no ${pattern} in the terminal, which shows:\n${this.#seen}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** The exit code of the command, once it has ended. */
  async ended(): Promise<number> {
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // With the leader of the session, the kernel hangs up on all that have the terminal.
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#reading;
    this.#master.close();
  }
}

/** Waits until a process of that name in the network of `pid` runs and has its terminal's keys. */
export async function inForeground(agent: Sandbox, pid: number, name: string): Promise<void> {
  // proc(5), stat: the fields are pid, name, state, parent, group, session, terminal, its foreground group.
  const script = `for pid in $(pidof "$1"); do
      [ "$(readlink /proc/$pid/ns/net)" = "$(readlink "/proc/$2/ns/net")" ] || continue
      set -- "$1" "$2" $(cat "/proc/$pid/stat")
      [ "$5" != T ] && [ "$7" = "\${10}" ] && echo it
    done`;
  await until(async () => {
    const { stdout } = await agent.run(["sh", "-c", script, "sh", name, `${pid}`]);
    return stdout.includes("it");
  }, `${name} in the foreground of a terminal`);
}
