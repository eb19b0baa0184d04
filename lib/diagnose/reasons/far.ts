/** The other container has the packet, and does not answer: its own links, addresses and routes. */
import type { Case } from "../case.ts";
import type { Finding } from "../finding.ts";
import { missing } from "./address.ts";
import { interfaceReasons } from "./link.ts";
import { flowOf } from "./policy.ts";
import { routeReasons } from "./route_of.ts";

/** What is said of a container is said of a neighbour here. */
export function farReasons({ question, answer, trail, token, scene }: Case): Finding[] {
  if (!question.far) return [];
  const { scene: theirs, attached } = question.far;
  const own = scene.interfaces.flatMap(({ expected }) => expected).find(({ family }) =>
    family === question.family
  )?.address;
  const asked = trail.seen[trail.last]?.packet.source ?? own;
  const isOfFamily = ({ text }: Finding) => text.includes(":") === (question.family === 6);
  const readers = [
    () => interfaceReasons(theirs, attached),
    () => missing(theirs, attached).filter(isOfFamily),
    () =>
      asked === undefined ? [] : routeReasons(
        theirs,
        asked,
        question.family,
        answer.detail,
        flowOf(question, token, true),
      ),
  ];
  for (const read of readers) {
    const found = read().filter(({ level }) => level === "problem");
    if (found.length > 0) {
      return found.map((one) => ({ ...one, place: "neighbour" }));
    }
  }
  return [];
}
