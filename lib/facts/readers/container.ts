/** What the checkpoints and the process table say: before any look into the namespace. */
import type { Container } from "../../containers/inventory.ts";
import { keptByGroup } from "../../containers/process_state.ts";
import { type Cause, cause } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import type { Scene } from "../scene.ts";

/** @returns with `namespace_gone` among them there is nothing else to look at */
export function stateOf(container: Container): Cause[] {
  const { id, netns, namespaceAlive, isElsewhere, processAlive, pid, attachments, keeper, mode } =
    container;
  const found: Cause[] = [];
  const isStarting = keeper === "mesos-cni" && pid === undefined;
  if (mode === "own" && attachments.length === 0) {
    found.push(cause("checkpoint_empty", ["state", "agent"], { container: id }, [
      `no network has a checkpoint beside ${netns}`,
    ]));
  }
  if (isElsewhere) {
    found.push(cause("namespace_elsewhere", ["state", "container"], { container: id }, [
      `${netns} is no handle of a namespace here`,
    ]));
  } else if (!namespaceAlive) {
    found.push(cause("namespace_gone", ["state", "container"], {
      container: id,
      why: processAlive && pid !== undefined ? String(pid) : undefined,
    }, [`${netns} is no handle of a namespace`]));
  } else if (!processAlive && isStarting) {
    found.push(cause("not_started", ["state", "container"], { container: id }, [
      "it was prepared, and has no process yet",
    ]));
  } else if (!processAlive) {
    found.push(cause("process_gone", ["state", "container"], { container: id }, [
      `no process of this agent is in ${netns}`,
      ...pid === undefined ? [] : [`its first process, ${pid}, has ended`],
    ]));
  }
  for (const { ifName, network, state, problem } of attachments) {
    if (state === "attached") continue;
    const values = { container: id, device: ifName, network };
    found.push(cause(
      state === "torn" ? "checkpoint_torn" : "attach_unfinished",
      ["state", "agent"],
      values,
      [problem!],
    ));
  }
  return found;
}

/** Processes whose groups are looked at: most containers have one group. */
const MOST_PROCESSES = 16;

/** Whether its cgroups let its programs have more memory and processes; a container that is frozen may be meant so. */
export function readGroups({ name: container, processes }: Scene): Look {
  const all = processes.slice(0, MOST_PROCESSES);
  const kept = all.flatMap((pid) => keptByGroup(pid) ?? []).filter(({ what }) => what !== "frozen");
  const each = [...new Map(kept.map((one) => [one.seen, one])).values()];
  return all.length === 0 ? nothing("it has no process") : saw(
    `the limits of ${all.length} processes`,
    each.map(({ what: why, seen }) =>
      cause("cgroup_limit", ["cgroup", "container"], { container, why }, [seen])
    ),
  );
}
