/**
 * Behind a rule that gives it a random source port, a packet is not recognised any more. Nothing
 * comes after that rule but the link itself, so there it has left.
 */
import type { Evidence } from "../evidence.ts";
import { placeBetween } from "../place.ts";
import { ruleThat } from "./changing_rule.ts";

export async function beyondRandomPort(e: Evidence): Promise<Evidence> {
  const { trail, scene, question } = e;
  const { after, before, journey } = trail;
  const last = trail.seen[trail.last];
  const isAtUplink = after?.way === "there" && after.direction === "out" &&
    after.stop.place === "uplink" && before?.way === "there";
  if (!isAtUplink || !last || !await ruleThat(e, "random")) return e;
  const source = scene.uplink(question.family)?.agentAddress ?? last.packet.source;
  const at = trail.last + 1;
  const seen = trail.seen.with(at, {
    ...last,
    at: after.stop.point.name,
    direction: "out",
    packet: { ...last.packet, source },
    to: undefined,
  });
  const next = journey.legs[at + 1];
  const place = placeBetween(journey, after, next);
  return {
    ...e,
    trail: { journey, seen, last: at, inferred: at, before: after, after: next, place },
  };
}
