/** A container's health at a glance: what can be told without sending a packet. */
import { reasonOf } from "../base/log.ts";
import type { Link } from "../netlink/mod.ts";
import type { Container } from "../containers/inventory.ts";
import type { Checkpoint } from "../containers/checkpoint.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { hostEnd, NamespaceView } from "../netlink/view.ts";

/**
 * The first thing that is wrong with a container; `ok` for nothing.
 *
 * @param host the agent's own namespace, read once for all containers
 * @param troubles what was found of all containers together
 */
export function healthOf(
  container: Container,
  host: NamespaceView,
  troubles?: ReadonlyMap<string, string[]>,
): string {
  return outsideHealth(container) ?? insideHealth(container, host) ??
    troubles?.get(container.id)?.[0] ?? "ok";
}

/** What the checkpoints and the process table tell. */
function outsideHealth(container: Container): string | undefined {
  const { mode, attachments, namespaceAlive, processAlive, pid, keeper } = container;
  if (mode === "own" && attachments.length === 0) {
    return keeper === "mesos-cni" ? "not attached yet" : "empty checkpoint";
  }
  if (!namespaceAlive) return "namespace gone";
  const torn = attachments.find(({ state }) => state === "torn");
  if (torn) return `torn checkpoint of ${torn.ifName}`;
  const attaching = attachments.find(({ state }) => state === "attaching");
  if (attaching) return processAlive ? `${attaching.ifName} attaching` : "left half attached";
  if (!processAlive) {
    return keeper === "mesos-cni" && pid === undefined ? "not started yet" : "process gone";
  }
  return undefined;
}

/** What the kernel says about its interfaces. */
function insideHealth(container: Container, host: NamespaceView): string | undefined {
  if (container.mode === "host") return undefined;
  try {
    using inside = new NamespaceView(container.netns) as NamespaceView & { netns: string };
    for (const checkpoint of container.attachments) {
      const wrong = interfaceHealth(checkpoint, inside, host);
      if (wrong !== undefined) return wrong;
    }
    const lo = inside.links.find(({ kind }) => kind === "loopback");
    return lo && isUp(lo) ? undefined : "lo down";
  } catch (error) {
    return `unreadable: ${reasonOf(error)}`;
  }
}

function interfaceHealth(
  checkpoint: Checkpoint,
  inside: NamespaceView & { netns: string },
  host: NamespaceView,
): string | undefined {
  const { ifName } = checkpoint;
  const link = inside.link(ifName);
  if (!link) return `${ifName} gone`;
  if (!isUp(link)) return `${ifName} down`;
  const outer = hostEnd(host, inside, link);
  if (outer && !isUp(outer)) return `${outer.name} down`;
  if (!link.carrier) return `${ifName} has no carrier`;
  const bridge = host.linkAt(outer?.master);
  if (bridge && !isUp(bridge)) return `${bridge.name} down`;
  if (outer && !bridge && checkpoint.plugins.some(({ type }) => type === "bridge")) {
    return `${outer.name} on no bridge`;
  }
  const lost = networkAddresses(checkpoint).find(({ address, prefixLength }) =>
    !inside.addressesOf(link).some((one) =>
      one.address === address && one.prefixLength === prefixLength
    )
  );
  return lost && `${lost.address}/${lost.prefixLength} lost`;
}

function isUp({ flags }: Link): boolean {
  return flags.includes("UP");
}
