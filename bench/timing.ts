/** Timing whole processes on a noisy machine: several things in turn, medians, ratios. */
import { cpuOfChildren } from "./cpu.ts";

/** The middle of the values; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What a thing took, in ms. */
export interface Timing {
  median: number;
  min: number;
  max: number;
  samples: number[];
  /** The least that its processes took of the CPU, where that was measured: others only add to it. */
  cpu?: number;
}

/**
 * Times things by turns, so that what disturbs the machine disturbs all alike. The first round
 * warms up and does not count.
 *
 * @param rounds how often each is timed
 */
export async function timeByTurns<Name extends string>(
  things: Readonly<Record<Name, () => Promise<unknown>>>,
  rounds: number,
): Promise<Record<Name, Timing>> {
  const names = Object.keys(things) as Name[];
  const samples = new Map(names.map((name) => [name, { ms: [] as number[], cpu: [] as number[] }]));
  for (let round = 0; round <= rounds; round++) {
    for (const name of names) {
      const [before, start] = [cpuOfChildren(), performance.now()];
      await things[name]();
      const [ms, cpu] = [performance.now() - start, cpuOfChildren() - before];
      if (round === 0) continue;
      samples.get(name)!.ms.push(ms);
      samples.get(name)!.cpu.push(cpu);
    }
  }
  return Object.fromEntries(
    [...samples].map(([name, { ms, cpu }]) => [name, summary(ms, cpu)]),
  ) as Record<Name, Timing>;
}

export function summary(samples: number[], cpu?: number[]): Timing {
  return {
    median: median(samples),
    min: Math.min(...samples),
    max: Math.max(...samples),
    samples,
    ...cpu ? { cpu: Math.min(...cpu) } : {},
  };
}

/** `12.3 ms (11.9 … 14.0)` */
export function shown({ median, min, max }: Timing): string {
  const ms = (value: number) => value.toFixed(1);
  return `${ms(median)} ms (${ms(min)} … ${ms(max)})`;
}

/** One row of a Markdown table. */
export function row(...cells: (string | number)[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** Says whether a goal is met. */
export function goal(what: string, value: number, limit: number, unit = ""): string {
  const verdict = value <= limit ? "met" : "MISSED";
  return `goal ${verdict}: ${what}: ${value.toFixed(2)}${unit} (at most ${limit}${unit})`;
}

/** What no program of this runtime, or nobody at all, can be below; said beside the goal. */
export function floor(what: string, value: number, why: string, unit = ""): string {
  return `floor: ${what}: ${value.toFixed(2)}${unit} (${why})`;
}

/** Runs a program to its end; its output is thrown away. Anything but exit code 0 is an error. */
export async function runProgram(
  file: string,
  args: readonly string[] = [],
  options: { env?: Record<string, string>; stdin?: string; clearEnv?: boolean } = {},
): Promise<string> {
  const child = new Deno.Command(file, {
    args: [...args],
    env: options.env,
    clearEnv: options.clearEnv,
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.stdin)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  if (code !== 0) {
    throw new Error(
      `${file} ${args.join(" ")}: exit code ${code}\n` +
        `${text}${new TextDecoder().decode(stderr)}`.slice(0, 2000),
    );
  }
  return text;
}
