/** What differs between two runs of a case: names and numbers that are made up do not count. */
import { isObject, type Json, type JsonObject } from "../../lib/base/json.ts";
import type { Twin } from "./case.ts";
import type { Seen } from "./network.ts";

/** Of links and routes: numbers of the kernel's own, and timers. */
const LEFT_OUT = new Set([
  ...["ifindex", "link_netnsid", "link_index", "link_netns", "link", "permaddr", "parentbus"],
  ...["gso_max_size", "gso_max_segs", "tso_max_size", "tso_max_segs", "gro_max_size"],
  ...["gso_ipv4_max_size", "gro_ipv4_max_size", "hello_timer", "tcn_timer", "gc_timer"],
  ...["topology_change_timer", "root_id", "bridge_id", "designated_bridge", "designated_root"],
  ...["hold_timer", "message_age_timer", "forward_delay_timer", "root_path_cost", "id", "no"],
  ...["designated_port", "designated_cost", "topology_change_detected", "topology_change"],
  // Of a wire's host end: 1.9.1 makes it 0 as ours, earlier releases leave the kernel's choice.
  ...[
    "tentative",
    "operstate",
    "state",
    "txqlen",
    "valid_life_time",
    "preferred_life_time",
    "handle",
    "expires",
    "vlan_default_pvid",
  ],
]);
const RANDOM = /\bveth[0-9a-f]{8}\b|\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b|\bfe80::[0-9a-f:]{4,}/g;
/** With ours, a port of a bridge has no IPv6 of its own; with the reference it has, and no use for it. */
const IPV6_OF_A_PORT = new RegExp(
  '^host (?:ipv6/conf/RANDOM/disable_ipv6:|{"dev":"RANDOM","dst":"ff00::/8")',
);
/** What the kernel says of a signal a little later, and of addresses that it makes itself. */
const OF_THE_MOMENT = ["NO-CARRIER", "LOWER_UP", "M-DOWN", "linkdown", "dead"];

/** The lines that differ, as `step N: - …` and `step N: + …`. */
export function differences(
  twin: Twin,
  reference: readonly Seen[],
  ours: readonly Seen[],
): string[] {
  const own = JSON.stringify(twin.steps);
  return reference.flatMap((one, i) => {
    const other = ours[i]!;
    const lines = one.code === other.code ? [] : [`exit ${one.code} | ${other.code}`];
    const [a, b] = [described(one, own), described(other, own)];
    return [
      ...lines,
      ...minus(a, b).map((line) => `- ${line}`),
      ...minus(b, a).map((line) => `+ ${line}`),
    ].map((line) => `step ${i}: ${line}`);
  });
}

function minus(lines: readonly string[], others: readonly string[]): string[] {
  const rest = [...others];
  return lines.filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

function described({ printed, state }: Seen, own: string): string[] {
  const lines: string[] = [];
  let place = "";
  for (const line of state.split("\n")) {
    if (line.startsWith("## ")) place = line.slice(3);
    else lines.push(...flat(line).map((part) => `${place} ${part}`));
  }
  const result = resultLines(printed).map((part) => `result ${part}`);
  // A name for each made-up one, by what else is known of its first line, would be better still;
  // that all are the same word is enough to see one too many or too few.
  return [...result, ...lines].map((line) =>
    line.replaceAll(RANDOM, (text) => own.includes(text) ? text : "RANDOM")
  ).filter((line) => !/^\S+ *$|"dst":"(?:RANDOM|fe80::)"/.test(line) && !IPV6_OF_A_PORT.test(line))
    .sort();
}

function flat(line: string): string[] {
  const value = parse(line);
  if (!value) return [line.replaceAll(/\[\d+:\d+\]|counter packets \d+ bytes \d+/g, "")];
  const all = kept(Array.isArray(value) ? value : [value]) as Json[];
  return all.map((one) => JSON.stringify(one));
}

/** A file's line may begin as a list does. */
function parse(line: string): Json | undefined {
  if (!line.startsWith("[") && !line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/**
 * Without what the kernel makes in its own time: IPv6 addresses of a link and the route to their
 * prefix, which it makes when it has seen the link's signal, and the local routes of IPv6 addresses,
 * which themselves count. Whether a link has IPv6 at all is among the sysctls.
 */
function kept(value: Json): Json {
  if (Array.isArray(value)) {
    return value.filter((one) =>
      !OF_THE_MOMENT.includes(one as string) &&
      !(isObject(one) && one.scope === "link" && one.family === "inet6") &&
      !(isObject(one) && one.dst === "fe80::/64" && one.protocol === "kernel") &&
      !(isObject(one) && one.table === "local" && String(one.dst).includes(":"))
    ).map(kept);
  }
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([key]) => !LEFT_OUT.has(key))
    .map(([key, member]): [string, Json] => [key, kept(member)]);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

/** Of an error its code counts, and that there is a message. */
function resultLines(printed: JsonObject | undefined): string[] {
  if (!printed) return [];
  if (printed.code !== undefined) return [`error ${printed.code} ${typeof printed.msg}`];
  return Object.entries(printed)
    // Before 1.9, an empty dns was printed in 1.0.0 as well; and 1.1.0 was not spoken.
    .filter(([key, value]) =>
      !(key === "dns" && JSON.stringify(value) === "{}") && key !== "supportedVersions" &&
      !(key === "cniVersion" && printed.supportedVersions !== undefined)
    )
    .map(([key, value]) => JSON.stringify({ [key]: kept(value) }));
}
