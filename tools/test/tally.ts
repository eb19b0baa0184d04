/** Counting tests: what `deno test` says at its end, and what `./dev` says at its own. */

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
}

// deno-lint-ignore no-control-regex
const COLOUR = /\x1b\[[0-9;]*m/g;

/**
 * Reads the output of `deno test`, whose closing line is
 * `ok | 12 passed (3 steps) | 0 failed | 1 ignored (2s)`.
 *
 * @param success whether it ended with 0; if it did not and counted no failure, it broke off
 */
export function readTally(output: string, success: boolean): Tally {
  const [, passed, failed, rest] = output.replaceAll(COLOUR, "")
    .match(/^(?:ok|FAILED) \| (\d+) passed[^|]*\| (\d+) failed(.*)$/m) ?? [];
  const skipped = rest?.match(/(\d+) ignored/)?.[1];
  const tally = {
    passed: Number(passed ?? 0),
    failed: Number(failed ?? 0),
    skipped: Number(skipped ?? 0),
  };
  const brokeOff = tally.failed === 0 && (!success || passed === undefined);
  return brokeOff ? { ...tally, failed: 1 } : tally;
}

/** Lines of a test's errors that are shown again at the end of all output. */
const MOST_LINES = 30;

/** What `deno test` says of its errors, without colours: the end of the output if it broke off. */
export function errorsIn(output: string): string[] {
  const lines = output.replaceAll(COLOUR, "").split("\n").map((line) => line.trimEnd())
    .filter((line) => line !== "");
  const from = lines.findIndex((line) => /^ *ERRORS$/.test(line));
  if (from < 0) return lines.slice(-MOST_LINES);
  const to = lines.findIndex((line) => /^ *FAILURES$/.test(line));
  return lines.slice(from + 1, to < 0 ? undefined : to).slice(0, MOST_LINES);
}

export function addTallies(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (sum, one) => ({
      passed: sum.passed + one.passed,
      failed: sum.failed + one.failed,
      skipped: sum.skipped + one.skipped,
    }),
    { passed: 0, failed: 0, skipped: 0 },
  );
}

export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

/** Seconds in what a shell's `times` prints: its own and its children's, of users and of the kernel. */
export function readCpu(times: string): number {
  return [...times.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds),
    0,
  );
}

/** What all processors together did since the machine began, in the kernel's clock ticks. */
export interface Processors {
  all: number;
  idle: number;
}

/** The first line of `/proc/stat`; who waits for a disk leaves its processor idle. */
export function readStat(text: string): Processors {
  const ticks = text.slice(0, text.indexOf("\n")).trim().split(/\s+/).slice(1, 9).map(Number);
  const [, , , idle = 0, waiting = 0] = ticks;
  return { all: ticks.reduce((sum, one) => sum + one, 0), idle: idle + waiting };
}
