/** `ingressPolicy`: which packets may reach the containers of a bridge (as the reference writes it). */
import type { Result } from "../../lib/cni/result.ts";
import { isInterfaceName } from "../../lib/cni/config.ts";
import { type IptablesChange, IptablesTables } from "../../lib/nft/iptables_tables.ts";
import type { IptablesRule } from "../../lib/nft/iptables_rule.ts";
import { isV6 } from "../shared/addresses.ts";
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

/**
 * Keeps other bridges' containers out, and with `isolated` those of the same one. The rules are the
 * bridge's, and stay when a container goes.
 *
 * @throws {OperatorError}
 */
export function addIsolation({ interfaces, ips }: Result, policy: IngressPolicy): void {
  const bridge = interfaces[0]?.name;
  if (bridge === undefined || !isInterfaceName(bridge)) {
    throw wrong("ingressPolicy needs the bridge that the plugin before made, and there is none");
  }
  const families = new Set(ips.map(({ address }) => isV6(address) ? 6 : 4 as const));
  for (const family of families) {
    const tables = new IptablesTables(family as 4 | 6);
    tables.change(() => changes(tables, bridge, policy), `isolate ${bridge}`);
  }
}

function changes(tables: IptablesTables, bridge: string, policy: IngressPolicy): IptablesChange[] {
  const comment = `CNI firewall plugin rules (ingressPolicy: ${policy})`;
  const [own, other] = [{ is: bridge }, { is: bridge, not: true }];
  const wanted: [chain: string, rule: IptablesRule, first: boolean][] = [
    ["FORWARD", { comment: COMMENT, target: { jump: STAGE_1 } }, true],
    [STAGE_1, { inDevice: own, outDevice: other, comment, target: { jump: STAGE_2 } }, true],
  ];
  if (policy === "isolated") {
    wanted.push([STAGE_1, {
      inDevice: own,
      outDevice: own,
      comment,
      target: { verdict: "DROP" },
    }, true]);
  }
  wanted.push(
    [STAGE_1, { comment: COMMENT, target: { verdict: "RETURN" } }, false],
    [STAGE_2, { outDevice: own, comment: COMMENT, target: { verdict: "DROP" } }, true],
    [STAGE_2, { comment: COMMENT, target: { verdict: "RETURN" } }, false],
  );
  return [
    ...[STAGE_1, STAGE_2].filter((chain) => !tables.rules.hasChain("filter", chain))
      .map((chain) => ({ add: "chain", table: "filter", chain } as const)),
    ...wanted.filter(([chain, rule]) => tables.find("filter", chain, rule).length === 0)
      .map(([chain, rule, first]): IptablesChange => ({
        add: "rule",
        table: "filter",
        chain,
        rule,
        first,
      })),
  ];
}
