/**
 * Masquerading (`ipMasq`): what a container sends out of its network has the host's address as its
 * source. Chains, comments and table are the reference's (pkg/ip), so that either can undo what the
 * other made.
 */
import { findTool } from "../../lib/program/tool.ts";
import { wrong } from "./fields.ts";
import { addIptablesMasquerade, removeIptablesMasquerade } from "./masquerade_iptables.ts";
import type { Call } from "./standard_plugin.ts";

/** Masquerades what these addresses, in CIDR notation, send. @throws {OperatorError} */
export async function addMasquerade(call: Call, addresses: readonly string[]): Promise<void> {
  const { path } = call.invocation;
  const backend = call.config.text("ipMasqBackend") ??
    (findTool("iptables", path) === undefined ? "nftables" : "iptables");
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
 * Removes what either backend made, whichever the addresses were: the config may have changed
 * since.
 *
 * @throws {OperatorError}
 */
export async function removeMasquerade(call: Call): Promise<void> {
  await removeIptablesMasquerade(call);
  const nftables = await import("./masquerade_nftables.ts");
  await nftables.removeNftablesMasquerade(call);
  const legacy = await import("./masquerade_legacy.ts");
  if (legacy.isLegacyInUse(call.invocation.path)) await legacy.removeLegacyMasquerade(call);
}
