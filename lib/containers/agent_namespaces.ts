/**
 * From where one looks at containers. Their processes are seen in the agent's pid namespace, their
 * handles in its mount namespace: from elsewhere, all that lives looks dead.
 */
import { inodeOf } from "../kernel/proc.ts";
import { OperatorError } from "../base/error.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { bootId } from "../kernel/process_identity.ts";
import { Netlink } from "../netlink/mod.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";
import type { AgentNamespaces, Request } from "./request.ts";

let own: AgentNamespaces | undefined;

/** The namespaces of this process, by their inodes. */
export function agentNamespaces(): AgentNamespaces {
  const inode = (kind: string) => inodeOf(`/proc/self/ns/${kind}`);
  return own ??= { pid: inode("pid"), mnt: inode("mnt"), net: inode("net") };
}

/**
 * Refuses to tell from here whether a container lives, or to detach it.
 *
 * @param needs `processes` to judge whether it lives; `handle` to detach it
 * @throws {OperatorError} `elsewhere`
 */
export function requireSight(
  layout: Layout,
  id: ContainerId,
  request: Request | undefined,
  needs: "processes" | "handle",
): void {
  const { agent, pid } = request ?? {};
  if (!agent || pid === undefined || request?.bootId !== bootId()) return;
  const here = agentNamespaces();
  if (needs === "processes" && agent.pid !== here.pid) throw elsewhere(id, "pid", pid);
  if (request.mode !== "own" || request.test || isNamespaceHandle(layout.namespace(id))) return;
  // The handle may be gone for good, with the mount namespace of an agent that was started anew:
  // then the network namespace went with it, and with that its wires.
  if (agent.mnt !== here.mnt && hasWires(request, here)) throw elsewhere(id, "mount", pid);
}

function hasWires({ wires = [], agent }: Request, here: AgentNamespaces): boolean {
  if (agent!.net !== here.net) return true;
  using host = Netlink.open();
  return wires.some(({ host: end }) =>
    end !== undefined && host.linkAt(end.index)?.kind === "veth"
  );
}

function elsewhere(id: ContainerId, kind: string, pid: number): OperatorError {
  return new OperatorError(
    "elsewhere",
    `container ${id} was attached from another ${kind} namespace than this one, so whether it ` +
      `lives can't be seen here: run this where the agent runs (process ${pid} there is the ` +
      `container's first), with nsenter --target=AGENT --pid --mount say`,
  );
}
