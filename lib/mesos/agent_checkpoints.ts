/**
 * Whose a container is, as an agent's own checkpoints tell (mesos/src/slave/paths.cpp): those of frameworks
 * that asked for checkpointing.
 *
 *     WORK_DIR/meta/slaves/latest/frameworks/ID/executors/ID/runs/CONTAINER/tasks/ID
 */
import { join } from "@std/path";
import { type ContainerId, rootOf } from "./container_id.ts";
import { tried } from "../base/unless.ts";

/** Whose a container is; nothing of one that the checkpoints do not know. */
export interface Owner {
  framework?: string;
  /** Its tasks, or an executor that has run none yet, or one of Mesos' own, which is called as its task. */
  task?: string;
}

/**
 * Reads who started which container, a nested one's root. Nobody is known where nothing is, or nobody may
 * look.
 */
export function readOwners(workDir: string): (container: string) => Owner {
  const owners = new Map<string, Owner>();
  const frameworks = join(workDir, "meta/slaves/latest/frameworks");
  for (const framework of directoriesIn(frameworks)) {
    const executors = join(frameworks, framework, "executors");
    for (const executor of directoriesIn(executors)) {
      const runs = join(executors, executor, "runs");
      for (const container of directoriesIn(runs)) {
        const tasks = directoriesIn(join(runs, container, "tasks"));
        owners.set(container, { framework, task: tasks.join(" ") || executor });
      }
    }
  }
  return (container) => owners.get(rootOf(container as ContainerId)) ?? {};
}

function directoriesIn(path: string): string[] {
  // None of an agent that never ran, of one at work there, or of another user's.
  return tried(() => [...Deno.readDirSync(path)], []).filter((one) => one.isDirectory)
    .map(({ name }) => name).sort();
}
