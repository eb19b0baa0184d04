/**
 * A container's own programs, for `--mount`. They are the framework's, and started by root: so they
 * are what the container's processes are, and have nothing of the operator's, not even a file behind
 * a descriptor or his terminal: what is typed and printed is passed on here. inside.ts starts them.
 */
import { SYSTEM_PATH } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { log } from "../base/log.ts";
import { SignalRelay } from "../base/signals.ts";
import { writeOutput } from "../base/streams.ts";
import {
  type Handle,
  O_DIRECTORY,
  O_PATH,
  open,
  pipe,
  readProcFile,
  readSome,
  setInherited,
  setNonblocking,
  write,
  writeSome,
} from "../kernel/files.ts";
import { heedChildren } from "../kernel/exec.ts";
import { inodeOf } from "../kernel/proc.ts";
import { parentOf } from "../kernel/kill_tree.ts";
import { ERRNO_NAMES } from "../kernel/errno.ts";
import { SystemError } from "../kernel/libc.ts";
import { EPOLLIN, EPOLLOUT, Poller } from "../kernel/poller.ts";
import { parseIdentity } from "../kernel/privileges.ts";
import { processIds } from "../kernel/processes.ts";
import { copySize, openPty, passThrough } from "../kernel/pty.ts";
import type { Layout } from "../containers/layout.ts";
import { keptByGroup } from "../containers/process_state.ts";
import { requireProcess } from "./enter.ts";
import type { Step } from "./inside.ts";
import type { Target } from "../containers/target.ts";
import { isA, unless } from "../base/unless.ts";

/** What the command's environment has of the operator's: how the terminal wants to be spoken to. */
const OF_THE_TERMINAL = /^(TERM|COLORTERM|LANG|LC_[A-Z]+|TZ)$/;

const ENOENT = 2;

/**
 * Runs a command of the container to its end.
 *
 * @param env what its environment has besides
 * @param complain says why the command could not be executed
 * @returns its exit code; 128 + n if signal n ended it; 126 or 127 if it could not be executed
 * @throws {OperatorError} when the container can't be entered
 */
export async function runContained(
  argv: readonly [string, ...string[]],
  layout: Layout,
  target: Target,
  env: Record<string, string>,
  complain: (message: string) => void,
): Promise<number> {
  // Before there is a command: a signal that comes as it starts is for it too.
  using signals = new SignalRelay();
  using container = await openProcess(layout, target);
  const identity = parseIdentity(readProcFile(`${container.path}/status`));
  if (identity.isFiltered) {
    log.warning(
      "the container's processes run under a seccomp filter, and the command will not",
      { container: target.name },
    );
  }
  using streams = new Streams();
  const told = pipe();
  const status = pipe();
  const given = [container, told.readEnd, status.writeEnd, ...streams.theirs];
  heedChildren();
  given.forEach((handle) => setInherited(handle, true));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["step-inside", String(told.readEnd.fd), String(Deno.pid)],
    clearEnv: true,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  signals.relay((signal) => pass(child.pid, signal));
  const step: Step = {
    argv: [...argv],
    env: environment(identity.uids[1] === 0 ? "/root" : "/", env),
    process: container.fd,
    streams: [...streams.theirs.map(({ fd }) => fd), status.writeEnd.fd] as Step["streams"],
  };
  write(told.writeEnd, JSON.stringify(step), "the step inside");
  for (const handle of [told.readEnd, told.writeEnd, status.writeEnd]) handle.close();
  const passed = streams.pass();
  const { code } = await child.status;
  streams.end();
  const failure = await passed;
  if (failure) throw failure;
  using said = status.readEnd;
  const errno = new Int32Array(1);
  if (readSome(said, new Uint8Array(errno.buffer)) === 0) return code;
  const isMissing = errno[0] === -ENOENT;
  complain(
    isMissing
      ? `${
        argv[0]
      }: there is no such program in the container; without --mount, the agent's are run`
      : `${argv[0]} can't be executed in the container: ${
        ERRNO_NAMES[-errno[0]!]?.[1] ?? errno[0]
      }`,
  );
  return isMissing ? 127 : 126;
}

/** A process of the target, which stays this process, whatever its number is given to. */
async function openProcess(layout: Layout, target: Target): Promise<Handle> {
  const pid = await requireProcess(layout, target);
  const process = open(`/proc/${pid}`, O_PATH | O_DIRECTORY);
  try {
    if (inodeOf(`${process.path}/ns/net`) !== inodeOf(target.netns)) {
      throw new OperatorError(
        "no_process",
        `process ${pid} is not in the network of ${target.name} (any more)`,
      );
    }
    if (inodeOf(`${process.path}/ns/user`) !== inodeOf("/proc/self/ns/user")) {
      throw new OperatorError(
        "user_namespace",
        `${target.name} has a user namespace of its own, which this program can't enter: leave ` +
          `--mount away, or use nsenter(1) with --user`,
      );
    }
    const kept = keptByGroup(pid);
    if (kept?.what === "frozen") {
      throw new OperatorError(
        "frozen",
        `the processes of ${target.name} are frozen (${kept.seen}), and a command among them would be ` +
          "too: thaw them, or leave --mount away",
      );
    }
    return process;
  } catch (error) {
    process.close();
    throw error;
  }
}

function environment(home: string, more: Record<string, string>): Record<string, string> {
  const terminal = Object.entries(Deno.env.toObject())
    .filter(([name]) => OF_THE_TERMINAL.test(name));
  return { PATH: SYSTEM_PATH, HOME: home, ...Object.fromEntries(terminal), ...more };
}

/** Passes a signal on to the command, or to the step if there is none yet. */
function pass(step: number, signal: Deno.Signal): void {
  unless(
    isA(Deno.errors.NotFound),
    () => Deno.kill(processIds().find((pid) => parentOf(pid) === step) ?? step, signal),
  );
}

/**
 * Standard input, output and error of a command: a terminal of its own in the place of each that is
 * the operator's, if he types there, else a pipe.
 */
class Streams implements Disposable {
  /** The command's ends, in the order of their numbers. */
  readonly theirs: Handle[] = [];
  readonly #ours: Handle[] = [];
  readonly #input: Handle;
  readonly #outputs: (readonly [Handle, typeof Deno.stdout])[] = [];
  readonly #poller = new Poller();
  readonly #terminal?: Disposable;
  readonly #resized = () => copySize(0, this.#input);
  #ended = false;

  constructor() {
    const pty = Deno.stdin.isTerminal() ? openPty() : undefined;
    this.#input = pty ? pty.master : this.#pipeTo(0);
    if (pty) {
      this.theirs[0] = pty.terminal;
      this.#ours.push(pty.master);
      this.#outputs.push([pty.master, Deno.stdout]);
      copySize(0, pty.master);
      Deno.addSignalListener("SIGWINCH", this.#resized);
    }
    for (const [fd, stream] of [[1, Deno.stdout], [2, Deno.stderr]] as const) {
      if (pty && stream.isTerminal()) this.theirs[fd] = pty.terminal;
      else this.#outputs.push([this.#pipeTo(fd), stream]);
    }
    if (pty) this.#terminal = passThrough(0, pty.terminal);
  }

  #pipeTo(fd: number): Handle {
    const { readEnd, writeEnd } = pipe();
    const [own, other] = fd === 0 ? [writeEnd, readEnd] : [readEnd, writeEnd];
    setNonblocking(own);
    this.theirs[fd] = other;
    this.#ours.push(own);
    return own;
  }

  /**
   * Passes on what is typed and printed, until {@link end} and all that was printed by then.
   *
   * @returns what kept it from being printed
   */
  async pass(): Promise<OperatorError | undefined> {
    new Set(this.theirs).forEach((handle) => handle.close());
    this.#passInput();
    const failures = await Promise.all(
      this.#outputs.map(([from, stream]) => this.#passOutput(from, stream)),
    );
    return failures.find((failure) => failure !== undefined);
  }

  /** What background processes of the command print from now on is nobody's. */
  end(): void {
    this.#ended = true;
    for (const [from] of this.#outputs) this.#poller.cancel(from.fd);
  }

  async #passInput(): Promise<void> {
    const buffer = new Uint8Array(64 << 10);
    for (let length; (length = await Deno.stdin.read(buffer));) {
      for (let bytes = buffer.subarray(0, length); bytes.length > 0;) {
        try {
          if (!this.#input.isOpen) return;
          bytes = bytes.subarray(writeSome(this.#input, bytes) ?? 0);
        } catch (error) {
          if (error instanceof SystemError) return; // nobody reads it any more
          throw error;
        }
        if (bytes.length > 0 && !await this.#poller.wait(this.#input.fd, EPOLLOUT)) return;
      }
    }
    if (!this.#terminal) this.#input.close();
  }

  async #passOutput(from: Handle, to: typeof Deno.stdout): Promise<OperatorError | undefined> {
    const buffer = new Uint8Array(64 << 10);
    while (true) {
      let length;
      try {
        length = readSome(from, buffer);
      } catch (error) {
        if (error instanceof SystemError && error.errnoName === "EIO") return; // a terminal's end
        throw error;
      }
      if (length === 0) return;
      if (length !== undefined) {
        try {
          if (writeOutput(buffer.subarray(0, length), to)) continue;
          from.close(); // the command is told so by a signal, or an error
          return undefined;
        } catch (error) {
          if (!(error instanceof OperatorError)) throw error;
          from.close();
          return error;
        }
      }
      if (this.#ended) return;
      await this.#poller.wait(from.fd, EPOLLIN);
    }
  }

  [Symbol.dispose](): void {
    this.#terminal?.[Symbol.dispose]();
    if (this.#terminal) Deno.removeSignalListener("SIGWINCH", this.#resized);
    for (const handle of [...this.theirs, ...this.#ours]) handle.close();
  }
}
