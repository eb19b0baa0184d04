/** How the agent's networks hang together: bridges, veth pairs, containers. */
import type { Checkpoint } from "../containers/checkpoint.ts";
import type { Link } from "../netlink/mod.ts";
import { getHostname } from "../kernel/uts.ts";
import type { Container } from "../containers/inventory.ts";
import type { Agent } from "../facts/agent.ts";
import { isProblem } from "../facts/cause.ts";
import { type Health, healthOfAll, isHealthy } from "../facts/facts.ts";
import { briefOf } from "../facts/sentences.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { hostEnd } from "../netlink/host_end.ts";
import { NamespaceView } from "../netlink/view.ts";

export interface TopologyNode {
  /** Unique in the topology. */
  id: string;
  kind: "agent" | "link" | "container";
  name: string;
  /** Addresses, ports, what is wrong: a line each. */
  details: string[];
  /** Whether something is wrong with it. */
  isIll?: boolean;
}

/** A connection, from the agent outwards. */
export interface TopologyEdge {
  from: string;
  to: string;
  /** Which interfaces meet, and their addresses. */
  label: string;
  /** Of the node's details, those that this connection has alone. */
  details?: string[];
}

export interface Topology {
  nodes: TopologyNode[];
  edges: TopologyEdge[];
}

/** The topology of this agent. */
export async function topologyOf(agent: Agent): Promise<Topology> {
  const builder = new Builder(agent.host);
  for (const [container, health] of await healthOfAll(agent)) {
    if (container.mode === "own") builder.add(container, health);
  }
  return builder.finish();
}

const AGENT = "agent";

class Builder {
  readonly #nodes: TopologyNode[];
  readonly #edges: TopologyEdge[] = [];
  /** Ends of containers' veths: drawn as the edge to the container. */
  readonly #ends = new Set<number>();

  constructor(private readonly host: NamespaceView) {
    this.#nodes = [{ id: AGENT, kind: "agent", name: getHostname(), details: [] }];
  }

  add(container: Container, health: Health): void {
    const { id, attachments, namespaceAlive } = container;
    const ports = attachments.flatMap(portsOf);
    this.#nodes.push({
      id: containerNode(id),
      kind: "container",
      name: id,
      details: [...ports, ...health.causes.filter(isProblem).map(briefOf)],
      isIll: !isHealthy(health),
    });
    if (namespaceAlive) this.#attach(container);
  }

  #attach({ id, netns, attachments }: Container): void {
    using inside = new NamespaceView(netns);
    for (const checkpoint of attachments) {
      const { ifName, network } = checkpoint;
      const link = inside.link(ifName);
      const addresses = link
        ? globalAddresses(inside, link)
        : networkAddresses(checkpoint).map(({ address }) => `${address} (gone)`);
      const end = link && hostEnd(this.host, netns, link);
      if (end) this.#ends.add(end.index);
      // A macvlan's other index is that of the device below it.
      const below = end ? this.host.linkAt(end.master) : this.host.linkAt(link?.peerIndex);
      this.#edges.push({
        from: below ? linkNode(below) : AGENT,
        to: containerNode(id),
        label: `${end ? `${end.name}${downText(end)} – ` : ""}${ifName}${downText(link)} ${
          addresses.join(" ")
        } (${network})`,
        ...checkpoint.portMappings.length > 0 ? { details: portsOf(checkpoint) } : {},
      });
    }
  }

  finish(): Topology {
    const shown = this.host.links.filter(({ index, kind }) =>
      kind !== "loopback" && !this.#ends.has(index)
    );
    for (const link of shown) {
      const isDown = !link.flags.includes("UP");
      // An interface that nothing hangs on may be down as it likes.
      const isUsed = this.#edges.some(({ from }) => from === linkNode(link));
      this.#nodes.push({
        id: linkNode(link),
        kind: "link",
        name: link.name,
        details: [
          link.kind ?? "device",
          ...globalAddresses(this.host, link),
          ...isDown ? ["down"] : [],
        ],
        isIll: isDown && isUsed,
      });
      const master = this.host.linkAt(link.master);
      this.#edges.push({ from: master ? linkNode(master) : AGENT, to: linkNode(link), label: "" });
    }
    return { nodes: this.#nodes, edges: this.#edges };
  }
}

function portsOf({ portMappings }: Checkpoint): string[] {
  return portMappings.map(({ hostPort, containerPort, protocol }) =>
    `port ${hostPort} → ${containerPort}/${protocol}`
  );
}

/** A link that is there and not up. */
function downText(link: Link | undefined): string {
  return link && !link.flags.includes("UP") ? " (down)" : "";
}

function containerNode(id: string): string {
  return `container ${id}`;
}

function linkNode({ name }: Link): string {
  return `link ${name}`;
}

function globalAddresses(view: NamespaceView, link: Link): string[] {
  return view.addressesOf(link).filter(({ scope }) => scope === "global")
    .map(({ address, prefixLength }) => `${address}/${prefixLength}`);
}
