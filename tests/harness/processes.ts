/** The processes of a namespace: what a test started there must not outlive it. */

/** More often than a service can start another one, and for longer than the kernel takes to end one. */
const MOST_ROUNDS = 3000;

/**
 * Ends, by their ids, all processes in a namespace of a process, except itself: also those that have
 * become services of their own.
 *
 * @param kind the mounts where they are its own: a network is also visited by who looks at it
 */
export async function endProcessesIn(pid: number, kind: "net" | "mnt"): Promise<void> {
  const wanted = namespaceOf(pid, kind);
  if (wanted === undefined || wanted === namespaceOf(Deno.pid, kind)) return;
  const isIn = (other: number) => namespaceOf(other, kind) === wanted;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const left = processes().filter((other) => other !== pid && other !== Deno.pid && isIn(other));
    if (left.length === 0) return;
    for (const one of left) kill(one);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** The ids of all processes that /proc shows. */
export function processes(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter((pid) => pid > 0);
}

/** `net:[4026531840]`; undefined for a process that has ended. */
export function namespaceOf(pid: number, kind: "net" | "mnt"): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

const LOOKS = 6;
const LOOK_MS = 50;
const MOST_WAIT_MS = 60_000;

/** Waits until a program has done what it begins with: it sleeps, and has not worked for a while. */
export async function isWaiting(pid: number): Promise<void> {
  const end = performance.now() + MOST_WAIT_MS;
  let before = "";
  for (let same = 0; same < LOOKS && performance.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const now = workOf(pid);
    if (now === undefined) return;
    same = now === before && now.startsWith("S") ? same + 1 : 0;
    before = now;
  }
}

/** Its state, and its clock ticks so far; undefined for a process that has ended. */
function workOf(pid: number): string | undefined {
  try {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /, "").split(" ");
    return `${fields[0]} ${fields[11]} ${fields[12]}`;
  } catch {
    return undefined;
  }
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}
