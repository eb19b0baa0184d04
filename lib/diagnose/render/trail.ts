/** A trail as a line: `seen leaving by eth0, never seen arriving on veth1234`. */
import { legText } from "../journey.ts";
import type { Trail } from "../place.ts";

export function trailText({ journey, seen, before, after, inferred }: Trail): string {
  const ticks = journey.legs.filter((_, i) => seen[i] && i !== inferred).map(legText);
  if (inferred !== undefined) {
    const why = "a rule gives it a random source port, by which it is not recognised";
    ticks.push(`and must be ${legText(journey.legs[inferred]!)}: ${why}`);
  }
  const lost = after
    ? `${before ? "" : "it was seen nowhere; "}never seen ${legText(after)}`
    : before
    ? "seen at every hop"
    : "no hop of it can be watched";
  return ticks.length > 0 ? `seen ${ticks.join(", ")}; ${lost}` : lost;
}
