/** Whom a plugin is at work for, which needs no clock. */
import { Pace } from "../../base/pace.ts";
import { readProcFile } from "../../kernel/files.ts";
import { SystemError } from "../../kernel/libc.ts";
import { processIds } from "../../kernel/processes.ts";

const ID = "CNI_CONTAINERID=";

/** The containers for which the process of a plugin's ADD lives: its environment says so (CNI, section 2). */
export async function beingAdded(): Promise<string[]> {
  const found: string[] = [];
  const pace = new Pace();
  for (const pid of processIds()) {
    const variables = environmentOf(pid);
    if (variables.includes("CNI_COMMAND=ADD")) {
      const id = variables.find((one) => one.startsWith(ID))?.slice(ID.length);
      if (id) found.push(id);
    }
    await pace.rest();
  }
  return found;
}

/** Nothing of one that has ended meanwhile. */
function environmentOf(pid: number): string[] {
  try {
    return readProcFile(`/proc/${pid}/environ`).split("\0");
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}
