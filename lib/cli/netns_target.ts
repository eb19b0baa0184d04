/** Which namespace a `netns` command is about: the flags for it and what they mean. */
import { exists } from "../base/exists.ts";
import { Layout } from "../containers/layout.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { type ContainerId, isContainerId } from "../mesos/container_id.ts";
import type { Target } from "../containers/target.ts";
import type { Agent, Sources } from "../facts/agent.ts";
import { type Call, type Flag, flag, onlyOperand, UsageError } from "./command.ts";
import { settledValue } from "./found_values.ts";
import { LAYOUT_FLAGS, layoutIn, RUNTIME_DIR } from "./layout_flags.ts";
import { requireRoot } from "./root.ts";

export { LAYOUT_FLAGS };

/** For commands that work on any namespace. */
export const TARGET_FLAGS: readonly Flag[] = [
  flag("--netns=PATH", "a namespace by its handle, instead of ID", { complete: "file" }),
  flag("--pid=PID", "the namespace of a process, instead of ID"),
  ...LAYOUT_FLAGS,
];

/**
 * Where the checkpoints are.
 *
 * @throws {OperatorError} `not_root` for anyone who may neither read them nor enter a namespace
 * @throws {UsageError} for a directory that the call names and that is not there
 */
export function layoutOf(call: Call): Layout {
  requireRoot();
  requireDirectories(call, ["runtime_dir", "work_dir"]);
  return usualLayoutOf(call) ?? layoutIn(call);
}

/** What is read of the agent whose containers a call is about. */
export async function agentOf(call: Call, more: Partial<Sources> = {}): Promise<Agent> {
  const { Agent } = await import("../facts/agent.ts");
  return new Agent({ layout: layoutOf(call), plugins: call.plugins, ...more });
}

/**
 * The directories of an agent with its defaults, where the container of a whole id has its network
 * in them: ids are unique, so that nobody needs to know whether an agent runs with others. What is
 * only left of a container there does not hide one of that name elsewhere.
 */
function usualLayoutOf(call: Call): Layout | undefined {
  const [id] = call.operands;
  if (id === undefined || !isContainerId(id)) return undefined;
  const isSettled = LAYOUT_FLAGS.some(({ name }) =>
    call.given(name) !== undefined || settledValue(name) !== undefined
  );
  if (isSettled) return undefined;
  const layout = new Layout(RUNTIME_DIR);
  return isNamespaceHandle(layout.namespace(id)) ? layout : undefined;
}

/** @throws {UsageError} for a directory, or one of a search path, that the call names and is not there */
export function requireDirectories(call: Call, flags: readonly string[]): void {
  for (const flag of flags) {
    const missing = call.given(flag)?.split(":").find((directory) => !exists(directory));
    if (missing !== undefined) {
      throw new UsageError(`--${flag}=${missing}: there is no such directory`);
    }
  }
}

/**
 * The namespace that a call is about.
 *
 * @throws {UsageError} unless exactly one of ID, --netns and --pid is given
 */
export async function targetOf(call: Call, layout: Layout = layoutOf(call)): Promise<Target> {
  const { findTarget } = await import("../containers/target.ts");
  const id = onlyOperand(call);
  const netns = call.value("netns");
  const pid = call.value("pid");
  const given = [id, netns, pid].filter((one) => one !== undefined).length;
  if (given !== 1) {
    throw new UsageError(
      given === 0
        ? "the container is missing: give its ID (mesos-cni list shows them), --netns=PATH or --pid=PID"
        : "one namespace at a time: ID, --netns=PATH or --pid=PID",
    );
  }
  return findTarget(layout, { id, netns, pid }, choose);
}

/** The id in a call that works on containers alone. */
export async function containerOf(call: Call): Promise<ContainerId> {
  const { resolveId } = await import("../containers/target.ts");
  const id = onlyOperand(call);
  if (id === undefined) throw new UsageError("the container's id is missing");
  return resolveId(layoutOf(call), id, choose);
}

/** Lets a person in a terminal choose; a script gets an error instead. */
function choose(candidates: ContainerId[]): ContainerId | undefined {
  if (!Deno.stdin.isTerminal() || !Deno.stderr.isTerminal() || candidates.length > 20) {
    return undefined;
  }
  console.error(candidates.map((id, i) => `  ${i + 1}  ${id}`).join("\n"));
  return candidates[Number(prompt("which one?")) - 1];
}
