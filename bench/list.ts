/**
 * The list that podman and nerdctl make (bridge, portmap, firewall, tuning), each plugin a program that is
 * started for ADD and for DEL: Go's, and ours as `install` lays them, by turns; beside an empty program,
 * which is what the runtime takes of each.
 *
 * `./dev bench list [ROUNDS]`
 */
import type { JsonObject } from "../lib/base/json.ts";
import type { CniCommand } from "../lib/cni/invocation.ts";
import { GO_PLUGINS } from "./attach/go.ts";
import { layPlugins, OWN_PLUGINS } from "./attach/ours.ts";
import { bridgeConfig, environment, mappings } from "./attach/peer.ts";
import { compileLeast } from "./startup.ts";
import { floor, goal, row, runProgram, timeByTurns, type Timing } from "./timing.ts";

const ROUNDS = 21;
const TYPES = ["bridge", "portmap", "firewall", "tuning"] as const;
/** Each as a program takes at most so many ms more than an empty one. */
const LATER_MS = 18;
const NETS = { "Go's": 60, ours: 61 };
const EMPTY = "an empty compiled program";

export async function run([rounds]: string[]): Promise<void> {
  await runProgram("sh", ["-ec", "ip link set lo up; mkdir -p /run/netns; ip netns add bench"]);
  await layPlugins();
  const empty = await compileLeast("empty");
  const timings: Record<string, Timing> = await timeByTurns({
    [EMPTY]: () => runProgram(empty),
    ...calls("Go's", GO_PLUGINS),
    ...calls("ours", OWN_PLUGINS),
  }, Number(rounds ?? ROUNDS));
  const base = timings[EMPTY]!;
  const of = (whose: keyof typeof NETS, command: CniCommand, type: string) =>
    timings[`${whose} ${command} ${type}`]!;
  const shown = ({ median, cpu }: Timing) => `${median.toFixed(1)} ms, CPU ${cpu!.toFixed(1)}`;
  console.log(row("median", "Go's", "ours", "more than an empty program"));
  console.log(row("---", "--:", "--:", "--:"));
  console.log(row(EMPTY, "", shown(base), ""));
  for (const command of ["ADD", "DEL"] as const) {
    for (const type of TYPES) {
      const [theirs, ours] = [of("Go's", command, type), of("ours", command, type)];
      const more = `${(ours.median - base.median).toFixed(1)} ms, ` +
        `CPU ${(ours.cpu! - base.cpu!).toFixed(1)}`;
      console.log(row(`${command} ${type}`, shown(theirs), shown(ours), more));
    }
  }
  console.log("");
  for (const command of ["ADD", "DEL"] as const) {
    const sum = (whose: keyof typeof NETS) =>
      TYPES.reduce((all, type) => all + of(whose, command, type).median, 0);
    const what = `${command} of the list as programs, beside Go's`;
    console.log(goal(what, sum("ours") / sum("Go's"), 1.1));
    const starts = TYPES.length * base.median;
    console.log(floor(what, starts / sum("Go's"), `${TYPES.length} empty starts alone`));
  }
  for (const type of TYPES) {
    const more = of("ours", "ADD", type).median - base.median;
    console.log(goal(`ADD of ${type}, later than an empty program`, more, LATER_MS, " ms"));
  }
}

/** Both commands of each, in the order in which a runtime calls them. */
function calls(
  whose: keyof typeof NETS,
  plugins: string,
): Record<string, () => Promise<unknown>> {
  const name = whose === "ours" ? "list-ours" : "list-go";
  const net = NETS[whose];
  const configs: Record<typeof TYPES[number], JsonObject> = {
    bridge: bridgeConfig(name, net, "iptables"),
    portmap: {
      backend: "iptables",
      runtimeConfig: {
        portMappings: mappings(2_000 + 10 * net).map((one) => ({ ...one, protocol: "tcp" })),
      },
    },
    firewall: {},
    tuning: {},
  };
  let prevResult: JsonObject | undefined;
  const call = async (command: CniCommand, type: typeof TYPES[number]) => {
    const config = { cniVersion: "1.0.0", name, ...configs[type], type };
    const said = await runProgram(`${plugins}/${type}`, [], {
      clearEnv: true,
      env: environment(command, name, plugins),
      stdin: JSON.stringify(
        command === "ADD" && type === "bridge" ? config : { ...config, prevResult },
      ),
    });
    if (command === "ADD") prevResult = JSON.parse(said);
  };
  return Object.fromEntries([
    ...TYPES.map((type) => ["ADD", type] as const),
    ...TYPES.toReversed().map((type) => ["DEL", type] as const),
  ].map(([command, type]) => [`${whose} ${command} ${type}`, () => call(command, type)]));
}
