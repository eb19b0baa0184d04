/** Where a packet was last seen, and on which side of which hop it was lost. */
import type { Place } from "../facts/cause.ts";
import { isAt, type Journey, type Leg, legText } from "./journey.ts";
import type { Sighting } from "./observe/tap.ts";

/** A place on the way. */
export interface Hop {
  name: string;
  /** Whether the packet was seen there; `unknown` behind the one where it was lost. */
  outcome: "passed" | "stopped" | "unknown";
  /** What was seen there. */
  evidence: string[];
}

export interface Trail {
  journey: Journey;
  /** For each leg, what was seen there of the packet. */
  seen: (Sighting | undefined)[];
  /** Index of the last leg where it was seen; -1 for none. */
  last: number;
  /** What was seen there. */
  sighting?: Sighting;
  /** The leg that was not seen, and that it must have passed: a rule gives it a random source port. */
  inferred?: number;
  /** The legs between which it was lost; absent beyond both ends. */
  before?: Leg;
  after?: Leg;
  place: Place;
}

/** Finds the place of a loss. */
export function trailOf(journey: Journey, sightings: readonly Sighting[], token: number): Trail {
  return trailAt(
    journey,
    journey.legs.map((leg) => sightings.find((one) => isAt(leg, one, token))),
  );
}

/** The trail of what was seen at each leg. */
export function trailAt(journey: Journey, seen: (Sighting | undefined)[]): Trail {
  const last = seen.findLastIndex((one) => one !== undefined);
  const before = journey.legs[last];
  const after = journey.legs[last + 1];
  const place = placeBetween(journey, before, after);
  return { journey, seen, last, sighting: seen[last], before, after, place };
}

/** A gap belongs to the side that must act next: who received last, or sent and was not heard. */
function placeBetween(
  journey: Journey,
  before: Leg | undefined,
  after: Leg | undefined,
): Place {
  if (!before) return journey.from;
  if (before.way === "there" && after?.way === "back") {
    return before.direction === "out" && before.stop.place === "uplink" ? "outside" : journey.to;
  }
  if (!after) return journey.from;
  if (
    before.direction === "in" && after.direction === "out" && before.stop.place !== after.stop.place
  ) {
    return before.stop.place === "container" || before.stop.place === "neighbour"
      ? before.stop.place
      : "agent";
  }
  return after.stop.place;
}

/** A trail as a line: `seen leaving by eth0, never seen arriving on veth1234`. */
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
