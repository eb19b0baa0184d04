/** What a probe finds, and what a probe is. */
import type { Scene } from "./scene.ts";

/** Something that is wrong with a container's network. */
export interface Finding {
  /** A stable word for scripts, such as `bridge_down`. */
  cause: string;
  /** `hint` for what may be meant so: it makes nobody ill. */
  level: "problem" | "hint";
  /** One sentence that names the cause. */
  summary: string;
  /** What was measured. */
  evidence: string[];
  /** What to do about it. */
  remedy: string;
  fix?: Fix;
}

/** A change that can't make anything worse, for `--fix`. */
export interface Fix {
  /** What it does, as a question would ask for it: `bring eth0 up`. */
  what: string;
  apply(): void | Promise<void>;
}

/** Looks for one kind of cause. */
export type Probe = (scene: Scene) => Finding[] | Promise<Finding[]>;

/** A finding of a problem. */
export function problem(
  cause: string,
  summary: string,
  evidence: string[],
  remedy: string,
  fix?: Fix,
): Finding {
  return { cause, level: "problem", summary, evidence, remedy, fix };
}

/** A finding that is worth a look. */
export function hint(cause: string, summary: string, evidence: string[], remedy: string): Finding {
  return { cause, level: "hint", summary, evidence, remedy };
}
