/** What concerns the agent, and so all of its containers: read once. */
import { reasonOf } from "../../base/log.ts";
import { exists } from "../../base/exists.ts";
import { isObject, type JsonObject } from "../../base/json.ts";
import type { Catalog } from "../../cni/catalog.ts";
import { findPlugin } from "../../cni/find.ts";
import { findLauncher, launcherOf } from "../../cni/launcher.ts";
import { isBuiltIn, type Registry } from "../../cni/plugin_type.ts";
import { roomAt } from "../../kernel/room.ts";
import { findRunningAgent } from "../../mesos/running_agent.ts";
import { listeners } from "../../netlink/sock_diag.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import type { Agent } from "../agent.ts";
import { type Cause, cause, downCause, run, settingCause, sysctlName } from "../cause.ts";
import { blind, type Look, nothing, saw } from "../look.ts";
import { pluginsIn } from "../../cni/config.ts";
import { rangesIn } from "../ranges.ts";
import { isGateway, leadsOut, uplinksOf } from "../scene.ts";
import { takerOf } from "./link.ts";
import { unlessRefused } from "../../base/unless.ts";

/** A Mesos agent's port, if it was not told another. */
export const AGENT_PORT = 5051;

const FORWARDING = { 4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding" } as const;

/** The families in which the agent is the gateway of a container that lives. */
export function routedFamilies({ containers }: Pick<Agent, "containers">): (4 | 6)[] {
  const families = containers.filter(({ namespaceAlive }) => namespaceAlive)
    .flatMap(({ attachments }) => attachments).filter(isGateway)
    .flatMap(({ result }) => result?.ips ?? [])
    .map(({ address }): 4 | 6 => address.includes(":") ? 6 : 4);
  return [...new Set(families)];
}

/** Whether the agent forwards, by the families in which it is a container's gateway. */
export function forwardingOf(agent: Agent): Record<string, boolean> {
  return Object.fromEntries(
    routedFamilies(agent).map((family) => [
      `IPv${family}`,
      agent.host.setting(FORWARDING[family]) !== "0",
    ]),
  );
}

export function readForwarding(agent: Agent): Look {
  const families = routedFamilies(agent);
  if (families.length === 0) return nothing("it is no container's gateway");
  const value = (path: string) => agent.host.setting(path) ?? "absent";
  return saw(
    families.map((family) => FORWARDING[family])
      .map((path) => `${sysctlName(path)} is ${value(path)}`).join(", "),
    families.flatMap((family) => forwardingOff(agent.host, family)),
  );
}

/** Whether the agent forwards nothing of a family, or nothing that comes in by a device. */
export function forwardingOff(host: Space, family: 4 | 6, device?: string): Cause[] {
  const path = device === undefined ? FORWARDING[family] : `ipv${family}/conf/${device}/forwarding`;
  return host.setting(path) === "0"
    ? [settingCause("forwarding_off", "agent", host, [path, 1], { family, device })]
    : [];
}

/** From this part on, new connections are dropped sooner or later. */
const NEARLY_FULL = 0.97;

export function readConntrack({ host }: Agent): Look {
  const { count, most } = tracked(host);
  if (most === 0) return nothing("nothing is tracked here");
  const full = conntrackFull(host, NEARLY_FULL);
  return saw(`${count} of ${most}`, full ? [full] : []);
}

function tracked(host: Space) {
  const [count, most] = ["count", "max"].map((one) =>
    Number(host.setting(`netfilter/nf_conntrack_${one}`) ?? 0)
  ) as [number, number];
  return { count, most };
}

/** @param share of the table, from which on it is too full */
export function conntrackFull(host: Space, share: number): Cause | undefined {
  const { count, most } = tracked(host);
  if (most === 0 || count < most * share) return undefined;
  // It is the machine's, and only its first network namespace may change it.
  const isOurs = host.mayChange("netfilter/nf_conntrack_max");
  return cause(
    "conntrack_full",
    ["conntrack", "agent"],
    { value: String(most), why: isOurs ? undefined : "another namespace's" },
    [`net.netfilter.nf_conntrack_count is ${count}, its maximum (nf_conntrack_max) ${most}`],
    isOurs ? run(["sysctl", "-w", `net.netfilter.nf_conntrack_max=${most * 2}`]) : undefined,
  );
}

export function readUplinks(agent: Agent): Look {
  const { host, containers } = agent;
  const families = routedFamilies(agent);
  const ways = families.map((family) => ({ family, way: uplinksOf(host, family, containers)[0] }));
  const causes = ways.flatMap(({ family, way }): Cause[] => {
    if (way?.link.flags.includes("UP")) return [];
    // A link that is down has no routes by which it could be known.
    const down = way?.link ??
      host.links.find((link) =>
        !link.flags.includes("UP") && host.globalsOf(link, family).length > 0 &&
        link.peerNamespaceId === undefined && leadsOut(host, containers, link)
      );
    return down ? [downCause("uplink_down", "uplink", down, { family })] : [];
  });
  causes.push(
    ...host.links.flatMap((link) => enslaved(host, link, families)),
    ...families.includes(6) ? defaultLost(agent) : [],
  );
  const seen = ways.flatMap(({ family, way }) => way ? [`IPv${family} by ${way.link.name}`] : []);
  return seen.length + causes.length === 0
    ? nothing("it has no way out")
    : saw(seen.join(", "), causes);
}

/** Addresses of IPv6 that are a site's own lead nowhere by design (RFC 4193). */
const OF_A_SITE = /^f[cd]/;

/**
 * Containers were given a default route for IPv6, and the agent has none, though it has a global address of IPv6 that
 * came by itself, or on the link of its default route for IPv4: one that came by itself is lost when its time is over, or
 * the agent begins to forward. Of IPv4 many are local by design.
 */
function defaultLost({ host, containers }: Agent): Cause[] {
  const [given] = containers.filter(({ namespaceAlive }) => namespaceAlive)
    .flatMap(({ attachments }) => attachments)
    .filter((one) => isGateway(one) && one.result?.routes.some(({ dst }) => dst === "::/0"));
  const [by4, by6] = ([4, 6] as const).map((family) =>
    host.routesOf(family).find(({ destination, type }) =>
      destination === "default" && type === "unicast"
    )
  );
  if (!given || by6) return [];
  const way = (by4?.hops?.[0] ?? by4)?.link;
  const [own] = host.links.filter((one) => leadsOut(host, containers, one)).flatMap((link) =>
    host.globalsOf(link, 6).filter(({ address, flags }) =>
      !OF_A_SITE.test(address) && (link.index === way || !flags.includes("permanent"))
    ).map(({ address }) => ({ address, device: link.name }))
  );
  return !own ? [] : [cause("no_host_route", ["route", "uplink"], {
    family: 6,
    device: own.device,
    network: given.network,
    why: "default",
  }, [`ip address: ${own.address} on ${own.device}`])];
}

/** A link with an address and a default route, whose packets go to the bridge that it is a port of. */
export function enslaved(host: Space, link: Link, families: readonly (4 | 6)[]): Cause[] {
  const taker = takerOf(host, link);
  const isWayOut = families.some((family) =>
    host.globalsOf(link, family).length > 0 &&
    host.routesOf(family).some((one) =>
      one.destination === "default" && (one.hops ?? [one]).some((hop) => hop.link === link.index)
    )
  );
  if (!isWayOut || !taker) return [];
  return [cause(
    "uplink_enslaved",
    ["link", "uplink"],
    { device: link.name, other: taker.name },
    [`ip link: ${link.name} master ${taker.name}, which is a ${taker.kind}`],
  )];
}

export function readMesosAgent({ containers }: Agent): Look {
  const theirs = containers.filter(({ keeper, processAlive }) =>
    keeper === "agent" && processAlive
  );
  const running = unlessRefused(findRunningAgent);
  if (running) return saw(`process ${running.pid}`, []);
  if (theirs.length === 0) return nothing("no container here is a stock agent's");
  const at = listeners("tcp", AGENT_PORT);
  if (at.length > 0) return saw(`somebody listens on port ${AGENT_PORT}`, []);
  return saw("", [cause("agent_gone", ["agent", "agent"], {}, [
    `${theirs.length} containers of a stock agent live; no process is called mesos-agent or mesos-slave, and nobody listens on port ${AGENT_PORT}`,
  ])]);
}

export function readPluginDirectory({ sources }: Agent): Look {
  const { catalog, pluginsDir, isStock, plugins } = sources;
  if (!catalog) return nothing("no directory of networks is known");
  const networks = unlessRefused(catalog);
  if (!networks) return blind("the directory of networks can't be read");
  const needed = networks.names().map((network) =>
    [network, new Set(pluginsOf(networks, network).map(({ type }) => String(type)))] as const
  );
  const problems = new Map(
    needed.flatMap(([, types]) => [...types])
      .map((type) => [type, problemOf(type, pluginsDir ?? "", plugins, isStock === true)]),
  );
  return saw(
    `${problems.size} types in ${pluginsDir}`,
    needed.flatMap(([network, types]) =>
      [...types].flatMap((value) => {
        const { code, why } = problems.get(value) ?? {};
        const about = { network, value, file: pluginsDir };
        return code ? [cause(code, ["agent", "agent"], about, [why!])] : [];
      })
    ),
  );
}

/** The plugins of a network's config as it is now, with those that they call. */
function pluginsOf(catalog: Pick<Catalog, "read">, network: string): JsonObject[] {
  const { plugins } = unlessRefused(() => catalog.read(network).network) ?? { plugins: [] };
  return plugins.flatMap(({ raw }) => pluginsIn(raw));
}

interface Problem {
  code: "plugin_missing" | "plugin_stale";
  why: string;
}

/**
 * What is wrong with a plugin's file; a launcher of ours is nothing without its program.
 *
 * @param isStock whether a stock agent calls, which knows files alone
 */
function problemOf(
  type: string,
  pluginsDir: string,
  plugins: Registry,
  isStock: boolean,
): Problem | undefined {
  let file: string;
  try {
    file = findPlugin(type, pluginsDir);
  } catch (error) {
    if (!isStock && isBuiltIn(plugins, type)) return undefined;
    return { code: "plugin_missing", why: reasonOf(error) };
  }
  const launcher = findLauncher(file);
  if (!launcher) return undefined;
  const { program, answer, isIntact } = launcher;
  if (!exists(program)) {
    return { code: "plugin_missing", why: `${file} becomes ${program}, which is gone` };
  }
  const known = plugins.get(launcher.type);
  if (known && isIntact && answer === launcherOf(known, program).answer) return undefined;
  return { code: "plugin_stale", why: `${file} answers ${answer.trim()}` };
}

export async function readConfigs({ sources }: Agent): Promise<Look> {
  const linted = await sources.lint?.();
  if (!linted) return nothing("no directory of networks is known");
  return saw(
    "all files of its directory",
    linted.map(({ file, errors }) =>
      cause("config_errors", ["agent", "agent"], { file, value: String(errors) })
    ),
  );
}

/** The plugins of each network as its config is now; where none is known, as containers that live were given it. */
function pluginsByNetwork({ sources, containers }: Pick<Agent, "sources" | "containers">) {
  const networks = sources.catalog && unlessRefused(sources.catalog);
  if (networks) return networks.names().map((one) => [one, pluginsOf(networks, one)] as const);
  const given = containers.filter(({ namespaceAlive }) => namespaceAlive).flatMap((
    { attachments },
  ) =>
    attachments.map(({ network, plugins }) =>
      [network, plugins.flatMap((one) => isObject(one.ipam) ? [one, one.ipam] : [one])] as const
    )
  );
  return [...new Map(given)];
}

/** What host-local gives out for each network, and the directory of its leases. */
export function rangesOfNetworks(agent: Pick<Agent, "sources" | "containers">) {
  const { plugins: types } = agent.sources;
  return pluginsByNetwork(agent).flatMap(([network, plugins]) => {
    const traces = Object.assign(
      {},
      ...plugins.map((one) => types.get(String(one.type))?.traces?.(one, network)),
    );
    return rangesIn(plugins, traces).map((range) => ({
      network,
      at: traces.addressStore,
      isMasqueraded: plugins.some(({ ipMasq }) => ipMasq === true),
      ...range,
    }));
  });
}

export function readAddressRanges(agent: Agent): Look {
  const ranges = rangesOfNetworks(agent);
  if (ranges.length === 0) return nothing("no network's addresses are host-local's");
  return saw(
    ranges.map(({ network, free, size }) => `${network} ${free} of ${size}`).join(", "),
    [...Map.groupBy(ranges, ({ network }) => network).values()]
      .filter((all) => all.every(({ free }) => BigInt(free) <= 0n))
      .map(([{ network, size, at } = ranges[0]!]) =>
        cause("addresses_used_up", ["state", "agent"], {
          network,
          value: `all ${size} are leased`,
          file: at,
        }, [`${at} has a lease for each`])
      ),
  );
}

/** A checkpoint takes less than this. */
const LEAST_BYTES = 4 << 20;

export function readDisk({ sources }: Agent): Look {
  const { containers } = sources.layout;
  const room = roomAt(containers);
  if (!room) return nothing(`${containers} is not there`);
  const value = room.bytes < LEAST_BYTES
    ? `${room.bytes >> 10} KiB are left`
    : room.files !== undefined && room.files < 16
    ? `${room.files} inodes are left`
    : undefined;
  return saw(
    `${Math.floor(room.bytes / (1 << 20))} MiB at ${containers}`,
    value === undefined
      ? []
      : [cause("disk_full", ["state", "agent"], { file: containers, value })],
  );
}
