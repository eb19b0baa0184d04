/** vrf: the container's interface in a routing domain of its own (the reference's plugins/meta/vrf). */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Result } from "../../lib/cni/result.ts";
import { isInterfaceName } from "../../lib/cni/config.ts";
import { quote } from "../../lib/base/json.ts";
import { trying } from "../../lib/kernel/lock.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import { addLink, setLink } from "../../lib/netlink/link_changes.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { copyRoute } from "../../lib/netlink/route_changes.ts";
import { interfaceAddress } from "../shared/addresses.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { ownInterface } from "../shared/marks.ts";
import { openNamespace } from "../shared/namespace.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { SINCE } from "../shared/since.ts";
import { removeLink } from "../shared/veth.ts";
import { IFLA } from "../../lib/netlink/numbers.ts";

const LAST_TABLE = 0xffff_ffff;
/** How long, in ms, the kernel may take to route to an address that was given back. */
const ROUTE_TIMEOUT = 2500;

export const vrf: Plugin = standardPlugin({ since: SINCE.vrf, add, del, check });

interface Domain {
  link: Link;
  table: number;
}

async function add(call: LiveCall): Promise<Result> {
  const name = readName(call);
  const wanted = call.config.integerFrom("table", 0, LAST_TABLE) || undefined;
  const result = requirePrevResult(call);
  // Open until all is undone, should it come to that.
  using container = Netlink.open(call.netns);
  return await undoingOnFailure(async (undo) => {
    const link = container.findLink(call.ifName);
    if (!link) throw wrong(`the container has no interface ${call.ifName}`);
    if (link.master) throw wrong(`${call.ifName} has already a master set`);
    const existing = findDomain(container, name);
    if (existing && wanted !== undefined && existing.table !== wanted) {
      throw wrong(
        `VRF ${name} already exist with different routing table ${existing.table}, and not ${wanted}`,
      );
    }
    const domain = existing ?? makeDomain(container, name, wanted);
    undo(() => leave(container, container.findLink(call.ifName), name));
    await join(container, link, domain);
    return result;
  });
}

function readName({ config }: Call): string {
  const name = config.text("vrfname") ?? "";
  if (isInterfaceName(name)) return name;
  throw wrong(`vrfname is ${quote(name)}; it must be the name of an interface`);
}

function findDomain(container: Netlink, name: string): Domain | undefined {
  const found = container.describeLink(name);
  if (!found) return undefined;
  if (found.link.kind !== "vrf") throw wrong(`${name} is there in the container and is no VRF`);
  return { link: found.link, table: found.data.u32(IFLA.VRF_TABLE) ?? 0 };
}

function makeDomain(container: Netlink, name: string, wanted: number | undefined): Domain {
  const table = wanted ?? freeTable(container);
  container.change(addLink({ name, kind: { kind: "vrf", table } }));
  container.setLinkUp(name);
  return { link: container.link(name), table };
}

/** The first table that no other VRF has. */
function freeTable(container: Netlink): number {
  const taken = new Set(
    container.links().filter(({ kind }) => kind === "vrf")
      .map(({ name }) => findDomain(container, name)?.table),
  );
  let table = 1;
  while (taken.has(table)) table++;
  return table;
}

/** The kernel drops an interface's routes and its IPv6 addresses when it joins a VRF: they come back. */
async function join(container: Netlink, link: Link, { link: vrf, table }: Domain): Promise<void> {
  const globals = () =>
    container.addressesOf(link.index)
      .filter(({ family, scope }) => family === "inet6" && scope === "global")
      .map(({ address, prefixLength }) => `${address}/${prefixLength}`);
  const before = globals();
  const routes = container.listedRoutesOf(link.index).filter(({ route }) =>
    route.table === "main" && route.scope === "global"
  );
  container.change(setLink(link.index, link.name, { master: vrf.index }));
  const after = globals();
  for (const address of before.filter((one) => !after.includes(one))) {
    container.change(addAddress(link.index, link.name, interfaceAddress(address)));
    await awaitRoute(container, address.slice(0, address.indexOf("/")), table);
  }
  for (const { listed } of routes) container.change(copyRoute(listed, table));
}

async function awaitRoute(container: Netlink, address: string, table: number): Promise<void> {
  const found = await trying(
    ROUTE_TIMEOUT,
    () =>
      container.routes().find((route) =>
        route.destination === `${address}/128` && route.table === `${table}`
      ),
  );
  if (!found) throw wrong(`${address} did not come into table ${table}`);
}

async function del(call: Call): Promise<void> {
  const name = readName(call);
  using container = openNamespace(call.netns);
  if (container) await leave(container, await ownInterface(call, container), name);
}

/** The last interface that leaves takes the VRF along. */
async function leave(container: Netlink, link: Link | undefined, name: string): Promise<void> {
  const domain = findDomain(container, name);
  if (!domain) return;
  if (link?.master === domain.link.index) {
    container.change(setLink(link.index, link.name, { master: 0 }));
  }
  if (container.links().some(({ master }) => master === domain.link.index)) return;
  await removeLink(container, domain.link);
}

function check(call: LiveCall): void {
  const name = readName(call);
  requirePrevResult(call);
  using container = Netlink.open(call.netns);
  const domain = findDomain(container, name);
  if (!domain) throw wrong(`the container has no VRF ${name} any more`);
  if (container.findLink(call.ifName)?.master !== domain.link.index) {
    throw wrong(`${call.ifName} is not in the VRF ${name}`);
  }
}
