/** Whom a plugin is at work for, which needs no wall clock. */
import { Pace } from "../../base/pace.ts";
import { unlessRefused } from "../../base/unless.ts";
import { readProcFile } from "../../kernel/files.ts";
import { parseIdentity } from "../../kernel/privileges.ts";
import { inodeOf } from "../../kernel/proc.ts";
import { millisecondsOf, startTimeOf, uptime } from "../../kernel/process_identity.ts";
import { processIds } from "../../kernel/processes.ts";
import { LONGEST_WORK_MS } from "../../kernel/work_lock.ts";

const ID = "CNI_CONTAINERID=";

/**
 * The containers for which the process of a plugin's ADD lives: its environment says so (CNI, section 2).
 * So may that of any process: of a daemon which a plugin left behind, of a task. What counts is root's,
 * among the processes of this pid namespace, and started no longer ago than a plugin may work.
 *
 * @param now in ms since boot
 */
export async function beingAdded(now = uptime()): Promise<string[]> {
  const found: string[] = [];
  const pace = new Pace();
  for (const pid of processIds()) {
    const id = addedBy(pid, now);
    if (id) found.push(id);
    await pace.rest();
  }
  return found;
}

/** Nothing by one that has ended meanwhile. */
function addedBy(pid: number, now: number): string | undefined {
  return unlessRefused(() => {
    const variables = readProcFile(`/proc/${pid}/environ`).split("\0");
    if (!variables.includes("CNI_COMMAND=ADD")) return undefined;
    const started = startTimeOf(pid);
    if (started === undefined || now - millisecondsOf(started) > LONGEST_WORK_MS) return undefined;
    // Not the network namespace: a plugin enters its container's.
    if (inodeOf(`/proc/${pid}/ns/pid`) !== inodeOf("/proc/self/ns/pid")) return undefined;
    if (parseIdentity(readProcFile(`/proc/${pid}/status`)).uids[1] !== 0) return undefined;
    return variables.find((one) => one.startsWith(ID))?.slice(ID.length);
  });
}
