/**
 * host-device: a device of the host moves into the container, and back (the reference's
 * plugins/main/host-device).
 */
import { isA, unless } from "../../lib/base/unless.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { open } from "../../lib/kernel/files.ts";
import { leadsTo, namespaceFate, sayAnothers } from "../../lib/netlink/attached_network.ts";
import { setLink } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { configureInterface } from "../shared/configure_interface.ts";
import { readDns } from "../shared/dns.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { addIpam, checkIpam, delIpam, FORWARDED, ipamType } from "../shared/ipam.ts";
import { openNamespace, requireFree } from "../shared/namespace.ts";
import { removeAll } from "../shared/remove_all.ts";
import { insideInterface } from "../shared/stacked_link.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { containerInterface, verifyAddressing, verifyMac } from "../shared/verify_interface.ts";
import { findDevice, isUserspaceDevice } from "./device.ts";
import { type InterfaceNetwork, networkOfDevice, NO_NETWORK } from "./interface_network.ts";
import { findGiven, given, remember } from "./record.ts";

export const hostDevice: Plugin = standardPlugin({ add, del, check, ...FORWARDED });

async function add(call: LiveCall): Promise<Result> {
  const ipam = ipamType(call);
  // Open until all is undone, should it come to that.
  using host = Netlink.open();
  using container = Netlink.open(call.netns);
  return await undoingOnFailure(async (undo) => {
    // A device whose driver is a program's has no interface to move.
    const device = isUserspaceDevice(call) ? undefined : findDevice(call, host);
    if (device) requireFree(container, call.ifName);
    const keepsNetwork = call.config.flag("useInterfaceNetwork");
    if (keepsNetwork && !device) {
      throw wrong("useInterfaceNetwork is set, and the device has no interface: take it out");
    }
    const network = keepsNetwork ? networkOfDevice(host, device!) : NO_NETWORK;
    if (ipam !== undefined) undo(() => delIpam(call));
    const leased = ipam === undefined
      ? undefined
      : await addIpam(call, { mayBeEmpty: keepsNetwork });
    const ips = (leased?.ips ?? []).map((ip): IpConfig => ({ ...ip, interface: 0 }));
    const routes = leased?.routes ?? [];
    if (!device) {
      const interfaces = [{ name: call.ifName, sandbox: call.netns }];
      return { interfaces, ips, routes, dns: leased ? readDns(call.config) : {} };
    }
    moveIn(call, host, container, device, undo, network);
    undo(() => given.remove(call));
    remember(call, device, container.describeLink(call.ifName)!);
    const link = container.link(call.ifName);
    container.setLinkUp(call.ifName);
    container.changeAll(network.changes(link));
    if (leased) await configureInterface(container, call.netns, link, { ips, routes }, []);
    return {
      interfaces: [insideInterface(call, link)],
      ips: [...ips, ...network.ips],
      routes: [...routes, ...network.routes],
      dns: leased ? readDns(call.config) : {},
    };
  });
}

/** Moves a device in. Its name on the host is its alias there, by which the reference gives it back. */
function moveIn(
  { netns, ifName }: LiveCall,
  host: Netlink,
  container: Netlink,
  device: Link,
  undo: (step: () => void) => void,
  network: InterfaceNetwork,
): void {
  const wasUp = device.flags.includes("UP");
  using target = open(netns);
  undo(() => {
    const inside = container.findLink(ifName) ?? container.findLink(device.name);
    if (inside?.mac !== device.mac) return;
    moveOut(container, inside!, device);
    const back = host.findLink(device.name);
    if (!back || !wasUp) return;
    host.change(setLink(back.index, back.name, { up: true }));
    host.changeAll(network.changes(back));
  });
  // In one message: the kernel renames it on the way, where no other program sees it in between.
  host.change(setLink(device.index, device.name, {
    name: ifName,
    alias: device.name,
    netns: target,
  }));
}

/** Gives a device back to the host's namespace, down, under its name and with its address there. */
function moveOut(container: Netlink, link: Link, { name, mac }: Pick<Link, "name" | "mac">): void {
  using home = open("/proc/self/ns/net");
  const changed = mac === undefined || mac === link.mac ? {} : { mac };
  container.change(setLink(link.index, link.name, { up: false, ...changed }));
  container.change(setLink(link.index, link.name, { name, alias: "", netns: home }));
}

async function del(call: Call): Promise<void> {
  await removeAll([() => giveBack(call), () => delIpam(call)]);
}

function giveBack(call: Call): void {
  using container = openNamespace(call.netns);
  const record = given.read(call);
  if (record && !(container && leadsTo(call.netns!, record.attached))) {
    // The kernel gives hardware back where a network ends; else it is another container's of this id.
    if (namespaceFate(record.attached) === "gone") given.remove(call);
    else if (container) sayAnothers(call, record.attached);
    return;
  }
  if (!container) return;
  using host = Netlink.open();
  const link = record ? findGiven(container, record) : findUnrecorded(call, host, container);
  const name = record?.device ?? (call.config.text("device") || link?.alias)!;
  if (link) {
    if (host.findLink(name)) {
      throw wrong(
        `the container's ${link.name} is the host's ${name}, and the host has another ` +
          `${name} by now: rename that one, and try again`,
      );
    }
    moveOut(container, link, { name, mac: record?.mac });
  }
  given.remove(call);
}

/** A device that has no record, as one that the reference has moved, by its alias. */
function findUnrecorded(call: Call, host: Netlink, container: Netlink): Link | undefined {
  const device = call.config.text("device");
  const link = container.findLink(call.ifName) ??
    (device ? container.links().find(({ alias }) => alias === device) : undefined);
  // Given back already: what the container has under its name, with another's alias, is the container's.
  const home = link && unless(isA(CniError), () => findDevice(call, host));
  if (!link || home && link.alias !== home.name) return undefined;
  if (link.alias) return link;
  throw wrong(
    `the container's ${link.name} does not say what it is called on the host (alias): ` +
      "another plugin made it",
  );
}

async function check(call: LiveCall): Promise<void> {
  await checkIpam(call);
  const result = requirePrevResult(call);
  const made = containerInterface(call, result);
  if (isUserspaceDevice(call)) return;
  using container = Netlink.open(call.netns);
  const link = container.findLink(call.ifName);
  if (!link) throw wrong(`the container has no interface ${call.ifName} any more`);
  verifyMac(link, made);
  verifyAddressing(container, call.ifName, result);
}
