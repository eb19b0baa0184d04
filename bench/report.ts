/** RESULTS.md out of what the benchmarks printed, and a picture of it. */
import { plot } from "./plot.ts";

/** Writes bench/RESULTS.md and bench/results.svg. */
export async function writeReport(
  sections: readonly { name: string; text: string }[],
): Promise<void> {
  const here = new URL(".", import.meta.url);
  const text = [
    "# Benchmarks",
    "",
    `Written by \`./dev bench\` on ${new Date().toISOString().slice(0, 10)}, on this machine: ` +
    `${machine()}. Times are wall-clock medians; what is compared was run by turns.`,
    "",
    "![medians](results.svg)",
    ...sections.flatMap((
      { name, text },
    ) => ["", `## ${name.replaceAll("_", " ")}`, "", text.trim()]),
    "",
  ].join("\n");
  await Deno.writeTextFile(new URL("RESULTS.md", here), text);
  await Deno.writeTextFile(new URL("results.svg", here), plot(sections));
  console.log("\nwritten: bench/RESULTS.md, bench/results.svg");
}

function machine(): string {
  const model = /^model name\s*:\s*(.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  return `${navigator.hardwareConcurrency} × ${model ?? Deno.build.arch}, ${memory} GiB, ` +
    `Linux ${Deno.osRelease()}`;
}
