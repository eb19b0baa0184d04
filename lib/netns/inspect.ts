/** Everything about one namespace, and what the checkpoints say about its container. */
import { readCheckpoint } from "../kernel/atomic_file.ts";
import type { Layout } from "../containers/layout.ts";
import { type Container, readContainer } from "../containers/inventory.ts";
import type { Agent } from "../facts/agent.ts";
import { healthOf } from "../facts/facts.ts";
import { tablePorts } from "../firewall/led_ports.ts";
import { type Named, namedIn, names } from "../firewall/owner.ts";
import { type FoundRule, jumpOf, ruleLine } from "../firewall/rule.ts";
import type { FirewallView } from "../firewall/view.ts";
import { OperatorError } from "../base/error.ts";
import { rootOf } from "../mesos/container_id.ts";
import { FAMILIES, within } from "../base/ip.ts";
import { findInode } from "../kernel/proc.ts";
import { socketOwners } from "../containers/processes.ts";
import { sockets } from "../netlink/sockets.ts";
import { requireAlive, type Target } from "../containers/target.ts";
import { told } from "./list.ts";
import { NamespaceView } from "../netlink/view.ts";

/** What `inspect` shows. Links refer to each other, and addresses to links, by index. */
export type Inspection = Awaited<ReturnType<typeof inspect>>;

/** @throws {OperatorError} `namespace_gone` */
export async function inspect(agent: Agent, target: Target) {
  requireAlive(target);
  const { layout } = agent.sources;
  using view = new NamespaceView(target.netns);
  const container = target.id && readContainer(layout, target.id, agent.sight);
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
        ...told(await healthOf(agent, container)),
        attachments: container.attachments,
      }
      : undefined,
    links: view.links,
    addresses,
    routes: view.routes,
    rules: view.rules,
    neighbours: view.neighbours,
    sockets: ownedSockets(view, agent),
    /** The container's etc-files as the isolator wrote them; absent without a container. */
    files: container ? etcFiles(layout, container) : {},
    ...await hostRules(agent, target.id, addresses.map(({ address }) => address)),
  };
}

/** Who may not read rules, or has no program for them, is not told of them. */
async function hostRules(agent: Agent, id: string | undefined, addresses: readonly string[]) {
  try {
    const views = await agent.rules.every();
    return {
      /** The agent's rules and elements of nftables that send traffic to it. */
      portRules: rulesFor(views, id, addresses),
      /** Those by which its packets leave with another source, and those before them. */
      sourceRules: rulesFrom(views, addresses),
    };
  } catch (error) {
    if (error instanceof OperatorError) return {};
    throw error;
  }
}

function ownedSockets(view: NamespaceView, agent: Agent) {
  const all = sockets(view);
  if (all.length === 0) return [];
  const among = agent.sight.processes.inNamespace(findInode(view.netns!) ?? -1);
  const owners = socketOwners(all.map(({ inode }) => inode), among);
  return all.map((one) => ({ ...one, process: owners.get(one.inode) }));
}

function etcFiles(layout: Layout, { id, mode }: Container) {
  if (mode === "host") return {};
  const directory = layout.container(mode === "parent" ? rootOf(id) : id);
  const read = (name: string) => readCheckpoint(`${directory}/${name}`);
  return { resolvConf: read("resolv.conf"), hosts: read("hosts"), hostname: read("hostname") };
}

/** Rules by which a container's packets leave with another source, and those that they lead to. */
function rulesFrom(views: readonly FirewallView[], addresses: readonly string[]): string[] {
  const all = natRules(views, "POSTROUTING");
  const own = all.filter(({ source }) =>
    source && !source.not &&
    addresses.some((address) => within(address, `${source.address}/${source.prefixLength}`))
  );
  const called = own.flatMap((rule) => jumpOf(rule) ?? []);
  return all.filter((rule) => own.includes(rule) || called.includes(rule.chain)).map(ruleLine);
}

/** Rules and elements that lead to a container. */
function rulesFor(
  views: readonly FirewallView[],
  id: string | undefined,
  addresses: readonly string[],
): string[] {
  const isFor = (owner: Named | undefined, to: string) =>
    owner !== undefined && id !== undefined && names(owner, id) || addresses.includes(to);
  const leads = ({ comment, target }: FoundRule) =>
    target !== undefined && "dnat" in target && isFor(namedIn(comment), target.dnat.address);
  return [
    ...natRules(views, "PREROUTING", "OUTPUT").filter(leads).map(ruleLine),
    ...tablePorts().filter(({ owner, to }) => isFor(owner, to.address)).map(({ rule }) => rule),
  ];
}

/** The nat rules of the host, with those of the chains that the built-in ones lead to. */
function natRules(views: readonly FirewallView[], ...chains: string[]): FoundRule[] {
  return views.flatMap((view) =>
    FAMILIES.flatMap((family) => {
      const entered = new Set<string>();
      const walk = (chain: string): FoundRule[] => {
        if (entered.has(chain)) return [];
        entered.add(chain);
        return view.rules({ family, table: "nat", chain }).flatMap((rule) => {
          const to = jumpOf(rule);
          return [rule, ...to === undefined ? [] : walk(to)];
        });
      };
      return chains.flatMap(walk);
    })
  );
}
