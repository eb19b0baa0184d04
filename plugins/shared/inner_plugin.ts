/** The work of plugins whose one interface is the container's: make it, lease, configure, and back. */
import { errno, unless } from "../../lib/base/unless.ts";
import type { IpConfig, Result, Route } from "../../lib/cni/result.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { configureInterface } from "./configure_interface.ts";
import { readDns } from "./dns.ts";
import { addIpam, checkIpam, delIpam, FORWARDED, ipamType } from "./ipam.ts";
import { marksOf, namespaceIdOf, ownInterface } from "./marks.ts";
import { openNamespace, requireFree } from "./namespace.ts";
import { removeAll } from "./remove_all.ts";
import { insideInterface } from "./stacked_link.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  type StandardPlugin,
} from "./standard_plugin.ts";
import { undoingOnFailure } from "./undo.ts";
import { containerInterface, verifyAddressing, verifyLink } from "./verify_interface.ts";
import { removeLink } from "./veth.ts";

/** What tells the plugins apart. */
export interface InnerPlugin {
  /** Of the kernel: `macvlan`, … */
  kind: string;
  /**
   * Reads the config, and looks whether the interface can be made.
   *
   * @returns what makes it, with an index, down and without addresses
   */
  plan(
    call: LiveCall,
    host: Netlink,
    container: Netlink,
  ): (index: number) => Link | Promise<Link>;
  /** Whether the result has the IPAM plugin's dns, and not the config's. */
  keepsDns?: boolean;
  /** Paths below /proc/sys that are tried, in the container's namespace. */
  settings?(ifName: string): [path: string, value: string][];
  /** Whether it may do without addresses, or take those of the plugin before. */
  addresses: "required" | "optional" | "or of the plugin before";
  /** What else CHECK looks at. @throws {CniError} */
  verify?(call: LiveCall, host: Netlink, container: Netlink): void;
}

/** The IPAM plugin's, or what stands in for it. */
type Leased = Pick<Result, "ips" | "routes" | "dns">;

export function innerPlugin(plugin: InnerPlugin): StandardPlugin {
  return {
    add: (call) => add(plugin, call),
    del: (call) => del(plugin, call),
    check: (call) => check(plugin, call),
    ...FORWARDED,
  };
}

async function add(plugin: InnerPlugin, call: LiveCall): Promise<Result> {
  const ipam = ipamType(call);
  // Open until all is undone, should it come to that.
  using host = Netlink.open();
  using container = Netlink.open(call.netns);
  return await undoingOnFailure(async (undo) => {
    requireFree(container, call.ifName);
    const make = plugin.plan(call, host, container);
    const before = ipam === undefined && plugin.addresses === "or of the plugin before"
      ? addressesBefore(call)
      : undefined;
    const leases = !before && (ipam !== undefined || plugin.addresses !== "optional");
    if (leases) undo(() => delIpam(call));
    const leased: Leased | undefined = leases ? await addIpam(call) : before;
    const { index } = await marksOf(call);
    await removeOurs(plugin, index, container);
    host.numberNamespace(call.netns, await namespaceIdOf(call));
    const link = await make(index);
    undo(() => removeLink(container, link));
    const ips = (leased?.ips ?? []).map((ip): IpConfig => ({ ...ip, interface: 0 }));
    const routes: Route[] = leased?.routes ?? [];
    if (leased) {
      const settings = plugin.settings?.(call.ifName) ?? [];
      await configureInterface(container, call.netns, link, { ips, routes }, settings);
    } else {
      container.setLinkUp(call.ifName);
    }
    const dns = plugin.keepsDns ? leased?.dns ?? {} : readDns(call.config);
    return { interfaces: [insideInterface(call, link)], ips, routes, dns };
  });
}

function addressesBefore(call: LiveCall): Leased | undefined {
  if (!call.config.has("prevResult")) return undefined;
  const result = requirePrevResult(call);
  return result.ips.length > 0 ? result : undefined;
}

async function removeOurs(
  { kind }: InnerPlugin,
  index: number,
  netlink: Netlink,
  namespaceId?: number,
): Promise<void> {
  const link = unless(errno("EINVAL"), () => netlink.linkAt(index, namespaceId));
  if (link?.kind === kind) await removeLink(netlink, link, namespaceId);
}

async function del(plugin: InnerPlugin, call: Call): Promise<void> {
  await removeAll([
    async () => {
      const marks = await marksOf(call);
      using container = openNamespace(call.netns);
      if (container) {
        await removeLink(container, await ownInterface(call, container, marks));
        return await removeOurs(plugin, marks.index, container);
      }
      using host = Netlink.open();
      await removeOurs(plugin, marks.index, host, await namespaceIdOf(call));
    },
    () => delIpam(call),
  ]);
}

async function check(plugin: InnerPlugin, call: LiveCall): Promise<void> {
  await checkIpam(call);
  const result = requirePrevResult(call);
  using host = Netlink.open();
  using container = Netlink.open(call.netns);
  verifyLink(container, containerInterface(call, result), plugin.kind);
  plugin.verify?.(call, host, container);
  verifyAddressing(container, call.ifName, result);
}
