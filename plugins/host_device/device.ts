/** The device that a config names: by name, hardware address, path in /sys, or bus. */
import { isInterfaceName } from "../../lib/cni/config.ts";
import { entriesOf, findInode, linkTarget } from "../../lib/kernel/proc.ts";
import { quote } from "../../lib/base/json.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { readMac } from "../shared/mac.ts";
import type { Call } from "../shared/standard_plugin.ts";

const PCI = "/sys/bus/pci/devices";
const AUXILIARY = "/sys/bus/auxiliary/devices";
/** Drivers that give a device to a program. */
const USERSPACE_DRIVERS = ["vfio-pci", "uio_pci_generic", "igb_uio"];
const BUS_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.:-]*$/;

/** @throws {CniError} if there is none, or the config names none */
export function findDevice(call: Call, host: Netlink): Link {
  const { config } = call;
  const bus = busPath(call);
  const name = config.text("device");
  const mac = config.text("hwaddr");
  const kernelPath = config.text("kernelpath");
  if (bus === undefined && name) return requireLink(host, name);
  if (bus === undefined && mac) {
    const wanted = readMac(mac);
    const link = host.links().find((one) => one.mac === wanted);
    if (link) return link;
    throw wrong(`the host has no device with the hardware address ${mac}`);
  }
  if (bus === undefined && kernelPath) return inDirectory(host, `${readPath(kernelPath)}/net`);
  if (bus !== undefined) return inDirectory(host, netDirectory(bus));
  throw wrong('specify either "device", "hwaddr", "kernelpath" or "pciBusID"');
}

/** Whether the config names a device that a program drives, which has no interface. */
export function isUserspaceDevice(call: Call): boolean {
  const bus = busPath(call);
  if (bus === undefined || !bus.startsWith(PCI)) return false;
  try {
    const driver = linkTarget(`${bus}/driver`);
    return USERSPACE_DRIVERS.includes(driver.slice(driver.lastIndexOf("/") + 1));
  } catch (error) {
    throw wrong(`${bus} has no driver: ${(error as Error).message}`);
  }
}

/** The caller's `deviceID` counts more than what the config says. */
function busPath({ config }: Call): string | undefined {
  const asked = config.object("runtimeConfig")?.text("deviceID") || undefined;
  if (asked !== undefined) {
    const path = [PCI, AUXILIARY].map((bus) => `${bus}/${readBusName(asked)}`).find(isThere);
    if (path !== undefined) return path;
    throw wrong(`runtimeConfig.deviceID is ${quote(asked)}, which no bus has a device of`);
  }
  const pci = config.text("pciBusID");
  const others = ["device", "hwaddr", "kernelpath"].some((key) => config.text(key));
  return pci && !others ? `${PCI}/${readBusName(pci)}` : undefined;
}

function readBusName(text: string): string {
  if (BUS_NAME.test(text)) return text;
  throw wrong(`${quote(text)} is no name of a device on a bus`);
}

function readPath(path: string): string {
  if (path.startsWith("/sys/devices/") && !path.split("/").includes("..")) return path;
  throw wrong(`kernelpath is ${quote(path)}; it must begin with /sys/devices/`);
}

/** virtio devices have their network device one level further down. */
function netDirectory(bus: string): string {
  if (isThere(`${bus}/net`)) return `${bus}/net`;
  const virtio = listDirectory(bus).find((name) => name.startsWith("virtio"));
  if (virtio !== undefined) return `${bus}/${virtio}/net`;
  throw wrong(`${bus} has no network device`);
}

const isThere = (path: string) => findInode(path) !== undefined;

function listDirectory(path: string): string[] {
  return entriesOf(path).sort();
}

function inDirectory(host: Netlink, directory: string): Link {
  const [name] = isThere(directory) ? listDirectory(directory) : [];
  if (name !== undefined) return requireLink(host, name);
  throw wrong(`there is no network device in ${directory}`);
}

function requireLink(host: Netlink, name: string): Link {
  const link = isInterfaceName(name) ? host.findLink(name) : undefined;
  if (link) return link;
  throw wrong(`the host has no device ${quote(name)}`);
}
