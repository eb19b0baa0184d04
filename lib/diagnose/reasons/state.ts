/** What the checkpoints and the process table say: before any look into the namespace. */
import type { Container } from "../../containers/inventory.ts";
import { type Finding, problem } from "../finding.ts";

/** @returns findings; with `namespace_gone` among them there is nothing else to look at */
export function probeState(container: Container): Finding[] {
  const { id, netns, namespaceAlive, processAlive, pid, attachments } = container;
  const findings: Finding[] = [];
  if (!namespaceAlive) {
    findings.push(problem(
      "namespace_gone",
      ["state", "container"],
      `the network namespace of ${id} is gone`,
      [`${netns} is no handle of a namespace`],
      processAlive && pid !== undefined
        ? `its process ${pid} lives: mount its namespace there again, mount --bind /proc/${pid}/ns/net ${netns}`
        : "the container can't have a network any more: after a reboot its isolator cleans it up; " +
          `else do so: mesos-cni cleanup ${id}`,
    ));
  } else if (!processAlive) {
    findings.push(problem(
      "process_gone",
      ["state", "container"],
      `no process is left in ${id}`,
      [
        `no process of this agent is in ${netns}`,
        ...pid === undefined ? [] : [`its first process, ${pid}, has ended`],
      ],
      "the container has ended and was not cleaned up: the task's own log says why; " +
        `mesos-cni cleanup ${id} releases its addresses and ports`,
    ));
  }
  for (const { ifName, network, state, problem: what } of attachments) {
    if (state === "attached") continue;
    findings.push(
      state === "torn"
        ? problem(
          "checkpoint_torn",
          ["state", "agent"],
          `the checkpoint of ${ifName} on ${network} is damaged`,
          [what!],
          "the file was cut off by a crash or changed by hand: restart the container. Its " +
            "cleanup works without a result, and with a config from a backup",
        )
        : problem(
          "attach_unfinished",
          ["state", "agent"],
          `${ifName} was never attached to ${network}`,
          [what!],
          "the plugin is at work, has failed, or its caller was killed: the agent's log has the " +
            "plugin's error; a container that stays so must be cleaned up and started again",
        ),
    );
  }
  if (container.mode === "own" && attachments.length === 0) {
    findings.push(problem(
      "checkpoint_empty",
      ["state", "agent"],
      `${id} has no network`,
      [`no network has a checkpoint beside ${netns}`],
      "its attachment has not begun, or all its networks were detached",
    ));
  }
  return findings;
}
