/** The networks that containers can join. */
import { askNetworks } from "../isolator/gc/plugins.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Command, JSON_FLAG } from "./command.ts";
import { SETTINGS_FILE } from "./found_values.ts";
import { isolatorOf } from "./isolator_of.ts";
import { requireDirectories } from "./netns_target.ts";
import { print, printError, printJson } from "./output.ts";
import { OperatorError } from "../base/error.ts";
import { plainLine } from "../base/printable.ts";
import { configureLog } from "../base/log.ts";

export const networks: Command = {
  name: "isolator networks",
  flags: [...NETWORK_FLAGS, JSON_FLAG],
  examples: [[
    "mesos-cni networks",
    "a line for each network, then what is wrong with the other files",
  ]],
  notes:
    `The plugins of a network of version 1.1.0 are asked whether they would take a container (STATUS).
Exit code 1 if one would not, if a file is skipped, or if no directory of configs is known.`,
  async run(call) {
    const { networkView, subnetOf } = await import("../netns/network.ts");
    // The files that are skipped are listed below: said once is enough.
    if (call.given("log-level") === undefined) configureLog({ level: "error" });
    requireDirectories(call, ["network_cni_config_dir", "network_cni_plugins_dir"]);
    const isolator = isolatorOf(call);
    const catalog = isolator.networks;
    const views = catalog.names().map((name) => networkView(isolator, name));
    const answers = new Map((await askNetworks(isolator)).map((one) => [one.network, one]));
    const unready = [...answers.values()].filter(({ error }) => error !== undefined);
    const isConfigured = isolator.settings.cni !== undefined;
    if (call.has("json")) {
      printJson({
        networks: views.map((view) => ({
          name: view.name,
          file: view.file,
          type: view.plugins[0]!.type,
          plugins: view.plugins,
          subnets: [...new Set(view.ranges.map(({ subnet }) => subnet))],
          containers: view.containers.length,
          ...readiness(answers.get(view.name)),
        })),
        skipped: catalog.skipped,
      });
      return isConfigured && catalog.skipped.length + unready.length === 0 ? 0 : 1;
    }
    if (!isConfigured) {
      printError("isolator networks", noConfigDir().message);
      return 1;
    }
    if (views.length > 0) {
      const { table } = await import("../netns/table.ts");
      print(table(
        ["NAME", "TYPE", "SUBNET", "CONTAINERS", "PLUGINS", "FILE"],
        views.map((view) => [
          view.name,
          view.plugins.map(({ type }) => type).filter((type) => type !== "host-local").join("+"),
          subnetOf(view),
          String(view.containers.length),
          programsOf(view.plugins),
          view.file,
        ]),
      ));
    } else {
      print(`no network is defined in ${plainLine(isolator.settings.cni!.configDir)}`);
    }
    for (const { network, error } of unready) print(`not ready ${network}: ${plainLine(error!)}`);
    for (const { file, reason } of catalog.skipped) {
      print(`skipped ${plainLine(file)}: ${plainLine(reason)}`);
    }
    return catalog.skipped.length + unready.length > 0 ? 1 : 0;
  },
};

/** Which programs the plugins are: directories, or this one. */
function programsOf(plugins: readonly { type: string; implementation: string }[]): string {
  const places = plugins.map(({ implementation }) =>
    implementation.startsWith("/")
      ? implementation.slice(0, implementation.lastIndexOf("/"))
      : implementation
  );
  return [...new Set(places)].join(", ");
}

function readiness(answer: { asked: boolean; error?: string } | undefined) {
  if (!answer?.asked) return {};
  const { error } = answer;
  return error === undefined ? { ready: true } : { ready: false, error };
}

/** Without a directory of configs, no network can be known. */
export function noConfigDir(): OperatorError {
  return new OperatorError(
    "bad_settings",
    `no directory of network configs is known: give --network_cni_config_dir=DIR, or ` +
      `name it in ${SETTINGS_FILE}`,
  );
}
