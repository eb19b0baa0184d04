/** The last step of a container: its networks are taken away, and then all trace of it. */
import { messageOf, OperatorError } from "../base/error.ts";
import { unmount } from "../kernel/mount.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { detach } from "./attach.ts";
import { removeCheckpoint, removeDirectory } from "../base/atomic_file.ts";
import type { Isolator } from "./isolator.ts";
import { isRunning, killMembers } from "../containers/liveness.ts";
import { unlinkNamespace } from "../containers/namespace_link.ts";
import { readRequest } from "../containers/request.ts";

/**
 * Detaches a container from all its networks at the same time, then removes its directory and
 * its request. Of a container that is not there, there is nothing to remove: no error.
 *
 * @throws {OperatorError} when a plugin fails; what it was called with is kept, so that the
 *   cleanup can be repeated
 */
export async function cleanup(isolator: Isolator, id: ContainerId): Promise<void> {
  const { layout } = isolator.settings;
  const pid = readRequest(layout, id)?.pid;
  // What its first process has left behind would go on without a network.
  if (pid !== undefined && !isRunning(pid)) await killMembers(layout, id);
  const outcomes = await Promise.allSettled(
    layout.listAttachments(id).map((attachment) => detach(isolator, id, attachment)),
  );
  const failures = outcomes.filter((outcome) => outcome.status === "rejected")
    .map((outcome) => outcome.reason);
  if (failures.length > 0) {
    throw new OperatorError(
      failures[0] instanceof OperatorError ? failures[0].code : "defect",
      failures.map(messageOf).join("\n") +
        `\nits checkpoint is kept: repeat with mesos-cni isolator cleanup ${id}, and the same flags`,
      { cause: failures[0] },
    );
  }
  unlinkNamespace(layout, id);
  // A mount may lie there more than once, if a cleanup was cut off by a reboot of the agent.
  while (unmount(layout.namespace(id)));
  removeDirectory(layout.container(id));
  removeCheckpoint(layout.request(id));
}
