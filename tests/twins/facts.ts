/**
 * What can be said of a network, one field or line at a time: `host link br77 mtu=1500`. Each fact
 * belongs to something (a link, a table, a file) that is there as a whole or not at all.
 */
import { isObject, type Json, type JsonObject } from "../../lib/base/json.ts";
import { readIptables, readNft } from "./rules.ts";
import type { Seen } from "./network.ts";

export interface Fact {
  /** Whose it is, and the beginning of the text: `host link br77`. The fact that it is there is its own. */
  owner: string;
  text: string;
}

/** Of links and routes: numbers of the kernel's own, and timers. */
const LEFT_OUT = new Set([
  ...["ifindex", "link_netnsid", "link_index", "link_netns", "link", "permaddr", "parentbus"],
  ...["gso_max_size", "gso_max_segs", "tso_max_size", "tso_max_segs", "gro_max_size"],
  ...["gso_ipv4_max_size", "gro_ipv4_max_size", "hello_timer", "tcn_timer", "gc_timer"],
  ...["topology_change_timer", "root_id", "bridge_id", "designated_bridge", "designated_root"],
  ...["hold_timer", "message_age_timer", "forward_delay_timer", "root_path_cost", "id", "no"],
  ...["designated_port", "designated_cost", "topology_change_detected", "topology_change"],
  ...["tentative", "operstate", "state", "valid_life_time", "preferred_life_time", "handle"],
  // Of a wire's host end: 1.9.1 makes it 0 as ours, earlier releases leave the kernel's choice.
  ...["expires", "txqlen", "vlan_default_pvid"],
]);
/** What the kernel says of a signal a little later, and of addresses that it makes itself. */
const OF_THE_MOMENT = ["NO-CARRIER", "LOWER_UP", "M-DOWN", "linkdown", "dead"];

/** All facts of what a step came to. */
export function factsOf({ code, printed, state }: Seen): Fact[] {
  const places = state.split(/^## /m).slice(1).map((text): [string, string[]] => {
    const [place, ...lines] = text.split("\n");
    return [place!.replace(/^\/.*\//, ""), lines.filter((line) => line !== "")];
  });
  return [
    { owner: "exit", text: `exit ${code}` },
    ...resultFacts(printed),
    ...places.flatMap(([place, lines]) =>
      place === "files" ? fileFacts(lines) : placeFacts(place, lines)
    ),
  ];
}

/** Of an error its code counts, and that there is a message. */
function resultFacts(printed: JsonObject | undefined): Fact[] {
  if (!printed) return [];
  if (printed.code !== undefined) {
    return [{ owner: "error", text: `error ${printed.code} ${typeof printed.msg}` }];
  }
  const members = Object.entries(printed)
    // Before 1.9, an empty dns was printed in 1.0.0 as well; and 1.1.0 was not spoken.
    .filter(([key, value]) =>
      !(key === "dns" && JSON.stringify(value) === "{}") && key !== "supportedVersions" &&
      !(key === "cniVersion" && printed.supportedVersions !== undefined)
    );
  return whole("result", kept(Object.fromEntries(members)));
}

function placeFacts(place: string, lines: readonly string[]): Fact[] {
  // The lists of rules come last, each after a line with the name of the program that prints it.
  const at = (name: string) => lines.indexOf(name) < 0 ? lines.length : lines.indexOf(name);
  const [v4, v6, nft] = [at("iptables"), at("ip6tables"), at("nft")];
  const iptables = [
    ...readIptables("ip", lines.slice(v4, v6)),
    ...readIptables("ip6", lines.slice(v6, nft)),
  ];
  const facts = lines.slice(0, v4).flatMap((line): Fact[] =>
    line.startsWith("[")
      ? (kept(JSON.parse(line)) as JsonObject[]).flatMap(objectFacts)
      : [sysctlFact(line)]
  );
  // While the kernel removes a link, parts of it may be seen after it.
  const isThere = ({ owner }: Fact) =>
    !owner.startsWith("link ") || facts.some(({ text }) => text === owner);
  return [...facts.filter(isThere), ...iptables, ...readNft(lines.slice(nft), iptables)]
    .map(({ owner, text }) => ({ owner: `${place} ${owner}`, text: `${place} ${text}` }));
}

/** What `ip`, `bridge` and `tc` print of one thing: by its members it is known what it is. */
function objectFacts(one: JsonObject): Fact[] {
  const { ifname, addr_info, dev, ...rest } = one;
  const link = `link ${ifname ?? dev}`;
  const line = (what: string): Fact => ({
    owner: link,
    text: `${link} ${what} ${leaves(rest).join(" ")}`,
  });
  if (addr_info !== undefined) {
    const addresses = (addr_info as JsonObject[]).map((address): Fact => ({
      owner: link,
      text: `${link} address ${leaves(address).join(" ")}`,
    }));
    return [...whole(link, rest), ...addresses];
  }
  if (rest.dst !== undefined) {
    // The kernel makes an IPv6 address, and the route to it, in its own time.
    if (/^(?:fe80::|ff00::)/.test(String(rest.dst)) && rest.dst !== "ff00::/8") return [];
    return [
      dev === undefined ? { owner: "", text: `route ${leaves(rest).join(" ")}` } : line("route"),
    ];
  }
  if (rest.kind !== undefined) return [line("qdisc")];
  if (rest.vlans !== undefined) return [line("vlans")];
  if (ifname !== undefined) {
    return leaves(rest).map((leaf) => ({ owner: link, text: `${link} port ${leaf}` }));
  }
  return [{ owner: "", text: `rule ${leaves(rest).join(" ")}` }];
}

/** `ipv4/conf/eth0/arp_notify:0` is the link's, and goes with it. */
function sysctlFact(line: string): Fact {
  const [, family, name, rest] = /^(ipv\d)\/conf\/(.+)\/(.+)$/.exec(line) ?? [];
  if (name === undefined || name === "all" || name === "default") return { owner: "", text: line };
  const owner = `link ${name}`;
  return { owner, text: `${owner} ${family} ${rest}` };
}

function fileFacts(lines: readonly string[]): Fact[] {
  let owner = "";
  return lines.flatMap((line): Fact[] => {
    if (/^file \/\S+$/.test(line)) {
      owner = line;
      return [{ owner, text: owner }];
    }
    const value = line.startsWith("{") ? parse(line) : undefined;
    const parts = value === undefined ? [line] : leaves(kept(value));
    return parts.map((part) => ({ owner, text: `${owner}: ${part}` }));
  });
}

/** A file's line may begin as an object does. */
function parse(line: string): Json | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function whole(owner: string, value: Json): Fact[] {
  return [
    { owner, text: owner },
    ...leaves(value).map((leaf) => ({ owner, text: `${owner} ${leaf}` })),
  ];
}

/** `ips.0.address=10.1.0.2/24`: every value that has none below it. A list of words is one value. */
function leaves(value: Json, path = ""): string[] {
  const isNested = isObject(value) ||
    Array.isArray(value) && value.some((one) => typeof one === "object");
  if (!isNested) return [`${path}=${Array.isArray(value) ? value.join(",") : value}`];
  return Object.entries(value as JsonObject)
    .flatMap(([key, one]) => leaves(one, path === "" ? key : `${path}.${key}`));
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
