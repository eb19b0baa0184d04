/** What programs take of the CPU, which a busy machine changes less than what the clock says. */

const RUSAGE_CHILDREN = -1;
/** bits/types/struct_rusage.h: two times of seconds and microseconds, and fourteen words. */
const RUSAGE_BYTES = 144;

const libc = Deno.dlopen("libc.so.6", {
  getrusage: { parameters: ["i32", "buffer"], result: "i32" },
});

/** Of the children that were waited for, with theirs, since this program's start, in ms (getrusage(2)). */
export function cpuOfChildren(): number {
  const usage = new DataView(new ArrayBuffer(RUSAGE_BYTES));
  if (libc.symbols.getrusage(RUSAGE_CHILDREN, usage.buffer) !== 0) throw new Error("getrusage");
  const words = [0, 8, 16, 24].map((at) => Number(usage.getBigInt64(at, true)));
  const [userSeconds, userMicros, systemSeconds, systemMicros] = words as [
    number,
    number,
    number,
    number,
  ];
  return (userSeconds + systemSeconds) * 1000 + (userMicros + systemMicros) / 1000;
}
