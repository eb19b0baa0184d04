/** How much later than an empty compiled program each mode starts. */
import { MESOS_CNI } from "../tests/harness/binary.ts";
import { goal, row, runProgram, shown, timeByTurns } from "./timing.ts";

const ROUNDS = 31;
/** In plugin mode, at most this many ms later than an empty program. */
const PLUGIN_LIMIT = 15;

export async function run(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-bench-" });
  try {
    const empty = await compileEmpty(dir);
    const plugin = `${dir}/mesos-cni-port-mapper`;
    await Deno.symlink(MESOS_CNI, plugin);
    const timings = await timeByTurns({
      "an empty compiled program": () => runProgram(empty),
      "the plugin, VERSION": () =>
        runProgram(plugin, [], {
          clearEnv: true,
          env: { CNI_COMMAND: "VERSION" },
          stdin: '{"cniVersion":"1.0.0"}',
        }),
      "mesos-cni version": () => runProgram(MESOS_CNI, ["version"]),
      "mesos-cni --help": () => runProgram(MESOS_CNI, ["--help"]),
    }, ROUNDS);
    const base = timings["an empty compiled program"];
    console.log(row("start-up", "median (min … max)", "of empty"));
    console.log(row("---", "---", "---"));
    for (const [name, timing] of Object.entries(timings)) {
      console.log(row(name, shown(timing), `${(timing.median / base.median).toFixed(2)} ×`));
    }
    const plugged = timings["the plugin, VERSION"].median / base.median;
    console.log("\n" + goal("the plugin's start ÷ an empty program's", plugged, 1.5));
    const later = timings["the plugin, VERSION"].median - base.median;
    console.log(
      goal("the plugin starts later than an empty program by", later, PLUGIN_LIMIT, " ms"),
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** An empty program, compiled as ours is but for its size. */
export async function compileEmpty(dir: string): Promise<string> {
  await Deno.writeTextFile(`${dir}/empty.ts`, "export {};\n");
  await runProgram(Deno.execPath(), [
    "compile",
    "--quiet",
    "--no-config",
    "--no-code-cache",
    "--output",
    `${dir}/empty`,
    `${dir}/empty.ts`,
  ]);
  return `${dir}/empty`;
}
