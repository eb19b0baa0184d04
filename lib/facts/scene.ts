/** A container, its namespace and the agent's side of it: what readers look at. */
import { OperatorError } from "../base/error.ts";
import type { JsonObject } from "../base/json.ts";
import type { Checkpoint } from "../containers/checkpoint.ts";
import { type Container, readContainer } from "../containers/inventory.ts";
import { type NetworkAddress, networkAddresses } from "../containers/network_address.ts";
import type { Target } from "../containers/target.ts";
import { type User, userOf } from "../kernel/privileges.ts";
import { findInode } from "../kernel/proc.ts";
import { readInRoot } from "../kernel/other_root.ts";
import { unlessRefused } from "../base/unless.ts";
import { rootOf } from "../mesos/container_id.ts";
import type { Link } from "../netlink/mod.ts";
import { hostEnd } from "../netlink/host_end.ts";
import { type Forwarded, NamespaceView, type Space } from "../netlink/view.ts";
import type { Agent } from "./agent.ts";

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

/** Who sends what a container sends. */
export interface Task {
  netns: string;
  /** Absent where it is root. */
  user?: User;
}

export class Scene implements Disposable {
  #interfaces?: Attached[];
  #task?: Task;
  readonly #etc = new Map<string, string | undefined>();
  readonly #waysIn = new Map<4 | 6, Uplink[]>();

  /** @param name for messages */
  constructor(
    readonly name: string,
    readonly inside: Space & { netns: string },
    readonly agent: Omit<Agent, typeof Symbol.dispose>,
    readonly container?: Container,
  ) {}

  /** @throws {OperatorError} `host_network` for a container without a network of its own */
  static of(agent: Agent, target: Target): Scene {
    const { sight, sources: { layout } } = agent;
    let container;
    if (target.id !== undefined) {
      container = readContainer(layout, target.id, sight);
      if (container.mode === "host") {
        throw new OperatorError(
          "host_network",
          `${target.name} uses the agent's own network: there is nothing of its own to diagnose`,
        );
      }
      // A container that shares its root's network has no interfaces of its own.
      if (container.mode === "parent") {
        container = readContainer(layout, rootOf(target.id), sight);
      }
    }
    return Scene.in(agent, target, container);
  }

  /** @param container what was just read of it */
  static in(agent: Agent, { name, netns }: Target, container?: Container): Scene {
    const inside = new NamespaceView(netns) as NamespaceView & { netns: string };
    return new Scene(name, inside, agent, container);
  }

  /** A file of /etc as the container's first process sees it; undefined where that has none. */
  etc(name: string): string | undefined {
    const { pid, processAlive } = this.container ?? {};
    if (!processAlive || pid === undefined) return undefined;
    if (!this.#etc.has(name)) this.#etc.set(name, seenBy(pid, name));
    return this.#etc.get(name);
  }

  /** From where, and as whom, its task sends: as the first of its processes that is not root's. */
  get task(): Task {
    return this.#task ??= { netns: this.inside.netns, user: this.#user() };
  }

  /** The processes in its network, the lowest id first. */
  get processes(): readonly number[] {
    const inode = this.container?.inode ?? findInode(this.inside.netns);
    return inode === undefined ? [] : this.agent.sight.processes.inNamespace(inode);
  }

  #user(): User | undefined {
    for (const pid of this.processes) {
      const user = userOf(pid);
      if (user && user.uid !== 0) return user;
    }
    return undefined;
  }

  get host(): Space {
    return this.agent.host;
  }

  get interfaces(): Attached[] {
    return this.#interfaces ??= this.container
      ? this.container.attachments.map((one) => this.#attached(one.ifName, one))
      : this.inside.links.filter(({ kind }) => kind !== "loopback")
        .map(({ name }) => this.#attached(name));
  }

  #attached(ifName: string, checkpoint?: Checkpoint): Attached {
    const link = this.inside.link(ifName);
    const end = link && hostEnd(this.host, this.inside.netns, link);
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

  /** The interface that has an address of a family. */
  attachedOf(family: 4 | 6): Attached | undefined {
    return this.interfaces.find((one) => one.link !== undefined && givenTo(one, family));
  }

  /** As what the agent gets what the container sends by a link of its, else by its first, where it forwards it. */
  forwardedOf(family: 4 | 6, by?: Link): Forwarded | undefined {
    const attached = this.interfaces.find(({ link }) => link && link === by) ??
      this.attachedOf(family);
    const given = attached && givenTo(attached, family);
    return given && attached.ingress &&
      { source: given.address, inputLink: attached.ingress.index };
  }

  /** The addresses of a family that the container was given. */
  givenOf(family: 4 | 6): string[] {
    return this.interfaces.flatMap(({ expected }) => expected).filter((one) =>
      one.family === family
    ).map(({ address }) => address);
  }

  /** The other container that was given this address, if one was. */
  ownerOf(address: string): Container | undefined {
    return this.agent.holdersOf(address).find(({ id }) => id !== this.container?.id);
  }

  /** Where a link of the agent is, as this container sees it. */
  placeOf(device: string): "host-veth" | "bridge" | "container" | "uplink" | "agent" {
    for (const { ifName, hostEnd, bridge } of this.interfaces) {
      if (hostEnd?.name === device) return "host-veth";
      if (bridge?.name === device) return "bridge";
      if (ifName === device) return this.host.link(device) ? "uplink" : "container";
    }
    return [...this.waysIn(4), ...this.waysIn(6)].some(({ link }) => link.name === device)
      ? "uplink"
      : "agent";
  }

  /** The agent's way out: its default route's, else any network that is no container's. */
  uplink(family: 4 | 6): Uplink | undefined {
    return this.waysIn(family)[0];
  }

  /** The links by which others can come, and the way out is the first of them. */
  waysIn(family: 4 | 6): readonly Uplink[] {
    if (!this.#waysIn.has(family)) {
      const own = this.interfaces.flatMap(({ ingress }) => ingress?.index ?? []);
      this.#waysIn.set(family, uplinksOf(this.host, family, this.agent.containers, own));
    }
    return this.#waysIn.get(family)!;
  }

  /** Whether an address is none of the agent's, and none of its containers'. */
  isStranger(address: string): boolean {
    return this.host.ownerOf(address) === undefined && this.agent.holdersOf(address).length === 0;
  }

  /** Who is known on a link of the agent: a container whose veth was once there is no stranger. */
  strangersOn(link: Link, family: 4 | 6): string[] {
    return this.host.knownOn(link).map(({ address }) => address).filter((one) =>
      one.includes(":") === (family === 6) && !NOBODY.test(one) && this.isStranger(one)
    );
  }

  [Symbol.dispose](): void {
    if (this.inside instanceof NamespaceView) this.inside[Symbol.dispose]();
  }
}

const MOST_BYTES = 64 << 10;
/** Addresses of a link alone, and of groups. */
const NOBODY = /^(fe80:|ff|2(2[4-9]|3\d)\.|255\.)/;

/** A file of /etc as a process sees it; undefined where it has none. */
export function seenBy(pid: number, name: string): string | undefined {
  const read = () => readInRoot(`/proc/${pid}/root`, `etc/${name}`, MOST_BYTES);
  return unlessRefused(read)?.slice(0, MOST_BYTES);
}

/** The address of a family that the plugin gave an interface. */
export function givenTo({ expected }: Attached, family: 4 | 6): NetworkAddress | undefined {
  return expected.find((one) => one.family === family);
}

/** Bridges that other runtimes make for containers and machines of their own. */
const OTHERS_BRIDGES =
  /^(docker|br-[0-9a-f]{12}|virbr|podman|cni-podman|lxcbr|lxdbr|nerdctl|cni)\d*/;

/** Whether a link leads to other machines, as far as its kind and name tell. */
export function leadsOut(host: Space, containers: readonly Container[], link: Link): boolean {
  const { name, kind, master, peerNamespaceId } = link;
  // A wire into another namespace is a container's, unless it has an address of its own.
  return peerNamespaceId !== undefined
    ? kind === "veth" && master === undefined && host.globalsOf(link, 4).length > 0
    : kind !== "loopback" && !OTHERS_BRIDGES.test(name) &&
      !containers.some(({ attachments }) => attachments.some((one) => bridgeOf(one) === name));
}

/** Whether others may come by a link: one that asks for nobody (a dummy, a tunnel) has addresses alone. */
export function isWayIn(host: Space, containers: readonly Container[], link: Link): boolean {
  return link.carrier && !link.flags.includes("NOARP") && leadsOut(host, containers, link);
}

/** The likeliest way out, and the links of other networks. @param not links by which containers are reached */
export function uplinksOf(
  host: Space,
  family: 4 | 6,
  containers: readonly Container[],
  not: readonly number[] = [],
): Uplink[] {
  const bridges = new Set(containers.flatMap(({ attachments }) => attachments.map(bridgeOf)));
  const known = new Set(
    host.neighbours.filter(({ mac, state }) =>
      mac !== undefined && state !== "NOARP" && state !== "FAILED"
    ).map(({ link }) => link),
  );
  const candidates = host.routesOf(family).filter((route) =>
    route.table === "main" && route.type === "unicast" &&
    route.link !== undefined && !not.includes(route.link)
  ).flatMap((route) => {
    const link = host.linkAt(route.link);
    const address = link && host.globalsOf(link, family)[0];
    if (!address || bridges.has(link.name) || link.kind === "loopback") return [];
    const isDefault = route.destination === "default";
    // A veth into another namespace is more likely a container's than a way out.
    if (!isDefault && link.peerNamespaceId !== undefined) return [];
    return [{
      score: (isDefault ? 32 : 0) + (link.carrier ? 16 : 0) +
        (OTHERS_BRIDGES.test(link.name) ? 0 : 8) + (known.has(link.index) ? 4 : 0) +
        (link.kind === "bridge" ? 0 : 2) - Math.min(1, (route.metric ?? 0) / 1e6),
      link,
      agentAddress: address.address,
      somewhere: route.gateway ?? neighbourOf(address.address),
    }];
  });
  const all = candidates.toSorted((a, b) => b.score - a.score);
  return all.filter(({ link }, i) =>
    i === 0 || all.findIndex((one) => one.link === link) === i && isWayIn(host, containers, link)
  );
}

/** Whether the agent sends packets to an address out by that uplink. */
export function leadsBy(host: Space, address: string, { link }: Uplink): boolean {
  const { route } = host.wayTo(address);
  return route?.link === link.index && route.type === "unicast";
}

/** The plugin of a chain that is of one of these types. */
export function pluginOf(
  checkpoint: Checkpoint | undefined,
  ...types: string[]
): JsonObject | undefined {
  return checkpoint?.plugins.find(({ type }) => types.includes(String(type)));
}

export function bridgeOf(checkpoint: Checkpoint | undefined): string | undefined {
  const plugin = pluginOf(checkpoint, "bridge");
  // The bridge plugin's own default.
  return plugin && (typeof plugin.bridge === "string" ? plugin.bridge : "cni0");
}

export function isGateway(checkpoint: Checkpoint | undefined): boolean {
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
