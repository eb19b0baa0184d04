/** A container's health at a glance: what can be told without sending a packet. */
import { messageOf } from "../error.ts";
import { type Address, Netlink } from "../linux/netlink/mod.ts";
import type { Container } from "./inventory.ts";
import { networkAddresses } from "./network_address.ts";

/** The first thing that is wrong with a container; `ok` for nothing. */
export function healthOf(container: Container): string {
  return outsideHealth(container) ?? insideHealth(container) ?? "ok";
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
function insideHealth(container: Container): string | undefined {
  if (container.mode === "host") return undefined;
  let links, addresses: Address[];
  try {
    using netlink = Netlink.open(container.netns);
    links = netlink.links();
    addresses = netlink.addresses();
  } catch (error) {
    return `unreadable: ${messageOf(error)}`;
  }
  for (const checkpoint of container.attachments) {
    const { ifName } = checkpoint;
    const link = links.find(({ name }) => name === ifName);
    if (!link) return `${ifName} gone`;
    if (!link.flags.includes("UP")) return `${ifName} down`;
    if (!link.carrier) return `${ifName} has no carrier`;
    for (const { address, prefixLength } of networkAddresses(checkpoint)) {
      const has = addresses.some((one) =>
        one.link === link.index && one.address === address && one.prefixLength === prefixLength
      );
      if (!has) return `${address}/${prefixLength} lost`;
    }
  }
  const lo = links.find(({ kind }) => kind === "loopback");
  return lo?.flags.includes("UP") ? undefined : "lo down";
}
