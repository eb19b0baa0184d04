/** Whether what differs between the reference and ours is what docs/plugins.md says. */
import type { Differs, Release, Twin } from "./case.ts";
import { type Difference, show } from "./compare.ts";
import { type Exception, type ExceptionName, EXCEPTIONS } from "./exceptions.ts";

export interface Verdict {
  /** What differs and is not allowed, and what is said to differ and doesn't. */
  wrong: string[];
  /** The facts of exceptions that occurred, as `NAME - FACT` and `NAME + FACT`. */
  occurred: string[];
}

/** A fact of an exception: `*` stands for a word, or for the rest of one. */
export function pattern(fact: string): RegExp {
  const parts = fact.split("*").map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^ ]+")}$`);
}

/** The facts of an exception, with the sign that `show` gives them. */
export function factsOf({ theirs = [], ours = [] }: Exception): string[] {
  return [...theirs.map((fact) => `- ${fact}`), ...ours.map((fact) => `+ ${fact}`)];
}

/** Every fact that is said to differ in one of the cases, as a verdict has it. */
export function saidOf(twins: readonly Twin[], release: Release): string[] {
  const said = twins.flatMap((twin) => declaredIn(twin, release))
    .flatMap(({ name, exception }) => factsOf(exception).map((fact) => `${name} ${fact}`));
  return [...new Set(said)];
}

/** Whether an exception holds for all calls of a plugin that the case calls. */
export function isOfPlugin({ plugin }: Exception, twin: Twin): boolean {
  return plugin !== undefined &&
    (plugin === "*" || plugin === twin.type ||
      twin.steps.some((step) => "type" in step && step.type === plugin));
}

export function judged(twin: Twin, found: readonly Difference[], release: Release): Verdict {
  const declared = declaredIn(twin, release);
  const occurred = new Set<string>();
  const stale = new Set(
    declared.flatMap(({ name, steps }) => (steps ?? []).map((step) => `step ${step}: ${name}`)),
  );
  const wrong = found.filter((difference) => {
    const line = show(difference).replace(/^step \d+: /, "");
    const matching = declared.filter(({ steps }) => steps?.includes(difference.step) ?? true)
      .flatMap(({ name, exception }) =>
        factsOf(exception).filter((fact) => pattern(fact).test(line))
          .map((fact) => ({ name, fact }))
      );
    for (const { name, fact } of matching) {
      occurred.add(`${name} ${fact}`);
      stale.delete(`step ${difference.step}: ${name}`);
    }
    return matching.length === 0;
  }).map(show);
  return {
    wrong: [...wrong, ...[...stale].map((one) => `${one}: is said to differ, and does not`)],
    occurred: [...occurred],
  };
}

/**
 * What differs, and is not allowed, where one detaches what the other has attached. What a case is said
 * to differ by is allowed at each of its steps, since what one has made stays for the other.
 *
 * @param also what is so of all cases that call the plugin
 */
export function judgedCrossed(
  twin: Twin,
  found: readonly Difference[],
  release: Release,
  also: readonly Exception[],
): Verdict {
  const declared = [
    ...declaredIn(twin, release).map(({ name, exception }) => ({ name: `${name}`, exception })),
    ...also.filter((exception) => isOfPlugin(exception, twin))
      .map((exception) => ({ name: exception.sentence, exception })),
  ];
  const occurred = new Set<string>();
  const wrong = found.map(show).filter((line) => {
    const matching = declared.flatMap(({ name, exception }) =>
      factsOf(exception).filter((fact) => pattern(fact).test(line.replace(/^step \d+: /, "")))
        .map((fact) => `${name} ${fact}`)
    );
    matching.forEach((one) => occurred.add(one));
    return matching.length === 0;
  });
  return { wrong, occurred: [...occurred] };
}

/** The exceptions of a case; those without steps hold for all of them. */
function declaredIn(twin: Twin, release: Release) {
  const at: Differs = { ...twin.differs, ...release === "debians" ? twin.older : {} };
  const all = Object.entries(EXCEPTIONS) as [ExceptionName, Exception][];
  return all.filter(([, { only }]) => only === undefined || only === release)
    .filter(([name, exception]) => at[name] || isOfPlugin(exception, twin))
    .map(([name, exception]) => ({ name, exception, steps: at[name] }));
}
