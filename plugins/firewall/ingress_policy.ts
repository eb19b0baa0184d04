/** `ingressPolicy`: which packets may reach the containers of a bridge (as the reference writes it). */
import type { Result } from "../../lib/cni/result.ts";
import { isInterfaceName } from "../../lib/cni/config.ts";
import type { Family } from "../../lib/base/ip.ts";
import { type FirewallRule, jumpOf, type Place } from "../../lib/firewall/rule.ts";
import type { AddedRule, Wanted } from "../../lib/firewall/view.ts";
import { type Fields, wrong } from "../../lib/cni/fields.ts";

/** `same-bridge`: from containers of the same bridge; `isolated`: from none. */
export type IngressPolicy = "open" | "same-bridge" | "isolated";

const POLICIES: readonly string[] = ["open", "same-bridge", "isolated"];
const STAGE_1 = "CNI-ISOLATION-STAGE-1";
const STAGE_2 = "CNI-ISOLATION-STAGE-2";
const COMMENT = "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)";

/** The bridge that the plugin before made, whose containers are kept from others' packets. */
export interface Isolated {
  bridge: string;
  policy: IngressPolicy;
}

/** Undefined where everybody may reach the containers. @throws {CniError} */
export function readIsolated(config: Fields, { interfaces }: Result): Isolated | undefined {
  const policy = config.text("ingressPolicy") || "open";
  if (!POLICIES.includes(policy)) config.fail("ingressPolicy", POLICIES.join(", "));
  if (policy === "open") return undefined;
  const bridge = interfaces[0]?.name;
  if (bridge !== undefined && isInterfaceName(bridge)) {
    return { bridge, policy: policy as IngressPolicy };
  }
  throw wrong("ingressPolicy needs the bridge that the plugin before made, and there is none");
}

/**
 * Keeps other bridges' containers out, and with `isolated` those of the same one. The rules are the
 * bridge's, and stay when a container goes.
 */
export function isolation({ bridge, policy }: Isolated, family: Family): Wanted[] {
  const comment = `CNI firewall plugin rules (ingressPolicy: ${policy})`;
  const [own, other] = [{ is: bridge }, { is: bridge, not: true }];
  const at = (chain: string): Place => ({ family, table: "filter", chain });
  const rule = (
    chain: string,
    rest: Omit<FirewallRule, keyof Place>,
    first = false,
  ): AddedRule => ({
    add: { ...at(chain), comment: COMMENT, ...rest },
    first,
  });
  const within: Pick<FirewallRule, "inDevice" | "comment"> = { inDevice: own, comment };
  return [
    { addChain: at(STAGE_1) },
    { addChain: at(STAGE_2) },
    rule("FORWARD", { target: { jump: STAGE_1 } }, true),
    rule(STAGE_1, { ...within, outDevice: other, target: { jump: STAGE_2 } }, true),
    ...policy === "isolated"
      ? [rule(STAGE_1, { ...within, outDevice: own, target: { verdict: "DROP" } }, true)]
      : [],
    rule(STAGE_1, { target: { verdict: "RETURN" } }),
    rule(STAGE_2, { outDevice: own, target: { verdict: "DROP" } }, true),
    rule(STAGE_2, { target: { verdict: "RETURN" } }),
  ];
}

/** Whether a rule is one of these, or leads to them. */
export function isOfBridge(rule: FirewallRule): boolean {
  return [rule.chain, jumpOf(rule)].some((chain) => chain === STAGE_1 || chain === STAGE_2);
}
