/** A network as an agent has it: what it is made of, who is on it, which addresses are left. */
import { plain } from "../base/printable.ts";
import { pluginFile } from "../cni/locate.ts";
import type { Traces } from "../cni/plugin_type.ts";
import { pluginsIn } from "../cni/config.ts";
import { rangesIn } from "../facts/ranges.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { readContainers } from "../containers/inventory.ts";
import { addressTexts } from "../containers/network_address.ts";
import { tried } from "../base/unless.ts";

export type NetworkView = ReturnType<typeof networkView>;

/** @throws {OperatorError} `unknown_network`, or what is wrong with its file */
export function networkView(isolator: Isolator, name: string) {
  const { network, file } = isolator.networks.read(name);
  const plugins = network.plugins.flatMap(({ raw }) => pluginsIn(raw));
  const traces: Traces = {};
  for (const plugin of plugins) {
    Object.assign(traces, isolator.registry.get(String(plugin.type))?.traces?.(plugin, name));
  }
  return {
    name,
    file,
    cniVersion: network.cniVersion,
    /** The types in the order in which they are called, each with those that it calls itself. */
    plugins: plugins.map(({ type }) => ({
      type: String(type),
      implementation: implementationOf(isolator, String(type)),
    })),
    ranges: rangesIn(plugins, traces),
    containers: readContainers(isolator.settings.layout).flatMap(({ id, attachments }) =>
      attachments.filter((one) => one.network === name).map((one) => ({
        id,
        ifName: one.ifName,
        addresses: addressTexts(one),
      }))
    ),
    traces,
  };
}

/** A network for people. */
export function networkText(view: NetworkView, bold: (text: string) => string): string {
  const rows = (what: string, ...values: (string | undefined)[]) =>
    values.flatMap((value) => value === undefined ? [] : [{ what, value }]);
  const containers = view.containers.map(({ id, ifName, addresses }) =>
    `${id} ${ifName} ${addresses.join(" ")}`.trimEnd()
  );
  const lines = [
    ...rows("file", `${view.file} (cniVersion ${view.cniVersion})`),
    ...rows("plugin", ...view.plugins.map((one) => `${one.type} (${one.implementation})`)),
    ...rows(
      "addresses",
      ...view.ranges.map(({ subnet, first, last, used, free }) =>
        `${subnet}: ${first} to ${last}, ${used} in use, ${free} free`
      ),
    ),
    ...rows("bridge", view.traces.bridge),
    ...rows("leases", view.traces.addressStore),
    ...rows("chain", view.traces.natChain),
    ...rows("container", ...containers.length > 0 ? containers : ["none"]),
  ];
  const shown = lines.map(({ what, value }, i) =>
    `${(lines[i - 1]?.what === what ? "" : what).padEnd(10)} ${plain(value)}`
  );
  return [bold(plain(view.name)), ...shown].join("\n");
}

/** The first subnet, for a line in a list. */
export function subnetOf(view: NetworkView): string {
  return [...new Set(view.ranges.map(({ subnet }) => subnet))].join(" ") || "-";
}

/** A program of the plugins' directories is what runs, unless it is this very program. */
function implementationOf(isolator: Isolator, type: string): string {
  const find = () => pluginFile(type, isolator.searchPath(), isolator.registry) ?? "built in";
  return tried(find, "missing");
}
