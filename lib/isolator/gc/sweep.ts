import { OperatorError } from "../../base/error.ts";
import { reasonOf } from "../../base/log.ts";
import type { Garbage } from "./garbage.ts";

/** A piece of garbage, and what has become of it. */
export interface Swept extends Pick<Garbage, "kind" | "what" | "why"> {
  outcome: "found" | "removed" | "failed";
  error?: string;
}

/** Removes garbage piece by piece if `apply`. One that can't be removed doesn't stop the others. */
export async function sweep(garbage: readonly Garbage[], apply: boolean): Promise<Swept[]> {
  const swept: Swept[] = [];
  for (const one of garbage) {
    const { kind, what, why } = one;
    try {
      if (one.failed !== undefined) throw new OperatorError("not_seen", one.failed);
      if (apply) await one.remove();
      swept.push({ kind, what, why, outcome: apply ? "removed" : "found" });
    } catch (error) {
      swept.push({ kind, what, why, outcome: "failed", error: reasonOf(error) });
    }
  }
  return swept;
}
