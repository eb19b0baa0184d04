/**
 * Programs in a container's network: this process enters the namespace and becomes the program.
 * With the container's files it is the container's programs that run; contained.ts starts those.
 */
import { findInode } from "../kernel/proc.ts";
import { OperatorError } from "../base/error.ts";
import { execute, exitCodeOfFailedExec } from "../kernel/exec.ts";
import type { Layout } from "../containers/layout.ts";
import { SystemError } from "../kernel/libc.ts";
import { enterNamespaces, type NamespaceKind } from "../kernel/namespaces.ts";
import { requireAlive, type Target } from "../containers/target.ts";

/** Which namespaces to enter besides the network's. */
export interface Companions {
  /** The container's files, so that its own /etc, root and programs are seen, and only they. */
  mount: boolean;
  /** The container's hostname. */
  uts: boolean;
}

/**
 * Becomes the command, in namespaces given by {@link namespacesOf}. Returns only when that is not
 * possible.
 *
 * @returns the exit code that a shell gives for a command it can't execute, having said why
 * @throws {OperatorError} when a namespace can't be entered
 */
export function become(
  argv: readonly [string, ...string[]],
  namespaces: Partial<Record<NamespaceKind, string>>,
  complain: (message: string) => void,
): number {
  enterNamespaces(namespaces);
  try {
    return execute(argv);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const code = exitCodeOfFailedExec(error);
    const [program] = argv;
    complain(
      code === 127
        ? `there is no program ${program} on this agent: install it, or run the container's own ` +
          "with --mount"
        : `${program} can't be executed (${error.errnoName}): it must be an executable file`,
    );
    return code;
  }
}

/**
 * The handles of the target's namespaces: the network's and those that were asked for.
 *
 * @throws {OperatorError} `namespace_gone`, or `no_process` when there is none to keep the others
 */
export async function namespacesOf(
  layout: Layout,
  target: Target,
  companions: Pick<Companions, "uts">,
): Promise<Partial<Record<NamespaceKind, string>>> {
  requireAlive(target);
  const { netns } = target;
  if (!companions.uts) return { net: netns };
  const pid = await requireProcess(layout, target);
  return { net: netns, uts: `/proc/${pid}/ns/uts` };
}

/**
 * A process of the target.
 *
 * @throws {OperatorError} `namespace_gone`, or `no_process` when there is none
 */
export async function requireProcess(layout: Layout, target: Target): Promise<number> {
  requireAlive(target);
  const pid = target.pid ?? await processOf(layout, target);
  if (pid !== undefined) return pid;
  throw new OperatorError(
    "no_process",
    `${target.name} has no process (any more), and only a process keeps mount and UTS ` +
      "namespaces: try it without --mount and --uts",
  );
}

/** A process of the container. Most calls need none, so what finds it is loaded here. */
async function processOf(layout: Layout, { id, netns }: Target): Promise<number | undefined> {
  const { readContainer } = await import("../containers/inventory.ts");
  if (id !== undefined) {
    const { pid, processAlive } = readContainer(layout, id);
    return processAlive ? pid : undefined;
  }
  const { ProcessTable } = await import("../kernel/processes.ts");
  return ProcessTable.lookNow().inNamespace(findInode(netns) ?? -1)[0];
}
