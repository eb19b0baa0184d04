/**
 * What of a long list a run does: a part that the commit chooses, so that each commit does the same
 * each time and the commits together do all; or all.
 */
/** So many of each list are a part of CI's. */
const PART = { faults: 6, outside: 6, application: 6, healthy: 4, outside_healthy: 4 };
export type List = keyof typeof PART;
export const LISTS = Object.keys(PART) as List[];

/** What `MESOS_CNI_TEST_CATALOGUE` may say; without it, the commit's hash is the choice. */
export interface Choice {
  /** As it is called in the name of a test. */
  name: string;
  /**
   * @param title the list and the name, as in the name of the test
   * @param size how many set-ups make a part of this list
   */
  takes(title: string, index: number, all: number, size: number): boolean;
}

/**
 * `all`; `K/N`, the K-th of N parts; a commit's hash, which chooses one part; or words with commas
 * between them, for what has one of them in its title.
 */
export function choiceOf(text: string): Choice {
  if (text === "all") return { name: "all", takes: () => true };
  const [, part, parts] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? [];
  if (part !== undefined && parts !== undefined) {
    if (part < 1 || part > parts) throw new Error(`there is no part ${text}: from 1 to ${parts}`);
    return { name: `part ${text}`, takes: (_, i) => i % parts === part - 1 };
  }
  if (/^[0-9a-f]{40}$/.test(text)) {
    // Twelve digits are an integer that a number holds.
    const turn = parseInt(text.slice(0, 12), 16);
    return {
      name: `commit ${text.slice(0, 12)}`,
      takes(_, i, all, size) {
        const parts = Math.ceil(all / size);
        return i % parts === turn % parts;
      },
    };
  }
  const words = text.split(",").filter((word) => word !== "");
  if (words.length === 0) throw new Error("MESOS_CNI_TEST_CATALOGUE names no set-up");
  return {
    name: words.join(", "),
    takes: (title) => words.some((word) => title.includes(word)),
  };
}

/** @param share how many make one of CI's parts together */
export function chosenOf<S extends { name: string }>(
  list: List,
  setups: readonly S[],
  choice: Choice,
  share = 1,
): S[] {
  return setups.filter(({ name }, i) =>
    choice.takes(`${list}: ${name}`, i, setups.length, PART[list] / share)
  );
}
