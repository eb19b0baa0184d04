/** What a network leaves on a machine when its last container has gone. */
import { log } from "../base/log.ts";
import { OperatorError } from "../base/error.ts";
import { namesIn, statOf } from "../base/exists.ts";
import { contains, parseAddress, parsePrefix } from "../base/prefix.ts";
import { elsewhere, fateOf } from "../containers/liveness.ts";
import { readRequest } from "../containers/request.ts";
import type { RangeView } from "../facts/ranges.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { lockStore } from "../containers/lease.ts";
import { deleteLink } from "../netlink/link_changes.ts";
import { type Link, Netlink } from "../netlink/mod.ts";
import { Sight } from "../netlink/sight.ts";
import { hasNatChain, removeUnusedChain } from "../ports/unused_chain.ts";
import { networkView } from "./network.ts";

export interface Leftover {
  what: string;
  /** Another network whose containers use it too: it stays. */
  usedBy?: string;
  /** @returns false if it was not there (any more) @throws {OperatorError} if it is in use */
  remove(): Promise<boolean>;
}

/**
 * What the network has left, to be removed in this order; and what another one's containers use.
 * All that can refuse is asked here, before anything is removed.
 *
 * @throws {OperatorError} `network_in_use` while a container is on it, or something of it is in use
 */
export async function leftovers(isolator: Isolator, name: string): Promise<Leftover[]> {
  const { containers, traces, ranges } = networkView(isolator, name);
  const [first] = containers;
  if (first) {
    const { layout } = isolator.settings;
    const fate = fateOf(layout, first.id, readRequest(layout, first.id), new Sight());
    if (fate === "elsewhere") throw elsewhere(first.id);
    throw new OperatorError(
      "network_in_use",
      `${containers.length} container${containers.length > 1 ? "s are" : " is"} on the network ` +
        `${name}, such as ${first.id}: ` +
        (fate === "gone" ? "clean up first (mesos-cni gc --apply)" : "end their tasks first"),
    );
  }
  const others = isolator.networks.names().filter((other) => other !== name)
    .map((other) => networkView(isolator, other));
  const userOf = (kind: keyof typeof traces) =>
    others.find((one) => one.containers.length > 0 && one.traces[kind] === traces[kind])?.name;
  const { bridge, addressStore, natChain } = traces;
  const found: Leftover[] = [];
  if (bridge !== undefined && isOwnBridge(bridge, ranges)) {
    const usedBy = userOf("bridge");
    if (usedBy === undefined) requireNoPorts(bridge);
    found.push({
      what: `bridge ${bridge}`,
      usedBy,
      remove: () => Promise.resolve(removeBridge(bridge)),
    });
  }
  if (addressStore !== undefined && statOf(addressStore)?.isDirectory) {
    const usedBy = userOf("addressStore");
    if (usedBy === undefined) requireNoLeases(addressStore);
    found.push({
      what: `leases in ${addressStore}`,
      usedBy,
      remove: () => removeStore(addressStore),
    });
  }
  if (natChain !== undefined && await hasNatChain(natChain, isolator.settings.path)) {
    found.push({
      what: `chain ${natChain} of the nat table, with the jumps to it`,
      usedBy: userOf("natChain"),
      remove: () => removeUnusedChain(natChain, isolator.settings.path),
    });
  }
  return found;
}

/** A bridge with an address that is of no subnet of the network is somebody else's. */
function isOwnBridge(name: string, ranges: readonly RangeView[]): boolean {
  using netlink = Netlink.open();
  const bridge = netlink.findLink(name);
  if (bridge?.kind !== "bridge") return false;
  const subnets = ranges.flatMap(({ subnet }) => parsePrefix(subnet) ?? []);
  if (subnets.length === 0) return true;
  const strange = netlink.addressesOf(bridge.index).find(({ scope, address }) =>
    scope === "global" && !subnets.some((subnet) => contains(subnet, parseAddress(address)!))
  );
  if (!strange) return true;
  const what = "a bridge with an address of no subnet of the network is left where it is";
  log.warning(what, { bridge: name, address: strange.address });
  return false;
}

/** @returns the bridge, if it is there @throws {OperatorError} `network_in_use` */
function requireNoPorts(name: string): Link | undefined {
  using netlink = Netlink.open();
  const links = netlink.links();
  const bridge = links.find((link) => link.name === name && link.kind === "bridge");
  const ports = links.filter(({ master }) => bridge && master === bridge.index);
  if (ports.length === 0) return bridge;
  throw new OperatorError(
    "network_in_use",
    `the bridge ${name} has ${ports.length} interface${ports.length > 1 ? "s" : ""}, such as ` +
      `${ports[0]!.name}: mesos-cni topology shows whose`,
  );
}

function removeBridge(name: string): boolean {
  const bridge = requireNoPorts(name);
  if (!bridge) return false;
  using netlink = Netlink.open();
  netlink.change(deleteLink(bridge.index, name));
  return true;
}

/** @returns what is in the store of a network @throws {OperatorError} `network_in_use` */
function requireNoLeases(directory: string): string[] {
  const names = namesIn(directory);
  const strange = names.find((name) => !/^(?:lock|last_reserved_ip\.\d+)$/.test(name));
  if (strange === undefined) return names;
  throw new OperatorError(
    "network_in_use",
    `${directory} still has ${strange}, which may be somebody's address: mesos-cni gc shows whose`,
  );
}

/** host-local's directory: its lock, the last address given out, and a file for each lease. */
async function removeStore(directory: string): Promise<boolean> {
  using _lock = await lockStore(directory);
  const names = requireNoLeases(directory);
  for (const name of names) Deno.removeSync(`${directory}/${name}`);
  Deno.removeSync(directory);
  return true;
}
