/**
 * Masquerading (`ipMasq`): what a container sends out of its network has the host's address as its
 * source. The rules are the reference's (pkg/ip), so that either can undo what the other made.
 */
import { OperatorError } from "../../lib/base/error.ts";
import { canonicalAddress, familiesOf } from "../../lib/base/ip.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import type { LiveAttachment } from "../../lib/cni/plugin_type.ts";
import * as chains from "../../lib/firewall/attachment_chains.ts";
import { Firewall } from "../../lib/firewall/firewall.ts";
import { changeRules, type FirewallTransaction } from "../../lib/firewall/transaction.ts";
import { attachedComment } from "../../lib/firewall/owner.ts";
import type { HostRules } from "../../lib/firewall/host_rules.ts";
import { usualBackend } from "../../lib/ports/backends.ts";
import { Fields, wrong } from "../../lib/cni/fields.ts";
import { withoutLength } from "./addresses.ts";

/** Whose masquerading it is, and how it is done. */
type Masqueraded = chains.Attached & {
  ifName: string;
  config: Fields;
  invocation: { path: string; firewall?: FirewallTransaction };
};

/** Masquerades what these addresses, in CIDR notation, send. @throws {OperatorError} */
export async function addMasquerade(
  call: Masqueraded,
  addresses: readonly string[],
): Promise<void> {
  const { firewall, path } = call.invocation;
  const plan = await (await wayOf(call)).addMasquerade(call, addresses);
  const what = `masquerade container ${call.containerId}`;
  await changeRules(firewall, path, "masquerade", async function* () {
    yield { families: familiesOf(addresses), plan, what };
  });
}

/**
 * Removes what either backend made, in whichever kind of iptables and whichever the addresses were:
 * the config and the host may have changed since.
 *
 * @throws {OperatorError}
 */
export async function removeMasquerade(call: Masqueraded): Promise<void> {
  const plans = [
    await chains.removeAttached(call, "masquerade"),
    await (await ownTable()).removeMasquerade(call),
  ];
  await Firewall.removeEvery(call.invocation.path, {
    marks: [attachedComment(call)],
    plan: (view, kind) => plans.flatMap((plan) => plan(view, kind)),
    what: `masquerade container ${call.containerId} no more`,
  });
}

/**
 * Masquerades again what somebody has flushed. Without that, the reference's DEL fails as well, since
 * it deletes a jump to a chain that is not there.
 *
 * @throws {OperatorError}
 */
export async function restoreMasquerade(
  config: JsonObject,
  { result, path, ...owner }: LiveAttachment,
): Promise<true> {
  const call: Masqueraded = { ...owner, config: new Fields(config), invocation: { path } };
  await addMasquerade(call, result.ips.map(({ address }) => address));
  return true;
}

/**
 * Whether a container is to be masqueraded that is not, from one of its addresses: either backend, in
 * either kind of iptables, does it as well as the others.
 *
 * @throws {OperatorError}
 */
export async function missingMasquerade(
  config: JsonObject,
  { result, ...owner }: LiveAttachment,
  rules: HostRules,
): Promise<"masquerade_gone" | undefined> {
  if (!new Fields(config).flag("ipMasq")) return undefined;
  let bare = result.ips.map(({ address }) => canonicalAddress(withoutLength(address)));
  for await (const isMasqueraded of masquerades(owner, rules)) {
    bare = bare.filter((address) => !isMasqueraded(address));
    if (bare.length === 0) return undefined;
  }
  return "masquerade_gone";
}

/** Wherever an attachment's addresses may be masqueraded, where they most often are first. */
async function* masquerades(owner: chains.Attached & { ifName: string }, rules: HostRules) {
  const own = await rules.own();
  yield (address: string) => chains.isMasqueraded(owner, own, address);
  const inTable = await (await ownTable()).masqueraded(owner);
  yield (address: string) => inTable.includes(address);
  // Where the other kind's can't be read, it is masqueraded once more, which does no harm.
  const every = await rules.every().catch((error) => {
    if (error instanceof OperatorError) return [];
    throw error;
  });
  for (const view of every) yield (address: string) => chains.isMasqueraded(owner, view, address);
}

const ownTable = () => import("../../lib/firewall/masquerade_table.ts");

/** @throws {CniError} */
async function wayOf({ config, invocation: { path } }: Masqueraded) {
  const backend = config.text("ipMasqBackend") ?? usualBackend(path);
  if (backend === "nftables") return await ownTable();
  if (backend === "iptables") return chains;
  throw wrong(`ipMasqBackend is ${JSON.stringify(backend)}; it must be iptables or nftables`);
}
