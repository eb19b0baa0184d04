/** bridge: a wire from the container to a bridge of the host (the reference's plugins/main/bridge). */
import { errno, unless } from "../../lib/base/unless.ts";
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Interface, Result } from "../../lib/cni/result.ts";
import { trying } from "../../lib/kernel/lock.ts";
import { withSysctlsOf, writeSysctl } from "../../lib/kernel/sysctl.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { isV6 } from "../shared/addresses.ts";
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
import {
  containerInterface,
  verifyAddressing,
  verifyLink,
  verifyMac,
} from "../shared/verify_interface.ts";
import { makeWire, removeLink, removeWire, type Wire } from "../shared/veth.ts";
import { ensureAddress, ensureBridge, requireBridge } from "./bridge.ts";
import { type BridgeConfig, readBridgeConfig } from "./config.ts";
import { addMacSpoofCheck, removeMacSpoofCheck } from "../../lib/firewall/mac_spoof_check.ts";
import { planGateways } from "./gateways.ts";
import { setUpPort } from "./port.ts";
import { ensureVlanInterface } from "./vlan_interface.ts";

export const bridge: Plugin = standardPlugin({ add, del, check, ...FORWARDED });

async function add(call: LiveCall): Promise<Result> {
  const config = readBridgeConfig(call);
  // Open until all is undone, should it come to that.
  using host = Netlink.open();
  using container = Netlink.open(call.netns);
  return await undoingOnFailure(async (undo) => {
    requireFree(container, call.ifName);
    requireBridge(host, config.bridge);
    if (config.ipam !== undefined) undo(() => delIpam(call));
    // Before anything is made, since it is the step that fails most.
    const leased = config.ipam === undefined ? undefined : await addIpam(call);
    requireNoIpv6(leased, config);
    const plan = planGateways(leased ?? { ips: [], routes: [] }, config);

    const bridge = ensureBridge(host, config);
    const gateway = config.vlan === undefined || plan.addresses.length === 0
      ? bridge
      : ensureVlanInterface(host, bridge, config.vlan, config.preserveDefaultVlan);
    for (const address of plan.addresses) {
      ensureAddress(host, gateway, address, config.forceAddress);
    }

    const { mtu, mac } = config;
    // A port that came up before the container's end would be found without a signal first, and
    // the bridge goes through all its ports for each change of one.
    const wire = await makeWire(host, container, call, { mtu, mac }, {
      master: bridge.index,
      mtu,
      up: false,
    });
    undo(() => removeLink(host, wire.host));
    setUpPort(host, bridge.name, wire.host, config);
    if (config.macSpoofCheck) {
      undo(() => removeMacSpoofCheck(call));
      addMacSpoofCheck(call, wire.host.name, wire.inside.mac!);
    }
    if (config.disableIpv6) switchOffIpv6(call);
    if (leased) {
      await configureInterface(container, call.netns, wire.inside, plan, settings(call, config));
    } else if (!config.disableContainerInterface) {
      container.setLinkUp(call.ifName);
    }
    if (!config.disableContainerInterface) await awaitSignal(host, wire);
    if (config.ipMasq && leased) {
      undo(() => removeMasquerade(call));
      await addMasquerade(call, plan.ips.map(({ address }) => address));
    }
    enableForwarding(plan.addresses);
    return {
      interfaces: [
        // Its hardware address may be that of its first port by now.
        interfaceOf(host.link(bridge.name)),
        interfaceOf(host.link(wire.host.name)),
        { ...interfaceOf(wire.inside), sandbox: call.netns },
        ...gateway === bridge ? [] : [interfaceOf(gateway)],
      ],
      ips: plan.ips,
      routes: plan.routes,
      dns: setsDns(call.config) ? readDns(call.config) : leased?.dns ?? {},
    };
  });
}

const interfaceOf = ({ name, mac }: Link): Interface => ({ name, ...mac ? { mac } : {} });

/** A kernel without IPv6 has no such setting. @throws {SystemError} */
function switchOffIpv6({ netns, ifName }: LiveCall): void {
  const setting = `net/ipv6/conf/${ifName}/disable_ipv6`;
  withSysctlsOf(netns, () => unless(errno("ENOENT"), () => void writeSysctl(setting, "1")));
}

/** What is looked at before anything is made: an address that the interface could not have. */
function requireNoIpv6(leased: Result | undefined, { disableIpv6 }: BridgeConfig): void {
  const v6 = leased?.ips.find(({ address }) => isV6(address));
  if (!disableIpv6 || !v6) return;
  throw wrong(`disableIPv6 and the address ${v6.address} of ipam exclude each other: take one out`);
}

/** What IPv6 does about duplicates, and that the network hears of the new address. */
function settings({ ifName }: LiveCall, { dad }: BridgeConfig): [string, string][] {
  return [
    ...dad ? [[`net/ipv6/conf/${ifName}/enhanced_dad`, "1"] as [string, string]] : [],
    [`net/ipv6/conf/${ifName}/accept_dad`, dad ? "1" : "0"],
    [`net/ipv4/conf/${ifName}/arp_notify`, "1"],
  ];
}

/** How long, in ms, a port may take to carry frames. */
const SIGNAL_TIMEOUT = 2500;

/** A result means that packets pass: the kernel brings up a port some time after both its ends. */
async function awaitSignal(host: Netlink, wire: Wire): Promise<void> {
  const { name } = wire.host;
  const state = () => host.link(name).operState;
  if (await trying(SIGNAL_TIMEOUT, () => state() === "UP" || undefined)) return;
  throw wrong(`the bridge's port ${name} stays ${state()}`);
}

async function del(call: Call): Promise<void> {
  let isAnothers = false;
  await removeAll([
    () => removeWire(call),
    async () => isAnothers = await delIpam(call),
    () => isAnothers || removeMasquerade(call),
    () => isAnothers || removeMacSpoofCheck(call),
  ]);
}

async function check(call: LiveCall): Promise<void> {
  const config = readBridgeConfig(call);
  await checkIpam(call);
  const result = requirePrevResult(call);
  using host = Netlink.open();
  using container = Netlink.open(call.netns);
  const bridge = host.describeLink(config.bridge);
  const made = result.interfaces.find(({ name, sandbox }) =>
    name === config.bridge && sandbox === undefined
  );
  if (!made) throw wrong(`prevResult has no bridge ${config.bridge}`);
  if (bridge?.link.kind !== "bridge") {
    throw wrong(`the host has no bridge ${config.bridge} any more`);
  }
  verifyMac(bridge.link, made);
  const isPromiscuous = bridge.promiscuity > 0;
  if (isPromiscuous !== config.promiscuous) {
    throw wrong(`the bridge ${config.bridge} is ${isPromiscuous ? "" : "not "}promiscuous`);
  }
  const inside = verifyLink(container, containerInterface(call, result), "veth");
  const port = result.interfaces.map(({ name }) => host.findLink(name)).find((link) =>
    link?.kind === "veth" && link.index === inside.peerIndex && link.peerIndex === inside.index
  );
  if (!port) throw wrong(`the host's end of the container's ${call.ifName} is gone`);
  if (port.master !== bridge.link.index) throw wrong(`${port.name} is not on ${config.bridge}`);
  verifyMac(port, result.interfaces.find(({ name }) => name === port.name)!);
  verifyAddressing(container, call.ifName, result);
}
