/** What `--probe` asks of the machine; each question at most once, when a rule needs the answer. */
import { variable } from "../base/environment.ts";
import { SystemError } from "../kernel/libc.ts";
import { inNewNamespaces } from "../kernel/namespaces.ts";
import { O_PATH, open } from "../kernel/files.ts";
import { probeKind } from "../netlink/link_changes.ts";
import { Netlink } from "../netlink/mod.ts";
import { askTool, findTool } from "../program/tool.ts";
import { isThisProgram } from "../cni/locate.ts";
import { versionsOf } from "../cni/spoken_versions.ts";
import { statOf } from "../base/exists.ts";
import { parsePrefix } from "../base/prefix.ts";

export type Machine = Awaited<ReturnType<typeof probe>>;

/**
 * Asks this machine. The plugins are asked here and now, all at once.
 *
 * @param plugins files of the plugins that the configs name
 */
export async function probe(plugins: readonly string[]) {
  const environment = { path: variable("PATH") ?? "", searchPath: "" };
  const versions = new Map(
    await Promise.all(
      plugins.map(async (file) => [file, await versionsOf(file, environment)] as const),
    ),
  );
  const routes = once(readRoutes);
  const kinds = new Map<string, boolean | undefined>();
  return {
    devices: once(readDevices),
    /** The main table's routes but for default ones. */
    routes: () => routes().routes,
    hasDefaultRoute: () => routes().hasDefault,
    /** Such as `1.8.9`; undefined if there is no iptables. */
    iptablesVersion: once(() =>
      /v(\d+(\.\d+)+)/.exec(run("iptables", "--version")?.text ?? "")?.[1]
    ),
    hasCommentMatch: once(() => run("iptables", "-m", "comment", "--help")?.code === 0),
    /** Whether the nat table has a chain of this name; undefined if only root is told. */
    hasNatChain(name: string): boolean | undefined {
      const { code = 4 } = run("iptables", "-w", "-t", "nat", "-n", "-L", name) ?? {};
      // 1: there is none of that name; 4: this user may not ask.
      return ({ 0: true, 1: false })[code];
    },
    /** Whether a new network has the file below /proc/sys; undefined if that can't be found out. */
    hasSysctl: (path: string) =>
      inNewNetwork(() => {
        using _ = open(`/proc/sys/${path}`, O_PATH);
      }, "ENOENT"),
    /** Whether the kernel can make links of this kind; undefined if that can't be found out. */
    canMake(kind: string): boolean | undefined {
      if (!kinds.has(kind)) kinds.set(kind, canMake(kind));
      return kinds.get(kind);
    },
    /** The versions that a plugin says it speaks; undefined if it didn't answer. */
    pluginVersions: (file: string) => versions.get(file),
    /** Whether a plugin's file is this very program. */
    isThisProgram,
    /** The type and permission bits of a file; undefined if there is none. */
    mode: (path: string) => statOf(path)?.mode ?? undefined,
  };
}

function readDevices() {
  using netlink = Netlink.open();
  const addresses = netlink.addresses();
  return netlink.links().map(({ index, name, mtu, kind }) => ({
    name,
    /** In bytes. */
    mtu,
    /** `bridge`, `veth`, …; absent for hardware. */
    kind,
    addresses: addresses.filter(({ link }) => link === index)
      .map(({ address, prefixLength }) => parsePrefix(`${address}/${prefixLength}`))
      .filter((prefix) => prefix !== undefined),
  }));
}

function readRoutes() {
  using netlink = Netlink.open();
  const names = new Map(netlink.links().map(({ index, name }) => [index, name]));
  const main = netlink.routes().filter(({ table, type }) => table === "main" && type === "unicast");
  const hops = (route: typeof main[number]) => route.hops?.[0]?.link ?? route.link;
  return {
    hasDefault: main.some(({ destination }) => destination === "default"),
    routes: main.flatMap((route) => {
      const prefix = parsePrefix(route.destination);
      const device = names.get(hops(route) ?? 0);
      return prefix && device ? [{ prefix, device }] : [];
    }),
  };
}

/** Whether the kernel knows a kind, asked in a network that ends with the question. */
function canMake(kind: string): boolean | undefined {
  return inNewNetwork(() => {
    using netlink = Netlink.open();
    netlink.change(probeKind(kind));
  }, "EOPNOTSUPP");
}

/**
 * Tries something in a network that ends with it.
 *
 * @param no the error that stands for no; any other means that it is there
 * @returns undefined if no network can be made: only root may
 */
function inNewNetwork(act: () => void, no: string): boolean | undefined {
  let isIn = false;
  try {
    inNewNamespaces(["net"], () => {
      isIn = true;
      act();
    });
    return true;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return isIn ? error.errnoName !== no : undefined;
  }
}

/** Undefined if there is no such program, also where administrators' programs are. */
function run(name: string, ...args: string[]): ReturnType<typeof askTool> | undefined {
  const file = findTool(name, variable("PATH") ?? "");
  return file === undefined ? undefined : askTool(file, args);
}

function once<T>(ask: () => T): () => T {
  let answer: { value: T } | undefined;
  return () => (answer ??= { value: ask() }).value;
}
