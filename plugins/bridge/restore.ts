/** Rules of bridge that somebody has taken from a container which goes on: masquerading and `macspoofchk`. */
import type { JsonObject } from "../../lib/base/json.ts";
import type { LiveAttachment, LostRules } from "../../lib/cni/plugin_type.ts";
import {
  addMacSpoofCheck,
  hasMacSpoofCheck,
  removeMacSpoofCheck,
} from "../../lib/firewall/mac_spoof_check.ts";
import type { HostRules } from "../../lib/firewall/host_rules.ts";
import { Fields } from "../../lib/cni/fields.ts";
import { missingMasquerade, restoreMasquerade } from "../shared/masquerade.ts";

/** @returns whether it could @throws {OperatorError} */
export async function restoreRules(
  config: JsonObject,
  attachment: LiveAttachment,
  lost: LostRules,
): Promise<boolean> {
  const isMasqueraded = lost === "masquerade_gone" &&
    await restoreMasquerade(config, attachment);
  const { result: { interfaces }, ifName } = attachment;
  const [, host] = interfaces.filter(({ sandbox }) => sandbox === undefined);
  const inside = interfaces.find(({ name, sandbox }) => sandbox !== undefined && name === ifName);
  if (!isUnchecked(config, attachment) || !host || !inside?.mac) return isMasqueraded;
  removeMacSpoofCheck(attachment);
  addMacSpoofCheck(attachment, host.name, inside.mac);
  return true;
}

/** @throws {OperatorError} */
export async function missingRules(
  config: JsonObject,
  attachment: LiveAttachment,
  rules: HostRules,
): Promise<LostRules | undefined> {
  const isUnmasked = await missingMasquerade(config, attachment, rules);
  return isUnmasked ?? (isUnchecked(config, attachment) ? "isolation_gone" : undefined);
}

function isUnchecked(config: JsonObject, attachment: LiveAttachment): boolean {
  return new Fields(config).flag("macspoofchk") && !hasMacSpoofCheck(attachment);
}
