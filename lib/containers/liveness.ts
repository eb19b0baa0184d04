/** The processes of a container: those that live in its network namespace. */
import { isInitsNamespace, isNamespaceHandle, isOwnNamespace } from "../kernel/namespaces.ts";
import { processesInNamespace } from "../kernel/processes.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";
import type { Request } from "./request.ts";

/** How long, in ms, a container may stay prepared without a process before it counts as given up. */
const LONGEST_LAUNCH = 600_000;

/** How long killed processes may take to go, in ms. */
const PATIENCE = 5_000;

/** The ids of a container's processes; none when it shares somebody else's network. */
export function membersOf(layout: Layout, id: ContainerId): number[] {
  const handle = layout.namespace(id);
  // A test network's container lives in the agent's own namespace, with the agent. That is also
  // the machine's: one who looks from elsewhere must not take all its processes for a container's.
  if (!isNamespaceHandle(handle) || isOwnNamespace(handle) || isInitsNamespace(handle)) return [];
  return processesInNamespace(handle);
}

/** Ends what a container's command has left running in its network. */
export async function killMembers(layout: Layout, id: ContainerId): Promise<void> {
  const deadline = Date.now() + PATIENCE;
  for (let members = membersOf(layout, id); members.length > 0; members = membersOf(layout, id)) {
    for (const pid of members) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    if (Date.now() > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/**
 * Whether a container goes on: a process lives in its network or, where the network is somebody
 * else's, its first process does. One that was just prepared and has no process yet goes on too.
 */
export function isAlive(layout: Layout, id: ContainerId, request: Request | undefined): boolean {
  const sharesNetwork = request !== undefined && (request.mode !== "own" || request.test === true);
  if (request && request.pid === undefined) {
    return Date.now() - Date.parse(request.prepared) < LONGEST_LAUNCH;
  }
  if (sharesNetwork) return isRunning(request.pid!);
  // Called from a shell in the container's network, this very process lives in it.
  return isInside(layout, id) || membersOf(layout, id).length > 0;
}

function isInside(layout: Layout, id: ContainerId): boolean {
  const handle = layout.namespace(id);
  return isNamespaceHandle(handle) && isOwnNamespace(handle);
}

export function isRunning(pid: number): boolean {
  try {
    Deno.statSync(`/proc/${pid}`);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
