/**
 * firewall: the container's packets are let through the host's filter (the reference's
 * plugins/meta/firewall): by rules of iptables, or as a source of a zone of firewalld.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { LiveAttachment } from "../../lib/cni/plugin_type.ts";
import type { Result } from "../../lib/cni/result.ts";
import { FAMILIES, type Family } from "../../lib/base/ip.ts";
import { type JsonObject, quote } from "../../lib/base/json.ts";
import { Firewall } from "../../lib/firewall/firewall.ts";
import { changeSources, missingSources, runsFirewalld } from "../../lib/firewall/firewalld.ts";
import type { Owner } from "../../lib/firewall/owner.ts";
import {
  PASSAGE_CHAIN,
  passageRules,
  recordPassage,
  removePassage,
} from "../../lib/firewall/passage.ts";
import type { FirewallRule, Place } from "../../lib/firewall/rule.ts";
import { changeRules, type FirewallTransaction } from "../../lib/firewall/transaction.ts";
import { completing, type FirewallChange, type FirewallView } from "../../lib/firewall/view.ts";
import { withoutLength } from "../shared/addresses.ts";
import { Fields, wrong } from "../shared/fields.ts";
import {
  type Call,
  prevResultOf,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { SINCE } from "../shared/since.ts";
import { bridgeOf, isolation, readIngressPolicy } from "./ingress_policy.ts";

export const firewall: Plugin = standardPlugin({
  since: SINCE.firewall,
  ignoresNamespace: true,
  add,
  del,
  check,
});

const ADMIN_CHAIN = "CNI-ADMIN";
const ZONE = "trusted";

/** Who is let through, by which way. */
interface Way extends Owner {
  addresses: readonly string[];
  /** Of firewalld; else by rules. */
  zone?: string;
  /** Where operators' own rules are. */
  admin: string;
}

async function add(call: Call): Promise<Result> {
  const result = requirePrevResult(call);
  const policy = readIngressPolicy(call);
  const way = wayOf(call, call.config, addressesOf(result));
  const bridge = policy === "open" ? undefined : bridgeOf(result);
  const more = bridge === undefined
    ? () => []
    : (view: FirewallView, family: Family) => isolation(view, bridge, policy, family);
  await letThrough(way, call.invocation, more);
  return result;
}

async function letThrough(
  way: Way,
  { path, firewall }: { path: string; firewall?: FirewallTransaction },
  more: (view: FirewallView, family: Family) => FirewallChange[] = () => [],
): Promise<void> {
  const { addresses, zone, admin } = way;
  const families = FAMILIES.filter((family) => passageRules(addresses, family).length > 0);
  await changeRules(firewall, path, "firewall", async (change) => {
    recordPassage(way);
    try {
      await change({
        families,
        plan: (view) =>
          families.flatMap((family) => [
            ...zone === undefined
              ? completing(view, [PASSAGE_CHAIN, admin].map((chain) => at(family, chain)), [
                ...leading(family, admin).map((add) => ({ add, first: true })),
                ...passageRules(addresses, family).map((add) => ({ add })),
              ])
              : [],
            ...more(view, family),
          ]),
        what: `let container ${way.containerId} through`,
      });
      if (zone !== undefined) await changeSources("add", zone, addresses, path);
    } catch (error) {
      await removePassage(way, path);
      throw error;
    }
  });
}

const at = (family: Family, chain: string): Place => ({ family, table: "filter", chain });

/** What leads to the containers' rules, and to the operators' own before them. */
function leading(family: Family, admin: string): FirewallRule[] {
  const [rules, overrides] = ["CNI firewall plugin rules", "CNI firewall plugin admin overrides"];
  return [
    { ...at(family, "FORWARD"), comment: rules, target: { jump: PASSAGE_CHAIN } },
    { ...at(family, PASSAGE_CHAIN), comment: overrides, target: { jump: admin } },
  ];
}

/** By the record; what an earlier program or the reference made, by the result. */
async function del(call: Call): Promise<void> {
  const result = prevResultOf(call);
  await removePassage(call, call.invocation.path, result ? addressesOf(result) : []);
}

async function check(call: Call): Promise<void> {
  const { path } = call.invocation;
  const way = wayOf(call, call.config, addressesOf(requirePrevResult(call)));
  const view = await (await Firewall.of(path)).look();
  const missing = await missingOf(way, view, path);
  if (missing !== undefined) throw wrong(missing);
}

async function missingOf(way: Way, view: FirewallView, path: string): Promise<string | undefined> {
  const { addresses, zone, admin } = way;
  if (zone !== undefined) {
    const [lost] = await missingSources(zone, addresses, path);
    return lost && `${lost} is no source of firewalld's zone ${zone}`;
  }
  const [lost] = FAMILIES.flatMap((family) => {
    const own = passageRules(addresses, family);
    return own.length > 0 ? view.missing([...leading(family, admin), ...own]) : [];
  });
  if (!lost) return undefined;
  const what = lost.source ?? lost.destination;
  return `a rule of ${lost.chain} is gone${what ? `: that of ${what.address}` : ""}`;
}

/** Lets an attachment through again that somebody's flush or reload has shut out. */
export async function restorePassage(
  config: JsonObject,
  { path, addresses, ...owner }: LiveAttachment,
): Promise<boolean> {
  const way = wayOf(owner, new Fields(config), addresses.map(withoutLength));
  const view = await (await Firewall.of(path)).look();
  if (await missingOf(way, view, path) === undefined) return false;
  await letThrough(way, { path });
  return true;
}

/** @param views all that there is of the host's rules */
export async function missingPassage(
  config: JsonObject,
  { path, addresses, ...owner }: LiveAttachment,
  views: readonly FirewallView[],
): Promise<"passage_gone" | undefined> {
  const way = wayOf(owner, new Fields(config), addresses.map(withoutLength));
  for (const view of views) {
    if (await missingOf(way, view, path) === undefined) return undefined;
  }
  return "passage_gone";
}

function addressesOf({ ips }: Result): string[] {
  return ips.map(({ address }) => withoutLength(address));
}

/** @throws {CniError} */
function wayOf(
  { containerId, network, ifName }: Owner,
  config: Fields,
  addresses: readonly string[],
): Way {
  const backend = config.text("backend") ?? "";
  const isFirewalld = backend === "firewalld" || (backend !== "iptables" && runsFirewalld());
  const zone = config.text("firewalldZone") || ZONE;
  if (!/^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(zone)) {
    throw wrong(`firewalldZone is ${quote(zone)}; it must be a zone's name`);
  }
  const admin = config.text("iptablesAdminChainName") || ADMIN_CHAIN;
  if (!/^[A-Za-z0-9_][A-Za-z0-9_-]{0,27}$/.test(admin)) {
    throw wrong(`iptablesAdminChainName is ${quote(admin)}; it must be a chain's name`);
  }
  return { containerId, network, ifName, addresses, admin, ...isFirewalld ? { zone } : {} };
}
