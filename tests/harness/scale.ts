/**
 * How much of a long test is done: by default a sample that takes seconds, and all of it with
 * `MESOS_CNI_TEST_SCALE=full`.
 */
export const FULL: boolean = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full";

/** What `MESOS_CNI_TEST_PARTS` says of long lists (part.ts). */
export const PARTS: string | undefined = Deno.env.get("MESOS_CNI_TEST_PARTS") || undefined;

/** Whether a run is one of CI, which does many things more often. */
export const ALL_PARTS: boolean = FULL || PARTS === "all" || PARTS === "runtime";

/** All of a list, or by default about `count` of its elements, spread evenly. */
export function sample<T>(all: readonly T[], count: number): T[] {
  const step = FULL ? 1 : Math.max(1, all.length / count);
  return Array.from(
    { length: Math.floor(all.length / step) },
    (_, i) => all[Math.floor(i * step)]!,
  );
}

/** Whether the processor is emulated (`./dev unit --arm64`), which is slow and lacks some calls. */
export const EMULATED: boolean = Deno.env.get("MESOS_CNI_TEST_EMULATED") === "1";
