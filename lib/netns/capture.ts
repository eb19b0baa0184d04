/** tcpdump in a container's namespace. */
import { OperatorError } from "../base/error.ts";
import { isInterfaceName } from "../cni/config.ts";
import type { Layout } from "../containers/layout.ts";
import { Netlink } from "../netlink/mod.ts";
import type { Target } from "../containers/target.ts";

export interface CaptureOptions {
  /** The interface; by default the container's first on a network, `any` for all. */
  interface?: string;
  /** A file for Wireshark and the like, instead of lines on the terminal. */
  file?: string;
  /** Number of packets after which it ends. */
  count?: string;
  /** An expression, see pcap-filter(7). */
  filter: readonly string[];
}

/**
 * The command line of tcpdump.
 *
 * @throws {OperatorError} for an interface that the namespace does not have
 */
export function tcpdump(
  layout: Layout,
  target: Target,
  options: CaptureOptions,
): [string, ...string[]] {
  const { file, count, filter } = options;
  return [
    "tcpdump",
    // Names of hosts would be asked for in the container's network, which changes what is seen.
    "-n",
    "-i",
    interfaceOf(layout, target, options.interface),
    // To a file each packet as it comes: whoever looks at it looks now.
    ...file === undefined ? ["-l"] : ["-U", "-w", file],
    ...count === undefined ? [] : ["-c", count],
    ...filter.length === 0 ? [] : ["--", ...filter],
  ];
}

function interfaceOf(layout: Layout, target: Target, wanted: string | undefined): string {
  if (wanted === "any") return wanted;
  using netlink = Netlink.open(target.netns);
  const names = netlink.links().map(({ name }) => name);
  const name = wanted ?? (target.id && layout.listAttachments(target.id)[0]?.ifName) ??
    names.find((name) => name !== "lo") ?? "lo";
  if (isInterfaceName(name) && names.includes(name)) return name;
  throw new OperatorError(
    "no_interface",
    `${target.name} has no interface ${JSON.stringify(name)}, but: ${names.join(", ")}`,
  );
}
