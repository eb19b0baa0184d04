/** A network as an agent has it: what it is made of, who is on it, which addresses are left. */
import { isObject, type JsonObject } from "../base/json.ts";
import { parseAddress, parsePrefix, showAddress, showNetwork } from "../base/prefix.ts";
import { plain } from "../base/printable.ts";
import { pluginFile } from "../cni/locate.ts";
import type { Traces } from "../cni/plugin_type.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { readContainers } from "../containers/inventory.ts";
import { networkAddresses } from "../containers/network_address.ts";

export interface NetworkView {
  name: string;
  file: string;
  cniVersion: string;
  /** The types in the order in which they are called, each with those that it calls itself. */
  plugins: { type: string; implementation: string }[];
  ranges: RangeView[];
  containers: { id: ContainerId; ifName: string; addresses: string[] }[];
  traces: Traces;
}

/** Addresses that host-local gives out. */
export interface RangeView {
  subnet: string;
  first: string;
  last: string;
  /** How many addresses it can give out; a decimal number, since IPv6 has more than JSON counts. */
  size: string;
  used: number;
  free: string;
}

/** @throws {OperatorError} `unknown_network`, or what is wrong with its file */
export function networkView(isolator: Isolator, name: string): NetworkView {
  const { network, file } = isolator.networks.read(name);
  const plugins = network.plugins.flatMap(({ raw }) => pluginsIn(raw));
  const traces: Traces = {};
  for (const plugin of plugins) {
    Object.assign(traces, isolator.registry.get(String(plugin.type))?.traces?.(plugin, name));
  }
  const leases = traces.addressStore ? leasesIn(traces.addressStore) : [];
  return {
    name,
    file,
    cniVersion: network.cniVersion,
    plugins: plugins.map(({ type }) => ({
      type: String(type),
      implementation: implementationOf(isolator, String(type)),
    })),
    ranges: plugins.filter(({ type }) => type === "host-local")
      .flatMap(rangesOf).flatMap((range) => rangeView(range, leases)),
    containers: readContainers(isolator.settings.layout).flatMap(({ id, attachments }) =>
      attachments.filter((one) => one.network === name).map((one) => ({
        id,
        ifName: one.ifName,
        addresses: networkAddresses(one).map(({ address, prefixLength }) =>
          `${address}/${prefixLength}`
        ),
      }))
    ),
    traces,
  };
}

/** A network for people. */
export function networkText(view: NetworkView, bold: (text: string) => string): string {
  const lines: [string, string][] = [
    ["file", `${plain(view.file)} (cniVersion ${view.cniVersion})`],
    ...view.plugins.map(({ type, implementation }): [string, string] => [
      "plugin",
      `${plain(type)} (${implementation})`,
    ]),
    ...view.ranges.map(({ subnet, first, last, used, free }): [string, string] => [
      "addresses",
      `${subnet}: ${first} to ${last}, ${used} in use, ${free} free`,
    ]),
    ...view.traces.bridge ? [["bridge", plain(view.traces.bridge)] as [string, string]] : [],
    ...view.traces.addressStore
      ? [["leases", plain(view.traces.addressStore)] as [string, string]]
      : [],
    ...view.traces.natChain ? [["chain", plain(view.traces.natChain)] as [string, string]] : [],
    ...view.containers.map(({ id, ifName, addresses }): [string, string] => [
      "container",
      `${id} ${ifName} ${addresses.join(" ")}`.trimEnd(),
    ]),
    ...view.containers.length === 0 ? [["container", "none"] as [string, string]] : [],
  ];
  const shown = lines.map(([what, value], i) =>
    `${(lines[i - 1]?.[0] === what ? "" : what).padEnd(10)} ${value}`
  );
  return [bold(plain(view.name)), ...shown].join("\n");
}

/** The first subnet, for a line in a list. */
export function subnetOf(view: NetworkView): string {
  return [...new Set(view.ranges.map(({ subnet }) => subnet))].join(" ") || "-";
}

/** A plugin's config with those of the plugins that it calls. */
function pluginsIn(plugin: JsonObject): JsonObject[] {
  const { delegate, ipam } = plugin;
  const called = [delegate, ipam].filter(isObject).filter(({ type }) => typeof type === "string");
  return [plugin, ...called.flatMap(pluginsIn)];
}

/** A program of the plugins' directories is what runs, unless it is this very program. */
function implementationOf(isolator: Isolator, type: string): string {
  try {
    return pluginFile(type, isolator.searchPath(), isolator.registry) ?? "built in";
  } catch {
    return "missing";
  }
}

function rangesOf({ subnet, rangeStart, rangeEnd, gateway, ranges }: JsonObject): JsonObject[] {
  const old = typeof subnet === "string" ? [{ subnet, rangeStart, rangeEnd, gateway }] : [];
  const sets = Array.isArray(ranges) ? ranges : [];
  return [
    ...old as JsonObject[],
    ...sets.flatMap((set) => Array.isArray(set) ? set.filter(isObject) : []),
  ];
}

/** What host-local makes of a range: from the first host to the last, but the gateway. */
function rangeView(range: JsonObject, leases: readonly string[]): RangeView[] {
  const subnet = parsePrefix(String(range.subnet));
  if (!subnet) return [];
  const { family } = subnet;
  const given = (key: string) =>
    typeof range[key] === "string" ? parseAddress(range[key])?.value : undefined;
  const first = given("rangeStart") ?? subnet.first + 1n;
  const last = given("rangeEnd") ?? (family === 4 ? subnet.last - 1n : subnet.last);
  const gateway = given("gateway") ?? subnet.first + 1n;
  const size = last - first + 1n - (gateway >= first && gateway <= last ? 1n : 0n);
  const used = leases.filter((lease) => {
    const address = parseAddress(lease);
    return address?.family === family && address.value >= first && address.value <= last;
  }).length;
  return [{
    subnet: showNetwork(subnet),
    first: showAddress({ family, value: first }),
    last: showAddress({ family, value: last }),
    size: String(size),
    used,
    free: String(size - BigInt(used)),
  }];
}

/** host-local keeps a file for each address in use, named after it. */
function leasesIn(store: string): string[] {
  try {
    return [...Deno.readDirSync(store)].map(({ name }) => name)
      .filter((name) => /^[0-9a-f.:]+$/.test(name));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}
