/** The processes of a container: those that live in its network namespace. */
import { isNamespaceHandle, isOwnNamespace } from "../linux/namespaces.ts";
import { processesInNamespace } from "../linux/processes.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";

/** How long killed processes may take to go, in ms. */
const PATIENCE = 5_000;

/** The ids of a container's processes; none when it shares somebody else's network. */
export function membersOf(layout: Layout, id: ContainerId): number[] {
  const handle = layout.namespace(id);
  // A test network's container lives in the agent's own namespace, with the agent.
  if (!isNamespaceHandle(handle) || isOwnNamespace(handle)) return [];
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
