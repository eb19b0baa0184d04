/**
 * Masquerading (`ipMasq`): what a container sends out of its network has the host's address as its
 * source. Chains, comments and table are the reference's (pkg/ip), so that either can undo what the
 * other made.
 */
import type { JsonObject } from "../../lib/base/json.ts";
import type { LiveAttachment } from "../../lib/cni/plugin_type.ts";
import { usualBackend } from "../../lib/ports/backends.ts";
import { Fields, wrong } from "./fields.ts";
import {
  addIptablesMasquerade,
  hasIptablesMasquerade,
  removeIptablesMasquerade,
} from "./masquerade_iptables.ts";
import type { Masqueraded } from "./masqueraded.ts";

/** Masquerades what these addresses, in CIDR notation, send. @throws {OperatorError} */
export async function addMasquerade(
  call: Masqueraded,
  addresses: readonly string[],
): Promise<void> {
  const { path } = call.invocation;
  const backend = backendOf(call);
  if (backend === "nftables") {
    const { addNftablesMasquerade } = await import("./masquerade_nftables.ts");
    return await addNftablesMasquerade(call, addresses);
  }
  if (backend !== "iptables") {
    throw wrong(`ipMasqBackend is ${JSON.stringify(backend)}; it must be iptables or nftables`);
  }
  const legacy = await import("./masquerade_legacy.ts");
  if (legacy.isLegacyInUse(path)) return await legacy.addLegacyMasquerade(call, addresses);
  await addIptablesMasquerade(call, addresses);
}

/**
 * Masquerades again what somebody has flushed. Without that, the reference's DEL fails as well, since
 * it deletes a jump to a chain that is not there.
 *
 * @returns whether it was missing
 * @throws {OperatorError}
 */
export async function restoreMasquerade(
  config: JsonObject,
  { addresses, path, ...owner }: LiveAttachment,
): Promise<boolean> {
  const call: Masqueraded = { ...owner, config: new Fields(config), invocation: { path } };
  if (!call.config.flag("ipMasq") || addresses.length === 0) return false;
  if (await isMasqueraded(call)) return false;
  await addMasquerade(call, addresses);
  return true;
}

/**
 * Whether no backend has anything of a container that is to be masqueraded. Of iptables-legacy, only
 * its own program could tell: that takes too long for a list.
 *
 * @throws {SystemError}
 */
export async function missingMasquerade(
  config: JsonObject,
  { addresses, path, ...owner }: LiveAttachment,
): Promise<string | undefined> {
  if (!new Fields(config).flag("ipMasq") || addresses.length === 0) return undefined;
  const [legacy, nftables] = await Promise.all([
    import("./masquerade_legacy.ts"),
    import("./masquerade_nftables.ts"),
  ]);
  const isThere = legacy.isLegacyInUse(path) || await hasIptablesMasquerade(owner) ||
    await nftables.hasNftablesMasquerade(owner);
  return isThere ? undefined : "masquerading missing";
}

async function isMasqueraded(call: Masqueraded): Promise<boolean> {
  if (backendOf(call) === "nftables") {
    return await (await import("./masquerade_nftables.ts")).hasNftablesMasquerade(call);
  }
  const legacy = await import("./masquerade_legacy.ts");
  return legacy.isLegacyInUse(call.invocation.path)
    ? await legacy.hasLegacyMasquerade(call)
    : await hasIptablesMasquerade(call);
}

function backendOf({ config, invocation: { path } }: Masqueraded): string {
  return config.text("ipMasqBackend") ??
    usualBackend(path);
}

/**
 * Removes what either backend made, whichever the addresses were: the config may have changed
 * since.
 *
 * @throws {OperatorError}
 */
export async function removeMasquerade(call: Masqueraded): Promise<void> {
  await removeIptablesMasquerade(call);
  const nftables = await import("./masquerade_nftables.ts");
  await nftables.removeNftablesMasquerade(call);
  const legacy = await import("./masquerade_legacy.ts");
  if (legacy.isLegacyInUse(call.invocation.path)) await legacy.removeLegacyMasquerade(call);
}
