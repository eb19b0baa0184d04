/**
 * The one way to run somebody else's program: never by a shell, with an environment that is made
 * and not inherited, for a limited time, with output of a limited size, and without waiting for what
 * the program leaves behind.
 */
import { messageOf, OperatorError } from "../base/error.ts";
import { heedChildren } from "../kernel/exec.ts";
import { inTurn } from "../kernel/threads.ts";
import { killTree } from "../kernel/kill_tree.ts";
import { collect, feed } from "./pipe.ts";

/** Pauses, in ms, before a file that is just being replaced (ETXTBSY) is tried again. */
const BUSY_PAUSES = [20, 80, 300, 600];
/** How long, in ms, pipes may stay open after the program's exit: a daemon it left may hold them. */
const PIPE_GRACE_MS = 200;

/**
 * Whether to give programs a session of their own, so that a Ctrl-C in the terminal does not tear
 * them apart. Without a terminal it would only cost: Deno then forks, which copies the page
 * tables of all our memory, instead of a posix_spawn (some ms instead of 0.3 in a large process).
 */
const inTerminal = [Deno.stdin, Deno.stdout, Deno.stderr].some((stream) => stream.isTerminal());

export interface ProgramOptions {
  args?: readonly string[];
  /** All of the program's environment. */
  env: Record<string, string>;
  stdin?: string;
  /** Milliseconds until the program, with all that it started, is killed. */
  timeoutMs: number;
  /** Bytes of standard output that are too many: then it is killed too. */
  outputLimit: number;
  /** Bytes of standard error that are kept, from its end, where programs say why they gave up. */
  stderrKept: number;
  /** Ends the program, with all that it started, when the caller gives up. */
  signal?: AbortSignal;
  /** Starts the process, for a caller that has more to do at that moment. */
  start?: (spawn: () => Deno.ChildProcess) => Deno.ChildProcess;
}

/** What became of a program. */
export interface ProgramRun {
  /** The exit code; for one that a signal ended, 128 and the signal's number. */
  code: number;
  /** `SIGSEGV`, say. */
  signal?: string;
  /** Why we killed it, if we did. */
  stopped?: "timeout" | "output" | "interrupted";
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. @throws {OperatorError} `not_started` if it cannot be started */
export async function runProgram(file: string, options: ProgramOptions): Promise<ProgramRun> {
  const { timeoutMs, outputLimit, stderrKept, signal, stdin = "" } = options;
  const child = await spawn(file, options);
  let stopped: ProgramRun["stopped"];
  let ended = false;
  const stop = (why: NonNullable<ProgramRun["stopped"]>) => {
    stopped ??= why;
    if (!ended) killTree(child.pid);
  };
  const timer = setTimeout(() => stop("timeout"), timeoutMs);
  const giveUp = () => stop("interrupted");
  signal?.addEventListener("abort", giveUp);
  const stdout = collect(child.stdout, outputLimit, () => stop("output"));
  const stderr = collect(child.stderr, stderrKept);
  // Not awaited: a child of the program that outlives it may hold the pipe without reading it.
  feed(child.stdin, stdin);

  const status = await child.status;
  ended = true;
  clearTimeout(timer);
  signal?.removeEventListener("abort", giveUp);
  const grace = setTimeout(() => [stdout, stderr].forEach((it) => it.abandon()), PIPE_GRACE_MS);
  const [out, err] = await Promise.all([stdout.text, stderr.text]);
  clearTimeout(grace);
  return {
    code: status.code,
    signal: status.signal ?? undefined,
    stopped,
    stdout: out,
    stderr: err,
  };
}

async function spawn(file: string, options: ProgramOptions): Promise<Deno.ChildProcess> {
  const { args = [], env, start = (spawn) => spawn() } = options;
  const command = new Deno.Command(file, {
    args: [...args],
    clearEnv: true,
    env,
    detached: inTerminal,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  for (let attempt = 0;; attempt++) {
    try {
      requireProgram(file);
      heedChildren();
      return inTurn(() => start(() => command.spawn()));
    } catch (error) {
      const pause = BUSY_PAUSES[attempt];
      if (pause === undefined || !messageOf(error).includes("(os error 26)")) {
        throw new OperatorError(
          "not_started",
          `${file} could not be started: ${messageOf(error)}; ` +
            "check that it is an executable for this machine",
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/**
 * Refuses what execvp(3) would pass to a shell, because the kernel does not know its format: an
 * empty file, say, would then "succeed" without doing anything.
 */
function requireProgram(file: string): void {
  using opened = Deno.openSync(file);
  const start = new Uint8Array(4);
  opened.readSync(start);
  const [a, b, c, d] = start;
  const script = a === 0x23 && b === 0x21; // "#!"
  const elf = a === 0x7f && b === 0x45 && c === 0x4c && d === 0x46; // "\x7fELF"
  if (!script && !elf) throw new Error("it is neither an ELF program nor a script with #!");
}
