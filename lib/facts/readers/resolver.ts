/** How the container resolves names: its resolv.conf and hosts, as its programs see them (resolv.conf(5)). */
import { isAddress } from "../../base/ip.ts";
import { readCheckpoint } from "../../kernel/atomic_file.ts";
import { cause, hint } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import type { Scene } from "../scene.ts";
import { isWithoutServer, madeFor, nameservers } from "./files.ts";

/** Of each file no more is read; of hosts, no more lines. */
export const MOST_BYTES = 64 << 10;
export const MOST_HOSTS = 200;

/** What is wrong with resolv.conf and nsswitch.conf, whoever is asked. */
export function readResolver(scene: Scene): Look {
  if (scene.interfaces.every(({ link }) => !link)) return nothing("it has no interface");
  const { servers, file, lookups } = resolverOf(scene, "");
  const about = { container: scene.name, file };
  const reason = ["dns", "container"] as const;
  const isMeantOutside = scene.interfaces.some(({ checkpoint }) =>
    (checkpoint?.result?.routes.length ?? 0) > 0
  );
  const without = lookups?.some((one) => one === "dns" || one === "resolve") ? undefined : lookups;
  return saw(`${file}: ${servers.join(", ") || "no server"}`, [
    ...servers.length === 0 && isMeantOutside && !without && !isWithoutServer(scene)
      ? [cause("no_nameserver", reason, about, [`${file} has no line "nameserver"`])]
      : [],
    ...servers.filter((one) => !isAddress(one.split("%")[0]!)).map((server) =>
      cause("bad_nameserver", reason, { ...about, value: JSON.stringify(server) }, [
        `${file}: nameserver ${server}`,
      ])
    ),
    // Where no server is named either, it is meant so.
    ...without
      ? [(servers.length === 0 ? hint : cause)("no_dns_lookup", reason, about, [
        `/etc/nsswitch.conf: hosts: ${without.join(" ")}`,
      ])]
      : [],
  ]);
}

export interface Resolver {
  servers: string[];
  search: string[];
  /** With fewer dots than this, a name is tried with each search domain first. */
  ndots: number;
  /** Seconds that a server is waited for. */
  timeout: number;
  /** How often each server is asked. */
  attempts: number;
  /** What `hosts` of nsswitch.conf says, where there is one. */
  lookups?: string[];
  /** Where that stands. */
  file: string;
  /** Whether servers are asked by TCP alone. */
  useTcp: boolean;
  hosts: { address: string; names: string[] }[];
}

/** @param hosts is read unless it is given: who asks for the servers alone needs none */
export function resolverOf(scene: Scene, hosts = seen(scene, "hosts").text): Resolver {
  const { text, file } = seen(scene, "resolv.conf");
  return { ...parseResolver(text, seen(scene, "nsswitch.conf").text, hosts), file };
}

/** Reads the three files, which are as the container wants them. */
export function parseResolver(
  text: string,
  nsswitch: string,
  hosts: string,
): Omit<Resolver, "file"> {
  const lines = text.split("\n").map((line) => line.trim().split(/\s+/));
  const last = (keyword: string) => lines.filter(([first]) => first === keyword).at(-1)?.slice(1);
  const options = lines.filter(([first]) => first === "options").flat();
  const number = (name: string, fallback: number) => {
    const value = options.find((one) => one.startsWith(`${name}:`))?.slice(name.length + 1);
    return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : fallback;
  };
  return {
    servers: nameservers(text),
    search: last("search") ?? last("domain") ?? [],
    ndots: number("ndots", 1),
    timeout: number("timeout", 5),
    attempts: number("attempts", 2),
    useTcp: options.includes("use-vc"),
    lookups: /^hosts:\s*(.*)$/m.exec(nsswitch)?.[1]?.replace(/\[[^\][]*\]/g, "")
      .split(/\s+/).filter((one) => one !== ""),
    hosts: hosts.split("\n").flatMap((line) => {
      const [address, ...names] = line.replace(/#.*/, "").trim().split(/\s+/);
      return address && names.length > 0 ? [{ address, names }] : [];
    }).slice(0, MOST_HOSTS),
  };
}

/** The file as a process of the container sees it, else as the isolator made it. */
function seen(scene: Scene, name: string): { text: string; file: string } {
  const own = madeFor(scene, name);
  // Not every image has one.
  const text = scene.etc(name);
  if (text !== undefined) return { text, file: `/proc/${scene.container!.pid}/root/etc/${name}` };
  // Where no network names a server, the container is given the agent's own file.
  const made = own &&
    (readCheckpoint(own) ??
      (name === "resolv.conf" ? readCheckpoint("/etc/resolv.conf") : undefined));
  return { text: (made ?? "").slice(0, MOST_BYTES), file: own ?? `/etc/${name}` };
}
