/** A reader looks for one kind of cause in what was seen of a question. */
import type { Cause } from "../../facts/cause.ts";
import type { Evidence } from "../evidence.ts";

export interface Reader {
  /** What it looks for, as `mesos-cni` would say it: `the rule that dropped it`. */
  name: string;
  /** Whether what was seen is for this reader at all. */
  applies(evidence: Evidence): boolean;
  /** @returns nothing where it is not that */
  read(evidence: Evidence): Promise<readonly Cause[]> | readonly Cause[];
}

type Found = readonly Cause[];

/** What the first look finds that finds anything. */
export async function firstOf(...looks: (() => Promise<Found> | Found)[]): Promise<Found> {
  for (const look of looks) {
    const found = await look();
    if (found.length > 0) return found;
  }
  return [];
}

export const always = () => true;
