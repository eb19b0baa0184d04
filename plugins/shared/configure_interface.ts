/** A container's interface gets what the IPAM plugin gave (the reference's pkg/ipam). */
import type { Result } from "../../lib/cni/result.ts";
import { trying } from "../../lib/kernel/lock.ts";
import { tryWriteSysctls, withSysctlsOf, writeSysctl } from "../../lib/kernel/sysctl.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import { setLink } from "../../lib/netlink/link_changes.ts";
import type { Link, Netlink } from "../../lib/netlink/mod.ts";
import { addRouteOrHop } from "../../lib/netlink/route_changes.ts";
import { bytesOfAddress, interfaceAddress, isV6 } from "./addresses.ts";
import { wrong } from "../../lib/cni/fields.ts";

/** How long, in ms, IPv6 may look whether somebody else has the address. */
const DAD_TIMEOUT = 5000;

/**
 * Addresses, up, routes.
 *
 * @param settings paths below /proc/sys that are tried first, in the container's namespace
 * @throws {OperatorError}
 */
export async function configureInterface(
  container: Netlink,
  netns: string,
  link: Link,
  { ips, routes }: Pick<Result, "ips" | "routes">,
  settings: readonly (readonly [path: string, value: string])[],
): Promise<void> {
  const hasV6 = ips.some(({ address }) => isV6(address));
  withSysctlsOf(netns, () => {
    tryWriteSysctls(settings);
    if (!hasV6) return undefined;
    for (const name of ["lo", link.name]) writeSysctl(`net/ipv6/conf/${name}/disable_ipv6`, "0");
    // Else the kernel would drop the addresses whenever the interface goes down.
    writeSysctl(`net/ipv6/conf/${link.name}/keep_addr_on_down`, "1");
  });
  container.changeAll([
    ...ips.map(({ address }) => addAddress(link.index, link.name, interfaceAddress(address))),
    setLink(link.index, link.name, { up: true }),
  ]);
  if (ips.some(({ gateway }) => gateway !== undefined && isV6(gateway))) {
    await settle(container, link);
  }
  const gatewayOf = (v6: boolean) =>
    ips.find(({ gateway }) => gateway !== undefined && isV6(gateway) === v6)?.gateway;
  container.changeAll(routes.map(({ dst, gw, priority, table, scope }) => {
    const gateway = gw ?? gatewayOf(isV6(dst));
    return addRouteOrHop({
      destination: interfaceAddress(dst),
      link: link.index,
      gateway: gateway === undefined ? undefined : bytesOfAddress(gateway),
      priority,
      table,
      scope,
    });
  }));
}

/** Waits until no address is tentative, or the link has no signal to find out with. */
async function settle(container: Netlink, link: Link): Promise<void> {
  const isSettled = await trying(DAD_TIMEOUT, () => {
    const addresses = container.addressesOf(link.index).filter(({ family }) => family === "inet6");
    const failed = addresses.find(({ flags }) => flags.includes("dadfailed"));
    if (failed) throw wrong(`${failed.address} is in use by another machine of the network`);
    return addresses.every(({ flags }) => !flags.includes("tentative")) || undefined;
  });
  if (isSettled || container.link(link.name).operState !== "UP") return;
  throw wrong(
    `${link.name} still has tentative addresses after ${DAD_TIMEOUT / 1000} s: duplicate ` +
      "address detection does not end",
  );
}
