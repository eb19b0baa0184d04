/** The last step of a container: its networks are taken away, and then all trace of it. */
import { joined, OperatorError } from "../base/error.ts";
import { unlessRefused } from "../base/unless.ts";
import { typesIn } from "../cni/config.ts";
import { findPlugin } from "../cni/find.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { attachedNetwork, detach } from "./attach.ts";
import { removeCheckpoint, removeDirectory } from "../kernel/atomic_file.ts";
import { ProcessTable } from "../kernel/processes.ts";
import type { Isolator } from "./isolator.ts";
import { endNamespace, releaseNamespace } from "../containers/handles.ts";
import type { Attachment } from "../containers/layout.ts";
import {
  hasFirstProcess,
  hasKnownMembers,
  killMembers,
  recordedNetworkOf,
  requireEnded,
} from "../containers/liveness.ts";
import { unlinkNamespace } from "../containers/namespace_link.ts";
import { readRequest, type Request } from "../containers/request.ts";
import { Wires } from "../containers/wires.ts";

export interface CleanupOptions {
  /**
   * Removes what is known to be left of a network whose plugins are gone or fail, and its
   * checkpoint with it.
   */
  force?: boolean;
  /** Cuts off a container that lives, too. */
  alive?: boolean;
}

/**
 * Detaches a container from all its networks at the same time, then removes its directory and
 * its request. Of a container that is not there, there is nothing to remove: no error.
 *
 * What can be known to fail is found out before the first change. The agent's ends of the wires go
 * down before an address is given back, whatever the container has done to its own ends.
 *
 * @returns what was removed, a line each
 * @throws {OperatorError} when a plugin fails; what it was called with is kept, so that the
 *   cleanup can be repeated
 */
export async function cleanup(
  isolator: Isolator,
  id: ContainerId,
  { force = false, alive = false }: CleanupOptions = {},
): Promise<string[]> {
  const { layout } = isolator.settings;
  const request = readRequest(layout, id);
  requireEnded(layout, id, request, alive);
  const attachments = layout.listAttachments(id);
  if (!force) requirePlugins(isolator, id, request, attachments);

  const hasLeft = request?.pid !== undefined && !hasFirstProcess(request);
  const wires = new Wires(layout, id, request);
  // What its first process has left behind would go on without a network. Among very many processes, what
  // was there a moment ago is looked for, and in the end the kernel tells whether anything else is left: where
  // that is cut off meanwhile, and known when nothing holds its network here any more.
  const isToldLater = hasLeft && ProcessTable.isSlow && wires.areCuttable &&
    recordedNetworkOf(request) !== undefined && !await hasKnownMembers(layout, id);
  if (hasLeft && !isToldLater) await killMembers(layout, id, request);
  wires.cut();
  const outcomes = await Promise.allSettled(
    attachments.map((attachment) => detachAtLast(isolator, id, request, attachment)),
  );
  const removed: string[] = [];
  const failures: unknown[] = [];
  for (const [i, outcome] of outcomes.entries()) {
    const { network, ifName } = attachments[i]!;
    if (outcome.status === "fulfilled") {
      removed.push(`${ifName} on ${network}`);
      continue;
    }
    if (!force) {
      failures.push(outcome.reason);
      continue;
    }
    const { removeTraces } = await import("./force.ts");
    removed.push(...await removeTraces(isolator, id, attachments[i]!));
    removeDirectory(layout.interface(id, attachments[i]!.network, attachments[i]!.ifName));
  }
  if (failures.length > 0) {
    if (isToldLater) await killMembers(layout, id).catch((error) => failures.push(error));
    throw joined(
      failures,
      `its checkpoint is kept: repeat with mesos-cni cleanup ${id}; should ` +
        "that never succeed, --force removes what is known to be left",
    );
  }
  removed.push(...wires.remove());
  unlinkNamespace(layout, id);
  if (!isToldLater) releaseNamespace(layout, id);
  else if (!await endNamespace(layout, id)) await killMembers(layout, id, request);
  removeDirectory(layout.container(id));
  removeCheckpoint(layout.request(id));
  return [...removed, `the checkpoint of ${id}`];
}

/**
 * DEL of the reference's bridge fails where its rules have been flushed, at its very last step; the
 * next one has nothing left to do.
 */
async function detachAtLast(
  isolator: Isolator,
  id: ContainerId,
  request: Request | undefined,
  attachment: Attachment,
): Promise<void> {
  try {
    await detach(isolator, id, request, attachment);
  } catch (error) {
    const types = typesAttached(isolator, id, attachment.network);
    if (!types.some((type) => isolator.registry.get(type)?.repair)) throw error;
    await detach(isolator, id, request, attachment);
  }
}

/**
 * Half a DEL is worse than none: a delegate that can't be found would be missed only after the
 * rules are gone.
 */
function requirePlugins(
  isolator: Isolator,
  id: ContainerId,
  request: Request | undefined,
  attachments: readonly Attachment[],
): void {
  const searchPath = isolator.searchPath(request);
  const missing = attachments.flatMap(({ network: name }) =>
    typesAttached(isolator, id, name)
      .filter((type) => !isolator.isBuiltIn(type) && !isFound(type, searchPath))
      .map((type) => `${type} (network ${name})`)
  );
  if (missing.length === 0) return;
  throw new OperatorError(
    "missing_plugin",
    `container ${id} can't be detached, and nothing of it was changed: there is no plugin ` +
      `${[...new Set(missing)].join(", ")} in ${searchPath || "the empty search path"}. Name its ` +
      `directory in --network_cni_plugins_dir; if it is gone for good, ` +
      `mesos-cni cleanup ${id} --force removes what is known to be left: the links, the ` +
      `leases of host-local, the rules that carry the container's name`,
  );
}

/** The plugins that a network's DEL calls; none where the config can't be read: DEL will say so. */
function typesAttached(isolator: Isolator, id: ContainerId, name: string): string[] {
  // Its detach tells of a damaged checkpoint.
  const network = unlessRefused(() => attachedNetwork(isolator, id, name, () => {}));
  return network?.plugins.flatMap(({ raw }) => typesIn(raw)) ?? [];
}

function isFound(type: string, searchPath: string): boolean {
  return unlessRefused(() => findPlugin(type, searchPath)) !== undefined;
}
