/** `ingressPolicy`: which packets may reach the containers of a bridge (as the reference writes it). */
import type { Result } from "../../lib/cni/result.ts";
import { isInterfaceName } from "../../lib/cni/config.ts";
import type { Family } from "../../lib/base/ip.ts";
import type { FirewallRule, Place } from "../../lib/firewall/rule.ts";
import {
  type AddedRule,
  completing,
  type FirewallChange,
  type FirewallView,
} from "../../lib/firewall/view.ts";
import { wrong } from "../shared/fields.ts";
import type { Call } from "../shared/standard_plugin.ts";

/** `same-bridge`: from containers of the same bridge; `isolated`: from none. */
export type IngressPolicy = "open" | "same-bridge" | "isolated";

const POLICIES: readonly string[] = ["open", "same-bridge", "isolated"];
const STAGE_1 = "CNI-ISOLATION-STAGE-1";
const STAGE_2 = "CNI-ISOLATION-STAGE-2";
const COMMENT = "CNI firewall plugin rules (ingressPolicy: same-bridge|isolated)";

/** @throws {CniError} */
export function readIngressPolicy({ config }: Call): IngressPolicy {
  const policy = config.text("ingressPolicy") || "open";
  if (POLICIES.includes(policy)) return policy as IngressPolicy;
  return config.fail("ingressPolicy", POLICIES.join(", "));
}

/** The bridge that the plugin before made. @throws {CniError} */
export function bridgeOf({ interfaces }: Result): string {
  const bridge = interfaces[0]?.name;
  if (bridge !== undefined && isInterfaceName(bridge)) return bridge;
  throw wrong("ingressPolicy needs the bridge that the plugin before made, and there is none");
}

/**
 * Keeps other bridges' containers out, and with `isolated` those of the same one. The rules are the
 * bridge's, and stay when a container goes.
 */
export function isolation(
  view: FirewallView,
  bridge: string,
  policy: IngressPolicy,
  family: Family,
): FirewallChange[] {
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
  return completing(view, [at(STAGE_1), at(STAGE_2)], [
    rule("FORWARD", { target: { jump: STAGE_1 } }, true),
    rule(STAGE_1, { ...within, outDevice: other, target: { jump: STAGE_2 } }, true),
    ...policy === "isolated"
      ? [rule(STAGE_1, { ...within, outDevice: own, target: { verdict: "DROP" } }, true)]
      : [],
    rule(STAGE_1, { target: { verdict: "RETURN" } }),
    rule(STAGE_2, { outDevice: own, target: { verdict: "DROP" } }, true),
    rule(STAGE_2, { target: { verdict: "RETURN" } }),
  ]);
}
