/** The agent's side of everything, read at most once however many containers are looked at. */
import { variable } from "../base/environment.ts";
import { HostRules } from "../firewall/host_rules.ts";
import { networkAddresses } from "../containers/network_address.ts";
import {
  type Container,
  readContainers,
  stillThere,
  walkContainers,
} from "../containers/inventory.ts";
import type { Layout } from "../containers/layout.ts";
import type { Registry } from "../cni/plugin_type.ts";
import type { Catalog } from "../cni/catalog.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { type BridgePort, bridgePorts, BridgeVlans, bridgeVlans } from "../netlink/bridge_state.ts";
import type { Link } from "../netlink/mod.ts";
import { type Listener, listeners } from "../netlink/sock_diag.ts";
import { NamespaceView } from "../netlink/view.ts";
import { Sight } from "../netlink/sight.ts";
import { Pace } from "../base/pace.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { listMissing, listOwners, type OwnerNow, walkOwners } from "../ports/mod.ts";
import { unlessRefused } from "../base/unless.ts";

/** A config of a network that has errors by its rules. */
export interface LintedConfig {
  file: string;
  errors: number;
}

/** What the readers of facts are told by their caller. */
export interface Sources {
  layout: Layout;
  plugins: Registry;
  /** Where plugins are looked for, and the networks that are configured; absent where unknown. */
  pluginsDir?: string;
  catalog?: () => Pick<Catalog, "names" | "read">;
  /** Whether the agent that reads the configs has none of this program's plugins built in. */
  isStock?: boolean;
  /** Which configs of the networks have errors; absent where nobody lints. */
  lint?: () => Promise<readonly LintedConfig[]>;
}

export class Agent implements Disposable {
  readonly host = new NamespaceView();
  readonly rules = new HostRules(variable("PATH") ?? "");
  #containers?: Container[];
  #holders?: Map<string, Container[]>;
  #ports?: ReadonlyMap<number, BridgePort>;
  #vlans?: BridgeVlans;
  #owners?: readonly OwnerNow[];
  #missing?: Promise<ReadonlyMap<string, string[]>>;
  #recorded?: ReadonlySet<string>;
  readonly #listeners = new Map<"tcp" | "udp", Map<number, Listener[]>>();
  readonly #macs = new Map<ContainerId, Map<string, string>>();

  constructor(readonly sources: Sources, readonly sight = new Sight()) {}

  /** One whose processes, containers and ports are read already, in slices between which other work goes on. */
  static async read(sources: Sources): Promise<Agent> {
    const sight = new Sight(await ProcessTable.look());
    const pace = new Pace();
    const collect = async <T>(all: Iterable<T>): Promise<T[]> => {
      const found: T[] = [];
      for (const one of all) {
        found.push(one);
        await pace.rest();
      }
      return found;
    };
    const { layout } = sources;
    const containers = stillThere(layout, await collect(walkContainers(layout, sight)));
    // Who asks for what can't be read is told so.
    const owners = await collect(walkOwners(sight)).catch(() => undefined);
    // Last: it holds a socket, which nobody closes where reading fails.
    const agent = new Agent(sources, sight);
    agent.#containers = containers;
    agent.#owners = owners;
    return agent;
  }

  /** All containers of the agent. */
  get containers(): Container[] {
    return this.#containers ??= readContainers(this.sources.layout, this.sight);
  }

  /** All attachments whose mapped ports are on record. @throws {OperatorError} where one can't be read */
  get owners(): readonly OwnerNow[] {
    return this.#owners ??= listOwners(this.sight);
  }

  /** The containers that were given an address, those that live first. */
  holdersOf(address: string): readonly Container[] {
    this.#holders ??= holdersIn(this.containers);
    return this.#holders.get(address) ?? [];
  }

  /** Whose interface has a hardware address: a container's, or the agent's (no `container`). */
  ownerOfMac(mac: string): { link: string; container?: ContainerId } | undefined {
    const link = this.host.links.find((one) => one.mac === mac);
    if (link) return { link: link.name };
    for (const container of this.containers) {
      const found = this.macsOf(container).entries().find(([, one]) => one === mac);
      if (found) return { link: found[0], container: container.id };
    }
    return undefined;
  }

  /** The hardware addresses of a container's own interfaces, by their names. */
  macsOf({ id, netns, mode, namespaceAlive }: Container): ReadonlyMap<string, string> {
    if (mode !== "own" || !namespaceAlive) return new Map();
    let macs = this.#macs.get(id);
    if (!macs) this.#macs.set(id, macs = macsIn(netns));
    return macs;
  }

  get bridgeVlans(): BridgeVlans {
    return this.#vlans ??= unlessRefused(() => bridgeVlans()) ??
      new BridgeVlans();
  }

  /**
   * What of the port mapper's rules is not there, by container.
   *
   * @throws {OperatorError} where rules can't be read here
   */
  async missingRules(): Promise<ReadonlyMap<string, string[]>> {
    return await (this.#missing ??= listMissing(variable("PATH") ?? "", this.owners));
  }

  /** The containers whose mapped ports are on record, and so are judged by it. */
  get recorded(): ReadonlySet<string> {
    return this.#recorded ??= new Set(this.owners.map(({ containerId }) => containerId));
  }

  /** The agent's sockets that receive what comes to a port. @throws {SystemError} */
  listenersAt(protocol: "tcp" | "udp", port: number): readonly Listener[] {
    let all = this.#listeners.get(protocol);
    if (!all) {
      all = Map.groupBy(listeners(protocol, 0), (one) => one.port);
      this.#listeners.set(protocol, all);
    }
    return all.get(port) ?? [];
  }

  /** The port of a bridge that a link is. */
  portOf({ index }: Link): BridgePort | undefined {
    this.#ports ??= new Map(unlessRefused(bridgePorts)?.map((port) => [port.index, port]));
    return this.#ports.get(index);
  }

  [Symbol.dispose](): void {
    this.host[Symbol.dispose]();
  }
}

function macsIn(netns: string): Map<string, string> {
  // It may just have ended.
  return unlessRefused(() => {
    using view = new NamespaceView(netns);
    return new Map(view.links.flatMap(({ mac, name }) => mac === undefined ? [] : [[name, mac]]));
  }) ?? new Map();
}

/** By address, the containers that were given it, those that live first. */
export function holdersIn(containers: readonly Container[]): Map<string, Container[]> {
  const holders = new Map<string, Container[]>();
  const livingFirst = containers.toSorted((a, b) =>
    Number(b.namespaceAlive) - Number(a.namespaceAlive)
  );
  for (const container of livingFirst) {
    const all = container.attachments.flatMap(networkAddresses).map((one) => one.address);
    for (const one of new Set(all)) holders.set(one, [...holders.get(one) ?? [], container]);
  }
  return holders;
}
