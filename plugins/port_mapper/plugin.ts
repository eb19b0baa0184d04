/**
 * The port mapper as a function: a delegate's (or the previous plugin's) container, reachable at
 * ports of the host. The process around it is main.ts; a runtime in this program calls it as is.
 */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation, Plugin } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { versionAnswer } from "../../lib/cni/version.ts";
import { messageOf } from "../../lib/base/error.ts";
import { FirewallTransaction } from "../../lib/firewall/transaction.ts";
import {
  checkReady,
  findMissing,
  isOthers,
  listOwners,
  lockAttachment,
  Ports,
  refuseOthers,
  remove,
  removeOwner,
  restoreMissing,
} from "../../lib/ports/mod.ts";
import { connect, endpointsOf, requireSource } from "./connection.ts";
import { delegateKnows, readConfig, readForRemoval } from "./config.ts";
import { runDelegate, undoDelegate } from "./delegate.ts";
import { checkListeners } from "./listeners.ts";
import { readNamespace, readOwner } from "../shared/parameters.ts";
import { asCniError, undoingOnFailure, withDetails } from "../shared/undo.ts";
import { Fields } from "../../lib/cni/fields.ts";
import { readValidAttachments } from "../shared/valid_attachments.ts";

/** See docs/port-mapper.md. Rejects with a CniError only, but for defects. */
export const portMapper: Plugin = async (invocation) => {
  try {
    return await COMMANDS[invocation.command](invocation);
  } catch (error) {
    throw asCniError(error, CNI_CODES.rulesUnchanged);
  }
};

const COMMANDS: Readonly<Record<Invocation["command"], Plugin>> = {
  ADD: add,
  DEL: del,
  CHECK: check,
  GC: collectGarbage,
  STATUS: status,
  // deno-lint-ignore require-await
  VERSION: async () => versionAnswer(),
};

async function add(invocation: Invocation): Promise<JsonObject> {
  const config = readConfig(invocation.config, invocation.path);
  const owner = readOwner(invocation, config.name);
  const netns = readNamespace(invocation);
  requireSource(config);
  using lock = await lockAttachment(owner);
  return await undoingOnFailure(async (undo) => {
    // What was noticed on the way belongs to the error, if one comes.
    const warnings: string[] = [];
    try {
      const { mappings, placement, isMesos } = config;
      if (mappings.length === 0) {
        await refuseOthers(owner, netns);
        return await connect(invocation, config, lock, undo);
      }
      // The delegate's masquerading and the ports in one transaction; or with those of a whole list.
      const handed = invocation.firewall;
      const firewall = handed ?? new FirewallTransaction(invocation.path);
      const request = { ...owner, ...placement, mappings, netns, startsWithProcess: isMesos };
      const ports = await Ports.reserve(request, invocation.path);
      undo(() => ports.giveBack());
      warnings.push(...checkListeners(config));
      const result = await connect({ ...invocation, firewall }, config, lock, undo);
      await ports.commit(endpointsOf(result, config), firewall);
      if (!handed) await firewall.commit();
      return result;
    } catch (error) {
      throw withDetails(asCniError(error, CNI_CODES.rulesUnchanged), warnings);
    }
  });
}

/** The rules first: while they stand, the address must not become another container's. */
async function del(invocation: Invocation): Promise<undefined> {
  const config = readForRemoval(invocation.config, invocation.path);
  const owner = readOwner(invocation, config.name);
  using lock = await lockAttachment(owner, { forRemoval: true });
  if (await isOthers(owner, invocation.netns)) return;
  await remove(owner, invocation.path, config.placement);
  if (config.delegate) await undoDelegate(invocation, config, lock);
}

async function check(invocation: Invocation): Promise<undefined> {
  const config = readConfig(invocation.config, invocation.path);
  const owner = readOwner(invocation, config.name);
  using lock = await lockAttachment(owner);
  if (delegateKnows(config, "0.4.0")) await runDelegate(invocation, config, lock);
  if (config.mappings.length === 0) return;
  const missing = await findMissing(owner, invocation.path);
  if (missing.length === 0) return;
  throw new CniError(
    CNI_CODES.rulesUnchanged,
    `port mappings of container ${owner.containerId} are not complete: missing ` +
      `${missing.length === 1 ? "is" : "are"} ${missing.join("; ")}. ` +
      "Put them back with: mesos-cni isolator recover (or let the runtime call GC)",
  );
}

/** What belongs to no attachment any more goes; what the others lost comes back. */
async function collectGarbage(invocation: Invocation): Promise<undefined> {
  const config = readConfig(invocation.config, invocation.path);
  const isValid = readValidAttachments(new Fields(invocation.config));
  const { path } = invocation;
  for (const owner of listOwners()) {
    if (owner.network !== config.name || isValid(owner)) continue;
    await removeOwner(owner, path);
  }
  await restoreMissing(path, (owner) => owner.network === config.name && isValid(owner));
  if (delegateKnows(config, "1.1.0")) await runDelegate(invocation, config);
}

async function status(invocation: Invocation): Promise<undefined> {
  const config = readConfig(invocation.config, invocation.path);
  try {
    await checkReady(config.placement.backend, invocation.path);
  } catch (error) {
    throw new CniError(CNI_CODES.pluginNotAvailable, messageOf(error), undefined, { cause: error });
  }
  if (delegateKnows(config, "1.1.0")) await runDelegate(invocation, config);
}
