/**
 * firewall: the container's packets are let through the host's filter (the reference's
 * plugins/meta/firewall), in the tables of iptables-nft and without its program.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Result } from "../../lib/cni/result.ts";
import { type IptablesChange, IptablesTables } from "../../lib/nft/iptables_tables.ts";
import { type IptablesRule, network } from "../../lib/nft/iptables_rule.ts";
import { exists } from "../../lib/base/exists.ts";
import { quote } from "../../lib/base/json.ts";
import { isV6, withoutLength } from "../shared/addresses.ts";
import { wrong } from "../shared/fields.ts";
import {
  type Call,
  prevResultOf,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { SINCE } from "../shared/since.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { addIsolation, readIngressPolicy } from "./ingress_policy.ts";

export const firewall: Plugin = standardPlugin({
  since: SINCE.firewall,
  ignoresNamespace: true,
  add,
  del: (call) => Promise.resolve(del(call)),
  check: (call) => Promise.resolve(check(call)),
});

const CHAIN = "CNI-FORWARD";
const ADMIN_CHAIN = "CNI-ADMIN";
const FAMILIES = [4, 6] as const;
type Family = typeof FAMILIES[number];

async function add(call: Call): Promise<Result> {
  const result = requirePrevResult(call);
  const admin = readAdminChain(call);
  const policy = readIngressPolicy(call);
  return await undoingOnFailure((undo) => {
    for (const family of FAMILIES) {
      const wanted = rulesOf(result, family);
      if (wanted.length === 0) continue;
      undo(() => remove(result, family));
      const tables = new IptablesTables(family);
      tables.change(() => [
        ...chain(tables, CHAIN),
        ...chain(tables, admin),
        ...missing(tables, "FORWARD", JUMP, true),
        ...missing(tables, CHAIN, adminJump(admin), true),
        ...wanted.flatMap((rule) => missing(tables, CHAIN, rule)),
      ], `let ${call.containerId} through`);
    }
    if (policy !== "open") addIsolation(result, policy);
    return Promise.resolve(result);
  });
}

function del(call: Call): void {
  const result = prevResultOf(call);
  if (result) { for (const family of FAMILIES) remove(result, family); }
}

function check(call: Call): void {
  const result = requirePrevResult(call);
  const admin = readAdminChain(call);
  for (const family of FAMILIES) {
    const wanted = rulesOf(result, family);
    if (wanted.length === 0) continue;
    const tables = new IptablesTables(family);
    const all = [["FORWARD", JUMP], [CHAIN, adminJump(admin)]] as [string, IptablesRule][];
    for (const [where, rule] of [...all, ...wanted.map((rule) => [CHAIN, rule] as const)]) {
      if (tables.find("filter", where, rule).length > 0) continue;
      const what = rule.source ?? rule.destination;
      throw wrong(`a rule of ${where} is gone${what ? `: that of ${what.address}` : ""}`);
    }
  }
}

const JUMP: IptablesRule = { comment: "CNI firewall plugin rules", target: { jump: CHAIN } };

function adminJump(chain: string): IptablesRule {
  return { comment: "CNI firewall plugin admin overrides", target: { jump: chain } };
}

/** The answers to what a container asked, and all that it sends. */
function rulesOf({ ips }: Result, family: Family): IptablesRule[] {
  return ips.filter(({ address }) => isV6(address) === (family === 6)).flatMap(({ address }) => {
    const own = network(`${withoutLength(address)}/${family === 4 ? 32 : 128}`);
    return [
      {
        destination: own,
        states: { is: ["RELATED", "ESTABLISHED"] },
        target: { verdict: "ACCEPT" },
      },
      { source: own, target: { verdict: "ACCEPT" } },
    ] satisfies IptablesRule[];
  });
}

function chain(tables: IptablesTables, name: string): IptablesChange[] {
  if (tables.rules.hasChain("filter", name)) return [];
  return [{ add: "chain", table: "filter", chain: name }];
}

function missing(
  tables: IptablesTables,
  where: string,
  rule: IptablesRule,
  first = false,
): IptablesChange[] {
  if (tables.find("filter", where, rule).length > 0) return [];
  return [{ add: "rule", table: "filter", chain: where, rule, first }];
}

function remove(result: Result, family: Family): void {
  const tables = new IptablesTables(family);
  tables.change(
    () =>
      rulesOf(result, family).flatMap((rule) => tables.find("filter", CHAIN, rule))
        .map((rule) => ({ delete: "rule", rule } as const)),
    "take back what let a container through",
  );
}

/** @throws {CniError} also for a host whose filter is another program's */
function readAdminChain({ config }: Call): string {
  const backend = config.text("backend") ?? "";
  const isFirewalld = backend === "firewalld" ||
    (backend !== "iptables" && exists("/run/firewalld.pid"));
  if (isFirewalld) {
    throw wrong(
      "this host's filter is firewalld's, which this plugin does not talk to: set backend to " +
        "iptables, or install the firewall plugin of containernetworking/plugins",
    );
  }
  const name = config.text("iptablesAdminChainName") || ADMIN_CHAIN;
  if (/^[A-Za-z0-9_][A-Za-z0-9_-]{0,27}$/.test(name)) return name;
  throw wrong(`iptablesAdminChainName is ${quote(name)}; it must be a chain's name`);
}
