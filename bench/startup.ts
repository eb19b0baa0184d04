/** How much later than an empty compiled program each mode starts; and what a launcher needs no start for. */
import { basename, dirname, fromFileUrl } from "@std/path";
import { launcherBytes, launcherOf } from "../lib/cni/launcher.ts";
import { REGISTRY } from "../plugins/registry.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../tests/harness/binary.ts";
import { floor, goal, row, runProgram, shown, timeByTurns } from "./timing.ts";

const ROUNDS = 31;
const LEAST = "the least program of this runtime that reads its config and answers";
/** In plugin mode, at most this many ms later than an empty program. */
const PLUGIN_LIMIT = 2;

export async function run(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-bench-" });
  try {
    const empty = await compileLeast("empty");
    const least = await compileLeast("version");
    const plugin = `${dir}/mesos-cni-port-mapper`;
    await Deno.symlink(MESOS_CNI, plugin);
    const launcher = `${dir}/bridge`;
    const bytes = launcherBytes(launcherOf(REGISTRY.get("bridge")!, MESOS_CNI));
    await Deno.writeFile(launcher, bytes, { mode: 0o755 });
    const asked = {
      clearEnv: true,
      env: { CNI_COMMAND: "VERSION" },
      stdin: '{"cniVersion":"1.0.0"}',
    };
    await Deno.writeTextFile(`${dir}/empty.js`, "");
    const words = ["run", "--quiet", "--no-config", "--no-lock", `${dir}/empty.js`];
    // Where both are, what a release of the newer one spares shows in the plain programs.
    const plain = runtimes().map((file) =>
      [`an empty script, by ${basename(file)}`, () => runProgram(file, words)] as const
    );
    const timings = await timeByTurns({
      "an empty compiled program": () => runProgram(empty),
      [LEAST]: () => runProgram(least, [], asked),
      ...Object.fromEntries(plain),
      "the plugin, VERSION": () => runProgram(plugin, [], asked),
      "a launcher, VERSION": () => runProgram(launcher, [], asked),
      "Go's bridge, VERSION": () => runProgram(`${CNI_PLUGINS}/bridge`, [], asked),
      "mesos-cni version": () => runProgram(MESOS_CNI, ["version"]),
      "mesos-cni --help": () => runProgram(MESOS_CNI, ["--help"]),
    }, ROUNDS);
    const base = timings["an empty compiled program"];
    console.log(row("start-up", "median (min … max)", "of empty", "CPU, ms"));
    console.log(row("---", "---", "---", "--:"));
    for (const [name, timing] of Object.entries(timings)) {
      const ratio = `${(timing.median / base.median).toFixed(2)} ×`;
      console.log(row(name, shown(timing), ratio, timing.cpu!.toFixed(1)));
    }
    const plugged = timings["the plugin, VERSION"].median / base.median;
    console.log("\n" + goal("the plugin's start ÷ an empty program's", plugged, 1.5));
    const later = timings["the plugin, VERSION"].median - base.median;
    const what = "the plugin starts later than an empty program by";
    console.log(goal(what, later, PLUGIN_LIMIT, " ms"));
    console.log(floor(what, timings[LEAST]!.median - base.median, LEAST, " ms"));
    const launched = timings["a launcher, VERSION"].median /
      timings["Go's bridge, VERSION"].median;
    console.log(goal("VERSION by a launcher, beside Go's bridge", launched, 1));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** The runtimes that `./dev` has fetched: what it compiles with, and the release's. */
function runtimes(): string[] {
  const tools = fromFileUrl(new URL("../.tools", import.meta.url));
  return [...Deno.readDirSync(tools)].map(({ name }) => `${tools}/${name}`)
    .filter((file) => /\/deno-[\d.]+$/.test(file)).sort();
}

/** What the runtime takes of every start, or a program of the folder `least` that does next to nothing more. */
export type Least = "empty" | "version" | "exec" | "list";

/** A program compiled as ours is but for its size, on the same file system. */
export async function compileLeast(name: Least): Promise<string> {
  const file = `${dirname(MESOS_CNI)}/${name}`;
  await runProgram(Deno.execPath(), [
    ...["compile", "--quiet", "--no-config", "--no-check", "--no-code-cache", "--allow-all"],
    ...["--output", file, fromFileUrl(new URL(`least/${name}.ts`, import.meta.url))],
  ]);
  return file;
}
