/** What the host itself must allow for `snat`, besides rules. */
import { namesIn } from "../base/exists.ts";
import { dirname } from "@std/path";
import { withFile } from "../base/file_error.ts";
import { errno, unless } from "../base/unless.ts";
import { STATE_MODE } from "../firewall/records.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { readSysctl, setSysctl, type SysctlPath } from "../kernel/sysctl.ts";
import { setPort } from "../netlink/bridge_port.ts";
import { hostEnd } from "../netlink/host_end.ts";
import { type Link, Netlink } from "../netlink/mod.ts";
import { keyOf, type Owner } from "./mapping.ts";
import type { MappingRecord } from "./record.ts";
import { LOCALNET, removeLink } from "./state_dir.ts";

/**
 * The interface that packets from 127.0.0.1 must be let out by, to reach an attachment's container
 * (`route_localnet`). It is set only when the rules stand that keep others from sending to
 * 127.0.0.0/8 by the same interface.
 *
 * @returns undefined if there is no such interface, or an operator has set it already
 * @throws {SystemError}
 */
export function localnetOf({ endpoints }: MappingRecord): string | undefined {
  const endpoint = endpoints.find(({ family }) => family === 4);
  if (!endpoint) return undefined;
  using netlink = Netlink.open();
  const route = netlink.routeTo(endpoint.address);
  const name = route.link === undefined ? undefined : netlink.linkAt(route.link)?.name;
  if (name === undefined) return undefined;
  const isOn = readSysctl(setting(name)) === "1";
  return !isOn || usersOf(name).length > 0 ? name : undefined;
}

/** Who needs the setting is marked before it is set. @throws {OperatorError} `file`, `system` */
export function openLocalnet(device: string, owner: Owner): void {
  const mark = markOf(device, owner);
  withFile("make", mark, () => {
    Deno.mkdirSync(dirname(mark), { recursive: true, mode: STATE_MODE.directory });
    unless(errno("EEXIST"), () => Deno.symlinkSync(`/proc/sys/${setting(device)}`, mark));
  });
  setSysctl(setting(device), "1");
}

/**
 * Takes `route_localnet` back from the interfaces that an owner is marked at, unless another mapping
 * needs it there. The marks say all there may be, wherever a call was killed.
 *
 * @param kept the interface that it still needs
 * @throws {SystemError}
 */
export function closeLocalnet(owner: Owner, kept?: string): void {
  for (const device of namesIn(LOCALNET)) {
    const users = usersOf(device);
    if (device === kept || !users.includes(keyOf(owner))) continue;
    // The interface may be gone.
    if (users.length === 1) unless(errno("ENOENT"), () => setSysctl(setting(device), "0"));
    removeLink(markOf(device, owner));
  }
}

/** The settings that a mapping needs, as its marks say, and somebody took back: `net.ipv4.conf.br0.route_localnet`. */
export function closedLocalnet(owner: Owner): string[] {
  const isOff = (device: string) =>
    unless(errno("ENOENT"), () => readSysctl(setting(device))) === "0";
  return namesIn(LOCALNET).filter((device) =>
    usersOf(device).includes(keyOf(owner)) && isOff(device) && isOff("all")
  ).map((device) => setting(device).replaceAll("/", "."));
}

function markOf(device: string, owner: Owner): string {
  return `${LOCALNET}/${device}/${keyOf(owner)}`;
}

function setting(device: string): SysctlPath {
  return `net/ipv4/conf/${device}/route_localnet`;
}

/** The keys of the attachments that need the setting. */
function usersOf(device: string): string[] {
  return namesIn(`${LOCALNET}/${device}`);
}

/**
 * Lets a bridge send a container's own packets back to it (hairpin), for a container that asks for
 * itself by the host's address.
 *
 * @throws {SystemError}
 */
export function openHairpin({ netns, ifName }: MappingRecord): void {
  const port = hostEndOf({ netns, ifName });
  if (port?.master === undefined) return;
  using netlink = Netlink.open();
  if (netlink.linkAt(port.master)?.kind !== "bridge") return;
  netlink.change(setPort(port.index, { hairpin: true }));
}

/** The host's end of the pair of veths that an attachment's interface is of, if it is of one. */
export function hostEndOf(
  { netns, ifName }: Pick<MappingRecord, "netns" | "ifName">,
): Link | undefined {
  if (!isNamespaceHandle(netns)) return undefined;
  using container = Netlink.open(netns);
  const inside = container.findLink(ifName);
  using host = Netlink.open();
  return inside && hostEnd(host, netns, inside);
}
