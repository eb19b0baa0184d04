/** Everything about one namespace, and what the checkpoints say about its container. */
import { commentOf } from "../ports/mapping.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import type { Registry } from "../cni/plugin_type.ts";
import type { Layout } from "../containers/layout.ts";
import type { Address, Link, Neighbour, Route, Rule } from "../netlink/mod.ts";
import type { Checkpoint } from "../containers/checkpoint.ts";
import { healthOf } from "./health.ts";
import { readContainer, readContainers } from "../containers/inventory.ts";
import { nftablesElements } from "../packetpath/nftables.ts";
import { readRules } from "../packetpath/read.ts";
import { within } from "../packetpath/walk.ts";
import { findInode } from "../kernel/proc.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { socketOwners } from "../containers/processes.ts";
import { type SocketEntry, sockets } from "../netlink/sockets.ts";
import { requireAlive, type Target } from "../containers/target.ts";
import { troublesOf } from "./troubles.ts";
import { NamespaceView } from "../netlink/view.ts";

/** What `inspect` shows. Links refer to each other, and addresses to links, by index. */
export interface Inspection {
  name: string;
  netns: string;
  pid?: number;
  container?: {
    mode: string;
    keeper: string;
    since?: string;
    hostname?: string;
    health: string;
    attachments: Checkpoint[];
  };
  links: Link[];
  addresses: Address[];
  routes: Route[];
  rules: Rule[];
  neighbours: Neighbour[];
  sockets: (SocketEntry & { process?: { pid: number; name: string } })[];
  /** The container's etc-files as the isolator wrote them; absent without a container. */
  files: { resolvConf?: string; hosts?: string; hostname?: string };
  /**
   * The agent's rules and elements of nftables that send traffic to it; absent when iptables is not
   * installed and nftables has none.
   */
  portRules?: string[];
  /** The agent's rules by which its packets leave with another source, and those before them. */
  sourceRules?: string[];
}

/** @throws {OperatorError} `namespace_gone` */
export async function inspect(
  layout: Layout,
  target: Target,
  plugins: Registry,
): Promise<Inspection> {
  requireAlive(target);
  using view = new NamespaceView(target.netns);
  using host = new NamespaceView();
  const container = target.id && readContainer(layout, target.id);
  const addresses = view.addresses;
  return {
    name: target.name,
    netns: target.netns,
    pid: container ? container.pid : target.pid,
    container: container
      ? {
        mode: container.mode,
        keeper: container.keeper,
        since: container.since?.toISOString(),
        hostname: container.hostname,
        health: healthOf(container, host, await troublesOf(readContainers(layout), plugins)),
        attachments: container.attachments,
      }
      : undefined,
    links: view.links,
    addresses,
    routes: view.routes,
    rules: view.rules,
    neighbours: view.neighbours,
    sockets: ownedSockets(view),
    files: container ? etcFiles(layout, container.netns) : {},
    portRules: await rulesFor(target.id, addresses.map(({ address }) => address)),
    sourceRules: await rulesFrom(addresses.map(({ address }) => address)),
  };
}

function ownedSockets(view: NamespaceView): Inspection["sockets"] {
  const all = sockets(view);
  if (all.length === 0) return all;
  const inode = findInode(view.netns!);
  const owners = socketOwners(ProcessTable.lookNow().inNamespace(inode ?? -1));
  return all.map((one) => ({ ...one, process: owners.get(one.inode) }));
}

/** Where a rule of postrouting leads, and what has no source but is gone to from one that has. */
async function rulesFrom(addresses: readonly string[]): Promise<string[] | undefined> {
  const tables = await Promise.all([readRules("nat"), readRules("nat", "ip6tables")]);
  const found: string[] = [];
  for (const table of tables) {
    const of = (chain: string) => table?.chains.get(chain) ?? [];
    const own = of("POSTROUTING").filter(({ source }) =>
      source !== undefined && !source.not &&
      addresses.some((address) => within(address, source.value))
    );
    found.push(
      ...own.flatMap((rule) => [rule, ...of(rule.target ?? "")]).map(({ text }) => text),
    );
  }
  return tables.some((table) => table) ? found : undefined;
}

function etcFiles(layout: Layout, netns: string): Inspection["files"] {
  const directory = netns.slice(0, netns.lastIndexOf("/"));
  if (!directory.startsWith(layout.containers)) return {};
  const read = (name: string) => readCheckpoint(`${directory}/${name}`);
  return { resolvConf: read("resolv.conf"), hosts: read("hosts"), hostname: read("hostname") };
}

async function rulesFor(
  id: string | undefined,
  addresses: readonly string[],
): Promise<string[] | undefined> {
  const comment = id === undefined ? undefined : commentOf(id);
  const elements = nftablesElements(comment, addresses);
  const tables = await Promise.all([readRules("nat"), readRules("nat", "ip6tables")]);
  if (tables.every((table) => !table)) return elements.length > 0 ? elements : undefined;
  const rules = tables.flatMap((table) => [...table?.chains.values() ?? []].flat()).filter((rule) =>
    rule.toDestination !== undefined &&
    (comment !== undefined && rule.comment === comment ||
      addresses.includes(destinationAddress(rule.toDestination)))
  );
  return [...rules.map(({ text }) => text), ...elements];
}

/** The address of `192.0.2.1:80`, `[2001:db8::1]:80` or either without a port. */
export function destinationAddress(text: string): string {
  return /^\[(.+)\]/.exec(text)?.[1] ?? (text.split(":").length > 2 ? text : text.split(":")[0]!);
}
