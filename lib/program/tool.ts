/** The programs that change rules: iptables and nft. Never a shell; what they do comes by stdin. */
import { OperatorError } from "../base/error.ts";
import type { FileLock } from "../kernel/lock.ts";

/** Where administrators' programs are, whatever PATH a runtime hands on. */
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Longer than any of them needs, other programs' hold of the xtables lock included. */
const TIMEOUT_MS = 60_000;

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** Finds programs in a PATH, and then where administrators' programs usually are. */
export function findTool(name: string, path: string): string | undefined {
  for (const directory of `${path}:${SYSTEM_PATH}`.split(":")) {
    if (!directory.startsWith("/")) continue;
    const file = `${directory}/${name}`;
    try {
      if (Deno.statSync(file).isFile) return file;
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }
  return undefined;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.PermissionDenied;
}

/** A program that was started and waits for its input. */
export interface StartedTool {
  /**
   * Gives it its input, none if it is not needed any more, and lets it end. Once it has ended,
   * this tells again how.
   *
   * @throws {OperatorError} `tool_failed` if it does not end
   */
  finish(stdin?: string): Promise<Output>;
}

/**
 * Starts a program, for work that will have its input only later.
 *
 * @param lock is not free before the program has ended, even if this process is killed
 * @throws {OperatorError} `tool_failed` if it can't be started
 */
export function startTool(file: string, args: readonly string[], lock?: FileLock): StartedTool {
  const start = () =>
    new Deno.Command(file, {
      args: [...args],
      clearEnv: true,
      env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  try {
    const child = lock ? lock.heldByChildren(start) : start();
    let ended: Promise<Output> | undefined;
    return { finish: (stdin = "") => ended ??= finish(child, file, stdin) };
  } catch (error) {
    throw new OperatorError("tool_failed", `${file} cannot be run: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Runs a program to its end. @throws {OperatorError} `tool_failed` */
export async function runTool(
  file: string,
  args: readonly string[],
  options: { stdin?: string; lock?: FileLock } = {},
): Promise<Output> {
  return await startTool(file, args, options.lock).finish(options.stdin);
}

async function finish(child: Deno.ChildProcess, file: string, stdin: string): Promise<Output> {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended, and something that it started holds its output open: that can't be killed.
    }
  }, TIMEOUT_MS);
  let output: Deno.CommandOutput;
  try {
    [output] = await Promise.all([child.output(), feed(child.stdin, stdin)]);
  } finally {
    clearTimeout(timer);
  }
  if (late) {
    throw new OperatorError("tool_failed", `${file} did not end in ${TIMEOUT_MS / 1000} s`);
  }
  return {
    code: output.code,
    stdout: new TextDecoder().decode(output.stdout),
    stderr: new TextDecoder().decode(output.stderr).trim(),
  };
}

async function feed(stream: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stream.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch (error) {
    // A program that gives up early closes its input; its exit code and message say why.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}
