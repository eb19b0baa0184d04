/** Everything that the probes look at, read at most once: the container, its namespace, the agent. */
import { SystemError } from "../kernel/libc.ts";
import type { JsonObject } from "../base/json.ts";
import { OperatorError } from "../base/error.ts";
import type { Layout } from "../containers/layout.ts";
import type { Link } from "../netlink/mod.ts";
import { type ContainerId, rootOf } from "../mesos/container_id.ts";
import type { Checkpoint } from "../containers/checkpoint.ts";
import {
  type Container,
  onceProcesses,
  readContainer,
  readContainers,
} from "../containers/inventory.ts";
import { type NetworkAddress, networkAddresses } from "../containers/network_address.ts";
import type { RuleTable } from "../packetpath/parse.ts";
import { readRules } from "../packetpath/read.ts";
import type { Target } from "../containers/target.ts";
import { hostEnd, NamespaceView } from "../netlink/view.ts";

/** An interface of the container and what belongs to it on the agent. */
export interface Attached {
  ifName: string;
  /** Absent for a namespace that is looked at without a checkpoint. */
  checkpoint?: Checkpoint;
  /** Absent when the interface is gone. */
  link?: Link;
  /** The agent's end of the veth. */
  hostEnd?: Link;
  /** The bridge that the agent's end should be a port of. */
  bridge?: { name: string; link?: Link };
  /** The addresses that the plugin gave it. */
  expected: NetworkAddress[];
  /** Where the agent sees the container's packets arrive: the bridge, or the veth's end. */
  ingress?: Link;
  /** Whether the agent itself is the gateway, and so forwards the container's packets. */
  routedByAgent: boolean;
}

/** The agent's way to other machines. */
export interface Uplink {
  link: Link;
  /** The agent's own address there. */
  agentAddress: string;
  /** An address behind it; nothing is ever sent there. */
  somewhere: string;
}

/** Whether the agent sends packets to an address out by that uplink. */
export function leadsBy(host: NamespaceView, address: string, { link }: Uplink): boolean {
  try {
    const route = host.netlink.routeTo(address);
    return route.link === link.index && route.type === "unicast";
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

/** Bridges that other runtimes make for containers and machines of their own. */
const OTHERS_BRIDGES =
  /^(docker|br-[0-9a-f]{12}|virbr|podman|cni-podman|lxcbr|lxdbr|nerdctl|cni)\d*/;

export class Scene implements Disposable {
  readonly inside: NamespaceView & { netns: string };
  readonly host = new NamespaceView();
  readonly container?: Container;
  readonly processes = onceProcesses();
  #interfaces?: Attached[];
  #containers?: Container[];
  readonly #rules = new Map<string, Promise<RuleTable | undefined>>();

  /** @throws {OperatorError} `host_network` for a container without a network of its own */
  constructor(readonly layout: Layout, readonly target: Target) {
    if (target.id !== undefined) {
      const container = readContainer(layout, target.id, this.processes);
      if (container.mode === "host") {
        throw new OperatorError(
          "host_network",
          `${target.name} uses the agent's own network: there is nothing of its own to diagnose`,
        );
      }
      // A container that shares its root's network has no interfaces of its own.
      this.container = container.mode === "parent"
        ? readContainer(layout, rootOf(target.id), this.processes)
        : container;
    }
    this.inside = new NamespaceView(target.netns) as NamespaceView & { netns: string };
  }

  /** The name for messages. */
  get name(): string {
    return this.target.name;
  }

  get interfaces(): Attached[] {
    return this.#interfaces ??= this.container
      ? this.container.attachments.map((checkpoint) =>
        this.#attached(checkpoint.ifName, checkpoint)
      )
      : this.inside.links.filter(({ kind }) => kind !== "loopback")
        .map(({ name }) => this.#attached(name));
  }

  #attached(ifName: string, checkpoint?: Checkpoint): Attached {
    const link = this.inside.link(ifName);
    const end = link && hostEnd(this.host, this.inside, link);
    const bridgeName = bridgeOf(checkpoint) ?? this.host.linkAt(end?.master)?.name;
    const bridge = bridgeName === undefined
      ? undefined
      : { name: bridgeName, link: this.host.link(bridgeName) };
    const expected = checkpoint ? networkAddresses(checkpoint) : [];
    const gateways = expected.flatMap(({ gateway }) => gateway ?? []);
    return {
      ifName,
      checkpoint,
      link,
      hostEnd: end,
      bridge,
      expected,
      ingress: bridge?.link ?? end,
      routedByAgent: isGateway(checkpoint) ||
        gateways.some((gateway) => this.host.ownerOf(gateway) !== undefined),
    };
  }

  /** All containers of the agent. */
  get containers(): Container[] {
    return this.#containers ??= readContainers(this.layout, this.processes);
  }

  /** The other container that was given this address, if one was. */
  ownerOf(address: string): Container | undefined {
    return this.containers.find((other) =>
      other.id !== this.container?.id &&
      other.attachments.some((checkpoint) =>
        networkAddresses(checkpoint).some((one) => one.address === address)
      )
    );
  }

  /** Whose interface has a hardware address: a container's, or the agent's (no `container`). */
  ownerOfMac(mac: string): { link: string; container?: ContainerId } | undefined {
    const link = this.host.links.find((one) => one.mac === mac);
    if (link) return { link: link.name };
    for (const { id, netns, mode, namespaceAlive } of this.containers) {
      if (mode !== "own" || !namespaceAlive) continue;
      using view = new NamespaceView(netns);
      const found = view.links.find((one) => one.mac === mac);
      if (found) return { link: found.name, container: id };
    }
    return undefined;
  }

  /** A table of the agent's rules; undefined when iptables is not installed. */
  rules(table: "filter" | "nat", family: 4 | 6): Promise<RuleTable | undefined> {
    const key = `${table}${family}`;
    let rules = this.#rules.get(key);
    if (!rules) {
      rules = readRules(table, family === 4 ? "iptables" : "ip6tables");
      this.#rules.set(key, rules);
    }
    return rules;
  }

  /** Whether a port mapper's rules are also for IPv6: the original's, and others', may not be. */
  async mapsPorts6(mapper: JsonObject): Promise<boolean> {
    if (mapper.type !== "mesos-cni-port-mapper") return false;
    if (mapper.backend === "nftables") return true;
    const nat = await this.rules("nat", 6);
    return typeof mapper.chain === "string" && nat?.chains.has(mapper.chain) === true;
  }

  /** The agent's way out: its default route's, else any network that is no container's. */
  uplink(family: 4 | 6): Uplink | undefined {
    const name = family === 4 ? "inet" : "inet6";
    const own = new Set(this.interfaces.map(({ ingress }) => ingress?.index));
    const bridges = new Set(
      this.containers.flatMap(({ attachments }) => attachments.map(bridgeOf)),
    );
    const candidates = this.host.routes.filter((route) =>
      route.family === name && route.table === "main" && route.type === "unicast" &&
      route.link !== undefined && !own.has(route.link)
    ).flatMap((route) => {
      const link = this.host.linkAt(route.link);
      const address = link &&
        this.host.addressesOf(link).find((one) => one.family === name && one.scope === "global");
      if (!address || bridges.has(link.name) || link.kind === "loopback") return [];
      const isDefault = route.destination === "default";
      // A veth into another namespace is more likely a container's than a way out.
      if (!isDefault && link.peerNamespaceId !== undefined) return [];
      return [{
        score: (isDefault ? 32 : 0) + (link.carrier ? 16 : 0) +
          (OTHERS_BRIDGES.test(link.name) ? 0 : 8) + (this.#hasNeighbours(link) ? 4 : 0) +
          (link.kind === "bridge" ? 0 : 2) - Math.min(1, (route.metric ?? 0) / 1e6),
        link,
        address,
        somewhere: route.gateway ?? neighbourOf(address.address),
      }];
    });
    const best = candidates.toSorted((a, b) => b.score - a.score)[0];
    return best &&
      { link: best.link, agentAddress: best.address.address, somewhere: best.somewhere };
  }

  /** Whether anybody on a link has answered lately. */
  #hasNeighbours({ index }: Link): boolean {
    return this.host.neighbours.some(({ link, mac, state }) =>
      link === index && mac !== undefined && state !== "NOARP" && state !== "FAILED"
    );
  }

  [Symbol.dispose](): void {
    this.inside[Symbol.dispose]();
    this.host[Symbol.dispose]();
  }
}

/** The plugin of a chain that is of one of these types. */
export function pluginOf(
  checkpoint: Checkpoint | undefined,
  ...types: string[]
): JsonObject | undefined {
  return checkpoint?.plugins.find(({ type }) => types.includes(String(type)));
}

function bridgeOf(checkpoint: Checkpoint | undefined): string | undefined {
  const plugin = pluginOf(checkpoint, "bridge");
  // The bridge plugin's own default.
  return plugin && (typeof plugin.bridge === "string" ? plugin.bridge : "cni0");
}

function isGateway(checkpoint: Checkpoint | undefined): boolean {
  const bridge = pluginOf(checkpoint, "bridge");
  return bridge?.isGateway === true || bridge?.isDefaultGateway === true ||
    pluginOf(checkpoint, "ptp") !== undefined;
}

/** Another address beside one: a bit turned over, but never the network's own. */
function neighbourOf(address: string): string {
  const separator = address.includes(":") ? ":" : ".";
  const at = address.lastIndexOf(separator) + 1;
  const last = parseInt(address.slice(at) || "0", separator === ":" ? 16 : 10);
  const other = last === 1 ? 3 : last ^ 1;
  return address.slice(0, at) + other.toString(separator === ":" ? 16 : 10);
}
