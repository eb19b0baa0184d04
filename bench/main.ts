/**
 * `./dev bench [NAME [ARG…]]`: all benchmarks, or one of this folder. Each is a file with a
 * function `run(args)` that prints what it measures as it goes.
 */
import { basename } from "@std/path";

/** Shared by the benchmarks, and none itself. */
const NO_BENCHMARKS = ["main", "timing", "containerizer"];

const names = [...Deno.readDirSync(new URL(".", import.meta.url))]
  .filter((entry) => entry.isFile && entry.name.endsWith(".ts"))
  .map((entry) => basename(entry.name, ".ts"))
  .filter((name) => !NO_BENCHMARKS.includes(name))
  .sort();

const [wanted, ...args] = Deno.args;
const name = wanted?.replaceAll("-", "_");
if (name !== undefined && !names.includes(name)) {
  console.error(`bench: there is no ${wanted}; there are: ${names.join(", ")}`);
  Deno.exit(2);
}
for (const each of name === undefined ? names : [name]) {
  console.log(`\n## ${each}\n`);
  const { run } = await import(`./${each}.ts`);
  await run(args);
}
