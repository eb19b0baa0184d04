/**
 * sbr: what a container sends from an address of the interface leaves by the interface (the
 * reference's plugins/meta/sbr): a routing table for each address, and a rule that leads to it.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { bytesOf, contains, parseAddress } from "../../lib/base/prefix.ts";
import { Netlink, type Route, type Rule } from "../../lib/netlink/mod.ts";
import {
  addRoute,
  copyRoute,
  deleteListedRoute,
  replaceRoute,
  RT_SCOPE_LINK,
} from "../../lib/netlink/route_changes.ts";
import { addSourceRule, deleteSourceRule } from "../../lib/netlink/rule_changes.ts";
import {
  bytesOfAddress,
  hostNetwork,
  interfaceAddress,
  networkOf,
  prefixOf,
  withoutLength,
} from "../shared/addresses.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { ownInterface } from "../shared/marks.ts";
import { openNamespace } from "../shared/namespace.ts";
import {
  type Call,
  type LiveCall,
  prevResultOf,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { undoingOnFailure } from "../shared/undo.ts";

export const sbr: Plugin = standardPlugin({ add, del });

const FIRST_TABLE = 100;

async function add(call: LiveCall): Promise<Result> {
  const result = requirePrevResult(call);
  const table = call.config.integer("table");
  const ips = addressesOf(call, result);
  // Open until all is undone, should it come to that.
  using container = Netlink.open(call.netns);
  return await undoingOnFailure((undo) => {
    undo(() => removeRules(call, ips.map(({ address }) => withoutLength(address))));
    if (table === undefined) moveRoutes(container, call, ips);
    else for (const ip of ips) container.change(ruleOf(ip, table));
    return result;
  });
}

function addressesOf({ ifName }: Call, { ips, interfaces }: Result): IpConfig[] {
  if (ips.length === 0) throw wrong(`prevResult has no address: sbr follows what makes ${ifName}`);
  return ips.filter((ip) => {
    const of = ip.interface === undefined ? undefined : interfaces[ip.interface];
    return of === undefined || of.name === ifName;
  });
}

function ruleOf({ address }: IpConfig, table: number) {
  return addSourceRule({ source: hostNetwork(bytesOfAddress(withoutLength(address))), table });
}

/** `gateways`, by family: they count more than what the plugin before says. @throws {CniError} */
function readGateways({ config }: Call): Map<4 | 6, Uint8Array> {
  const gateways = new Map<4 | 6, Uint8Array>();
  for (const text of config.texts("gateways")) {
    const address = parseAddress(text);
    if (!address) return config.fail("gateways", "a list of IP addresses");
    if (gateways.has(address.family)) {
      throw wrong(
        `gateways list contains multiple IPv${address.family} addresses: ${text} is one more`,
      );
    }
    gateways.set(address.family, bytesOf(address));
  }
  return gateways;
}

/**
 * The interface's routes go from the main table to those of its addresses. With `addSourceHints`, the
 * main table keeps those to the networks of the addresses, and with them the address to send from.
 */
function moveRoutes(container: Netlink, call: LiveCall, ips: readonly IpConfig[]): void {
  const { index } = container.link(call.ifName);
  const gateways = readGateways(call);
  const hints = call.config.flag("addSourceHints");
  const rules = container.rules();
  const routes = container.listedRoutesOf(index).filter(({ route }) => route.table === "main");
  let table = FIRST_TABLE;
  for (const ip of ips) {
    table = freeTable(rules, table);
    container.change(ruleOf(ip, table));
    const { family } = prefixOf(ip.address);
    const gateway = gateways.get(family) ?? (ip.gateway && bytesOfAddress(ip.gateway));
    if (gateway) {
      const destination = { bytes: new Uint8Array(family === 4 ? 4 : 16), prefixLength: 0 };
      container.change(addRoute({ destination, link: index, gateway, table }));
    }
    for (const { route, listed } of routes) {
      if (belongs(route, ip)) container.change(copyRoute(listed, table));
    }
    table++;
  }
  for (const { address } of hints ? ips : []) {
    const own = interfaceAddress(address);
    const route = { destination: networkOf(own), link: index, source: own.bytes };
    container.change(replaceRoute({ ...route, scope: RT_SCOPE_LINK }));
  }
  // Only now: the routes to gateways are needed until all of them are known.
  for (const { route, listed } of routes) {
    if (!hints || route.scope !== "link") container.change(deleteListedRoute(listed));
  }
}

/** The next table that no rule leads to. */
function freeTable(rules: readonly Rule[], from: number): number {
  const taken = new Set(rules.map(({ table }) => table));
  let table = from;
  while (taken.has(`${table}`)) table++;
  return table;
}

function belongs({ source, gateway }: Route, { address }: IpConfig): boolean {
  if (source === undefined && gateway === undefined) return true;
  const network = prefixOf(address);
  return [source, gateway].some((text) => {
    const other = text === undefined ? undefined : parseAddress(text);
    return other !== undefined && contains(network, other);
  });
}

async function del(call: Call): Promise<void> {
  await removeRules(
    call,
    (prevResultOf(call)?.ips ?? []).map(({ address }) => withoutLength(address)),
  );
}

/** The rules for what the interface has, or had at ADD. */
async function removeRules(call: Call, made: readonly string[]): Promise<void> {
  using container = openNamespace(call.netns);
  if (!container) return;
  const link = await ownInterface(call, container);
  const addresses = new Set([
    ...made,
    ...link ? container.addressesOf(link.index).map(({ address }) => address) : [],
  ]);
  const table = call.config.integer("table");
  for (const rule of container.rules()) {
    const source = rule.from === "all" ? undefined : withoutLength(rule.from);
    if (source === undefined || !addresses.has(source) || !Number(rule.table)) continue;
    if (table !== undefined && rule.table !== `${table}`) continue;
    const deleted = deleteSourceRule({
      source: hostNetwork(bytesOfAddress(source)),
      table: Number(rule.table),
      priority: rule.priority,
    });
    container.change({ ...deleted, unless: "ENOENT" });
  }
}
