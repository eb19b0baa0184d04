/** On which CPUs the calling thread may run (sched_setaffinity(2)). */
import { check, openLibc } from "./libc.ts";

const libc = openLibc({
  sched_getaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
  sched_setaffinity: { parameters: ["i32", "usize", "buffer"], result: "i32" },
});

/** Bytes of a mask of CPUs: 8,192 of them, the most that a kernel is built for. */
const MASK_BYTES = 1024;

/**
 * Does `work` on one CPU after the other until it returns true, and returns to where the thread
 * was.
 *
 * @returns whether it did on any
 * @throws {SystemError}
 */
export function onSomeCpu(work: () => boolean): boolean {
  const home = new Uint8Array(MASK_BYTES);
  check(libc().sched_getaffinity(0, BigInt(MASK_BYTES), home), "ask for the CPUs of this thread");
  try {
    for (let cpu = 0; cpu < MASK_BYTES * 8; cpu++) {
      const [byte, bit] = [cpu >> 3, 1 << (cpu & 7)];
      if (!(home[byte]! & bit)) continue;
      const one = new Uint8Array(MASK_BYTES);
      one[byte] = bit;
      pin(one);
      if (work()) return true;
    }
    return false;
  } finally {
    pin(home);
  }
}

function pin(mask: Uint8Array<ArrayBuffer>): void {
  check(libc().sched_setaffinity(0, BigInt(MASK_BYTES), mask), "choose the CPUs of this thread");
}
