/** The programs that change rules: iptables and nft. Never a shell; what they do comes by stdin. */
import { OperatorError } from "../error.ts";
import type { FileLock } from "../linux/lock.ts";

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

/**
 * Runs a program to its end.
 *
 * @param lock is not free before the program has ended, even if this process is killed
 * @throws {OperatorError} `tool_failed` if it can't be started or does not end
 */
export async function runTool(
  file: string,
  args: readonly string[],
  options: { stdin?: string; lock?: FileLock } = {},
): Promise<Output> {
  const { stdin, lock } = options;
  const start = () =>
    new Deno.Command(file, {
      args: [...args],
      clearEnv: true,
      env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
      stdin: stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  let child: Deno.ChildProcess;
  try {
    child = lock ? lock.heldByChildren(start) : start();
  } catch (error) {
    throw new OperatorError("tool_failed", `${file} cannot be run: ${(error as Error).message}`, {
      cause: error,
    });
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
  }, TIMEOUT_MS);
  const [output] = await Promise.all([
    child.output(),
    stdin === undefined ? undefined : feed(child.stdin, stdin),
  ]);
  clearTimeout(timer);
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
