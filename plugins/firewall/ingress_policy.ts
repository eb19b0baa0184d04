/** `ingressPolicy`: which packets may reach the containers of a bridge (as the reference writes it). */
import type { Result } from "../../lib/cni/result.ts";
import { isInterfaceName } from "../../lib/cni/config.ts";
import type { Family } from "../../lib/base/ip.ts";
import type { FirewallRule, Place } from "../../lib/firewall/rule.ts";
import type { FirewallChange, FirewallView } from "../../lib/firewall/view.ts";
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
  const isolated: [FirewallRule, boolean] = [{
    ...at(STAGE_1),
    inDevice: own,
    outDevice: own,
    comment,
    target: { verdict: "DROP" },
  }, true];
  const wanted: [rule: FirewallRule, first: boolean][] = [
    [{ ...at("FORWARD"), comment: COMMENT, target: { jump: STAGE_1 } }, true],
    [{
      ...at(STAGE_1),
      inDevice: own,
      outDevice: other,
      comment,
      target: { jump: STAGE_2 },
    }, true],
    ...policy === "isolated" ? [isolated] : [],
    [{ ...at(STAGE_1), comment: COMMENT, target: { verdict: "RETURN" } }, false],
    [{ ...at(STAGE_2), outDevice: own, comment: COMMENT, target: { verdict: "DROP" } }, true],
    [{ ...at(STAGE_2), comment: COMMENT, target: { verdict: "RETURN" } }, false],
  ];
  return [
    ...[STAGE_1, STAGE_2].map(at).filter((place) => !view.hasChain(place))
      .map((addChain) => ({ addChain })),
    ...wanted.filter(([rule]) => view.missing([rule]).length > 0)
      .map(([add, first]) => ({ add, first })),
  ];
}
