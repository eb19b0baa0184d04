/**
 * firewall: the container's packets are let through the host's filter (the reference's
 * plugins/meta/firewall): by rules of iptables, or as a source of a zone of firewalld.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { LiveAttachment, LostRules } from "../../lib/cni/plugin_type.ts";
import type { Result } from "../../lib/cni/result.ts";
import { familiesOf } from "../../lib/base/ip.ts";
import { type JsonObject, quote } from "../../lib/base/json.ts";
import { unlessRefused } from "../../lib/base/unless.ts";
import { HostRules } from "../../lib/firewall/host_rules.ts";
import { changeSources, missingSources, runsFirewalld } from "../../lib/firewall/firewalld.ts";
import type { Owner } from "../../lib/firewall/owner.ts";
import {
  type Passage,
  PASSAGE_CHAIN,
  passageRules,
  passages,
  removePassage,
} from "../../lib/firewall/passage.ts";
import type { Place } from "../../lib/firewall/rule.ts";
import { changeRules, type FirewallTransaction } from "../../lib/firewall/transaction.ts";
import { completing, type FirewallView, rulesOf, type Wanted } from "../../lib/firewall/view.ts";
import { isAnothers, networkNow, sayAnothers } from "../../lib/netlink/attached_network.ts";
import { chainProblem } from "../../lib/ports/mapping.ts";
import { withoutLength } from "../shared/addresses.ts";
import { Fields, wrong } from "../../lib/cni/fields.ts";
import {
  type Call,
  type LiveCall,
  prevResultOf,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { SINCE } from "../shared/since.ts";
import { isOfBridge, type Isolated, isolation, readIsolated } from "./ingress_policy.ts";

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
interface Way extends Passage {
  /** Where operators' own rules are. */
  admin: string;
  isolated?: Isolated | undefined;
}

async function add(call: LiveCall): Promise<Result> {
  const result = requirePrevResult(call);
  const way = {
    ...wayOf(call, call.config, result),
    attached: unlessRefused(() => networkNow(call.netns)),
  };
  await letThrough(way, call.invocation);
  return result;
}

async function letThrough(
  way: Way,
  { path, firewall }: { path: string; firewall?: FirewallTransaction },
): Promise<void> {
  const { addresses, zone } = way;
  await changeRules(firewall, path, "firewall", async function* () {
    const { admin: _, isolated: __, ...passage } = way;
    passages.write(passage);
    try {
      yield {
        families: familiesOf(addresses),
        plan: (view) => completing(view, wanted(way)),
        what: `let container ${way.containerId} through`,
      };
      if (zone !== undefined) await changeSources("add", zone, addresses, path);
    } catch (error) {
      await removePassage(way, path);
      throw error;
    }
  });
}

/** The chains and rules of a container and its bridge: also what leads to them, and to operators' own before. */
function wanted({ addresses, zone, admin, isolated }: Way): Wanted[] {
  return familiesOf(addresses).flatMap((family): Wanted[] => {
    const at = (chain: string): Place => ({ family, table: "filter", chain });
    const lead = (from: string, to: string, comment: string): Wanted => ({
      add: { ...at(from), comment, target: { jump: to } },
      first: true,
    });
    const through = [
      { addChain: at(PASSAGE_CHAIN) },
      { addChain: at(admin) },
      lead("FORWARD", PASSAGE_CHAIN, "CNI firewall plugin rules"),
      lead(PASSAGE_CHAIN, admin, "CNI firewall plugin admin overrides"),
      ...passageRules(addresses, family).map((add) => ({ add })),
    ];
    return [
      ...zone === undefined ? through : [],
      ...isolated ? isolation(isolated, family) : [],
    ];
  });
}

/** By the record; what an earlier program or the reference made, by the result. */
async function del(call: Call): Promise<void> {
  const attached = passages.read(call)?.attached;
  if (attached && await isAnothers(attached, call.netns)) return sayAnothers(call, attached);
  const result = prevResultOf(call);
  await removePassage(call, call.invocation.path, result ? addressesOf(result) : []);
}

async function check(call: Call): Promise<void> {
  const { path } = call.invocation;
  const way = wayOf(call, call.config, requirePrevResult(call));
  const missing = await missingOf(way, await new HostRules(path).own(), path);
  if (missing) throw wrong(missing[0]);
}

/** What is missing first, for people, and for whom that is. */
async function missingOf(
  way: Way,
  view: FirewallView,
  path: string,
): Promise<[text: string, of: LostRules] | undefined> {
  const { addresses, zone } = way;
  const [shut] = zone === undefined ? [] : await missingSources(zone, addresses, path);
  if (shut !== undefined) {
    return [`${shut} is no source of firewalld's zone ${zone}`, "passage_gone"];
  }
  const [lost] = view.missing(rulesOf(wanted(way)));
  if (!lost) return undefined;
  const what = lost.source ?? lost.destination;
  return [
    `a rule of ${lost.chain} is gone${what ? `: that of ${what.address}` : ""}`,
    isOfBridge(lost) ? "isolation_gone" : "passage_gone",
  ];
}

/** What somebody's flush or reload has taken, or a host that has gone over to the other kind of iptables. */
export async function missingPassage(
  config: JsonObject,
  { path, result, ...owner }: LiveAttachment,
  rules: HostRules,
): Promise<LostRules | undefined> {
  const way = wayOf(owner, new Fields(config), result);
  return (await missingOf(way, await rules.own(), path))?.[1];
}

/** Lets an attachment through again that is shut out, and keeps others out. */
export async function restorePassage(
  config: JsonObject,
  { path, result, ...owner }: LiveAttachment,
): Promise<boolean> {
  const { attached } = passages.read(owner) ?? {};
  await letThrough({ ...wayOf(owner, new Fields(config), result), attached }, { path });
  return true;
}

function addressesOf({ ips }: Result): string[] {
  return ips.map(({ address }) => withoutLength(address));
}

/** @throws {CniError} */
function wayOf({ containerId, network, ifName }: Owner, config: Fields, result: Result): Way {
  const backend = config.text("backend") ?? "";
  const isFirewalld = backend === "firewalld" || (backend !== "iptables" && runsFirewalld());
  const zone = config.text("firewalldZone") || ZONE;
  if (!/^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(zone)) {
    throw wrong(`firewalldZone is ${quote(zone)}; it must be a zone's name`);
  }
  const admin = config.text("iptablesAdminChainName") || ADMIN_CHAIN;
  // A chain with the name of a target is that target to iptables.
  if (chainProblem(admin) || admin === PASSAGE_CHAIN) {
    throw wrong(
      `iptablesAdminChainName is ${quote(admin)}; it must be the name of a chain of yours`,
    );
  }
  return {
    ...{ containerId, network, ifName, admin, addresses: addressesOf(result) },
    isolated: readIsolated(config, result),
    ...isFirewalld ? { zone } : {},
  };
}
