/** The system's own programs that change rules: iptables and its like. */
import { SYSTEM_PATH } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { heedChildren } from "../kernel/exec.ts";
import type { FileLock } from "../kernel/lock.ts";
import { runProgram } from "./run.ts";
import { isA, unless } from "../base/unless.ts";
import { statOf } from "../base/exists.ts";

/** Longer than any of them needs, other programs' hold of the xtables lock included. */
const TIMEOUT_MS = 60_000;
/** A listing of a hundred thousand rules is some 20 MB. */
const OUTPUT_LIMIT = 256 << 20;
const STDERR_KEPT = 64 << 10;

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
    if (unless(isA(Deno.errors.PermissionDenied), () => statOf(file))?.isFile) return file;
  }
  return undefined;
}

/** What a program says that answers at once, such as its version; its errors are left out. */
export function askTool(file: string, args: readonly string[]): { code: number; text: string } {
  heedChildren();
  const { code, stdout } = new Deno.Command(file, {
    args: [...args],
    stdin: "null",
    stderr: "null",
  }).outputSync();
  return { code, text: new TextDecoder().decode(stdout) };
}

/**
 * Runs a program to its end.
 *
 * @param options.lock is not free before the program has ended, even if this process is killed
 * @throws {OperatorError} `not_started`, `tool_failed` if it does not end or floods us
 */
export async function runTool(
  file: string,
  args: readonly string[],
  { stdin, lock }: { stdin?: string; lock?: FileLock } = {},
): Promise<Output> {
  const run = await runProgram(file, {
    args,
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
    stdin,
    timeoutMs: TIMEOUT_MS,
    outputLimit: OUTPUT_LIMIT,
    stderrKept: STDERR_KEPT,
    start: (spawn) => lock ? lock.heldByChildren(spawn) : spawn(),
  });
  if (run.stopped) {
    const why = run.stopped === "output"
      ? `printed more than ${OUTPUT_LIMIT} bytes`
      : `did not end in ${TIMEOUT_MS / 1000} s`;
    throw new OperatorError("tool_failed", `${file} ${why}, and was killed`);
  }
  return { code: run.code, stdout: run.stdout, stderr: run.stderr.trim() };
}
