/**
 * Whose a container is, as an agent's own checkpoints tell (mesos/src/slave/paths.cpp): those of frameworks
 * that asked for checkpointing.
 *
 *     WORK_DIR/meta/slaves/latest/frameworks/ID/executors/ID/runs/CONTAINER/tasks/ID
 */
import { join } from "@std/path";

/** Who started a container. */
export interface Owner {
  framework: string;
  executor: string;
  tasks: string[];
}

/** The owners by container, of those that have no parent; none where nothing is, or nobody may look. */
export function readOwners(workDir: string): Map<string, Owner> {
  const owners = new Map<string, Owner>();
  const frameworks = join(workDir, "meta/slaves/latest/frameworks");
  for (const framework of directoriesIn(frameworks)) {
    const executors = join(frameworks, framework, "executors");
    for (const executor of directoriesIn(executors)) {
      const runs = join(executors, executor, "runs");
      for (const container of directoriesIn(runs)) {
        const tasks = directoriesIn(join(runs, container, "tasks"));
        owners.set(container, { framework, executor, tasks });
      }
    }
  }
  return owners;
}

function directoriesIn(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].filter((one) => one.isDirectory).map(({ name }) => name)
      .sort();
  } catch {
    return []; // an agent that never ran, one at work there, or another user's
  }
}
