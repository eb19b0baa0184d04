/** Which processes there are, and which share a namespace. */
import { messageOf } from "../base/error.ts";

/** The ids of all processes that this process can see. */
export function processIds(): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => pid > 0);
}

/** The ids of the processes in the network namespace of a handle, whatever started them. */
export function processesInNamespace(handle: string): number[] {
  const { dev, ino } = Deno.statSync(handle);
  return processIds().filter((pid) => {
    try {
      const other = Deno.statSync(`/proc/${pid}/ns/net`);
      return other.dev === dev && other.ino === ino;
    } catch (error) {
      // A zombie, or another user namespace's.
      if (isGone(error) || error instanceof Deno.errors.PermissionDenied) return false;
      throw error;
    }
  });
}

/** Whether an error of looking at a process below /proc says that it has ended. */
export function isGone(error: unknown): boolean {
  // Deno has no class for ESRCH, which a process gives that ends in the middle of the look.
  return error instanceof Deno.errors.NotFound || messageOf(error).includes("(os error 3)");
}
