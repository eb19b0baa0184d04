/** Limits of a process's resources (getrlimit(2), proc_pid_limits(5)). */
import { readProcFile } from "./files.ts";
import { check, openLibc } from "./libc.ts";

const libc = openLibc({ setrlimit: { parameters: ["i32", "buffer"], result: "i32" } });

const UNLIMITED = 0xffff_ffff_ffff_ffffn;
/** RLIMIT_DATA, RLIMIT_STACK, RLIMIT_AS (asm-generic/resource.h): this program could not go on with a small one. */
const OF_MEMORY: readonly number[] = [2, 3, 9];

/** Soft and hard ones, in the order of their numbers: the kernel prints them in columns. */
function limitsOf(process: string): [soft: bigint, hard: bigint][] {
  const value = (text: string) => text.trim() === "unlimited" ? UNLIMITED : BigInt(text.trim());
  return readProcFile(`${process}/limits`).trim().split("\n").slice(1)
    .map((line) => [value(line.slice(26, 46)), value(line.slice(47, 67))]);
}

/**
 * Readies this process to have no more of anything than another one may have, but for memory.
 *
 * @param process its directory under /proc
 * @throws {SystemError} as what is returned does
 */
export function readyToLimit(process: string): () => void {
  const own = limitsOf("/proc/self");
  const lower = (a: bigint, b: bigint) => a < b ? a : b;
  const wanted = limitsOf(process).map(([soft, hard], i) =>
    [lower(soft, own[i]![0]), lower(hard, own[i]![1])] as const
  );
  return () => {
    for (const [i, pair] of wanted.entries()) {
      if (OF_MEMORY.includes(i)) continue;
      const bytes = new Uint8Array(new BigUint64Array(pair).buffer);
      check(libc().setrlimit(i, bytes), `take on a limit (${i})`);
    }
  };
}
