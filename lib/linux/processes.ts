/** Which processes there are, and which share a namespace. */

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
      // It has ended, is a zombie, or another user namespace's.
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
        return false;
      }
      throw error;
    }
  });
}
