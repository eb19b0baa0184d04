/**
 * ptp: a wire from the container to the host, routed on both sides (the reference's
 * plugins/main/ptp). The container reaches even its neighbours by the host, which is its gateway.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Result } from "../../lib/cni/result.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import {
  addRoute,
  deleteRoute,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_NOWHERE,
} from "../../lib/netlink/route_changes.ts";
import { bytesOfAddress, hostNetwork, interfaceAddress, networkOf } from "../shared/addresses.ts";
import { configureInterface } from "../shared/configure_interface.ts";
import { readDns, setsDns } from "../shared/dns.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { enableForwarding } from "../shared/forwarding.ts";
import { addIpam, checkIpam, delIpam, FORWARDED } from "../shared/ipam.ts";
import { addMasquerade, removeMasquerade } from "../shared/masquerade.ts";
import { removeAll } from "../shared/remove_all.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { requireFree } from "../shared/namespace.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { containerInterface, verifyAddressing, verifyLink } from "../shared/verify_interface.ts";
import { makeWire, removeLink, removeWire } from "../shared/veth.ts";

export const ptp: Plugin = standardPlugin({ add, del, check, ...FORWARDED });

/** An address of the container with what the host has on its end of the wire. */
interface Pair {
  address: string;
  gateway: string;
}

async function add(call: LiveCall): Promise<Result> {
  const { config, ifName, netns } = call;
  const ipMasq = config.flag("ipMasq");
  const mtu = config.integer("mtu") || undefined;
  // Open until all is undone, should it come to that.
  using host = Netlink.open();
  using container = Netlink.open(netns);
  return await undoingOnFailure(async (undo) => {
    requireFree(container, ifName);
    undo(() => delIpam(call));
    const { routes, dns, ips: leased } = await addIpam(call);
    const ips = leased.map((ip) => ({ ...ip, interface: 1 }));
    const pairs = ips.map(({ address, gateway }): Pair => {
      if (gateway !== undefined) return { address, gateway };
      throw wrong(`the IPAM plugin gave ${address} without a gateway, which ptp can't do without`);
    });
    const wire = await makeWire(host, container, call, { mtu }, { mtu });
    undo(() => removeLink(host, wire.host));
    await configureInterface(container, netns, wire.inside, { ips, routes }, []);
    for (const pair of pairs) routeByHost(container, wire.inside, pair);
    for (const pair of pairs) setUpHostEnd(host, wire.host, pair);
    if (ipMasq) {
      undo(() => removeMasquerade(call));
      await addMasquerade(call, pairs.map(({ address }) => address));
    }
    enableForwarding(pairs.map(({ address }) => address));
    return {
      interfaces: [
        { name: wire.host.name, mac: wire.host.mac },
        { name: ifName, mac: wire.inside.mac, sandbox: netns },
      ],
      ips,
      routes,
      dns: setsDns(config) ? readDns(config) : dns,
    };
  });
}

/** In place of the route that the kernel made: all but the gateway itself goes by the gateway. */
function routeByHost(container: Netlink, { index }: Link, { address, gateway }: Pair): void {
  const own = interfaceAddress(address);
  const destination = networkOf(own);
  const by = bytesOfAddress(gateway);
  container.change(deleteRoute({ destination, link: index, scope: RT_SCOPE_NOWHERE }));
  container.change(addRoute({
    destination: hostNetwork(by),
    link: index,
    scope: RT_SCOPE_LINK,
    source: own.bytes,
  }));
  container.change(addRoute({ destination, link: index, gateway: by, source: own.bytes }));
}

function setUpHostEnd(host: Netlink, { index, name }: Link, { address, gateway }: Pair): void {
  // Nobody is on the wire but the container, whose first packets would find no gateway meanwhile.
  host.change(addAddress(index, name, hostNetwork(bytesOfAddress(gateway)), true));
  const destination = hostNetwork(interfaceAddress(address).bytes);
  const route = addRoute({ destination, link: index, scope: RT_SCOPE_HOST });
  host.change({ ...route, unless: "EEXIST" });
}

async function del(call: Call): Promise<void> {
  let isAnothers = false;
  await removeAll([
    () => removeWire(call),
    async () => isAnothers = await delIpam(call),
    () => isAnothers || removeMasquerade(call),
  ]);
}

async function check(call: LiveCall): Promise<void> {
  await checkIpam(call);
  const result = requirePrevResult(call);
  using container = Netlink.open(call.netns);
  verifyLink(container, containerInterface(call, result), "veth");
  verifyAddressing(container, call.ifName, result);
}
