/** Links of the container that a question goes by. */
import type { Case } from "../case.ts";
import { type Finding, inNetns, problem, shellText } from "../finding.ts";
import type { Trail } from "../place.ts";
import type { Attached, Scene } from "../scene.ts";
import { missing } from "./address.ts";
import { bridgeOf } from "./bridge.ts";
import { interfaceReasons } from "./link.ts";

/** Links on the way that are down, gone, off their bridge, or without their address. */
export function linkReasons(
  { scene, trail, question }: Pick<Case, "scene" | "trail" | "question">,
): Finding[] {
  for (const attached of onTheWay(scene, trail)) {
    const found = [
      ...interfaceReasons(scene, attached),
      ...bridgeOf(scene, attached),
      ...missing(scene, attached).filter(({ text }) =>
        text.includes(":") === (question.family === 6)
      ),
    ];
    if (found.length > 0) return found;
  }
  const stop = trail.after?.stop;
  if (stop && !stop.link.flags.includes("UP")) {
    const netns = stop.point.netns;
    const command = inNetns(netns, "ip", "link", "set", stop.link.name, "up");
    return [problem(
      "link_down",
      ["link", stop.place],
      `${stop.point.name} is down`,
      [`its flags are ${stop.link.flags.join(", ")}`],
      shellText(command),
      { what: `bring ${stop.point.name} up`, commands: [command] },
    )];
  }
  if (stop && !stop.link.carrier && stop.link.operState === "DOWN") {
    return [problem(
      "no_carrier",
      ["link", stop.place],
      `${stop.point.name} has no carrier`,
      [`its state is ${stop.link.operState}`],
      "look at its other end, or its ports",
    )];
  }
  return [];
}

/** The interfaces of the container that a question goes by; all, if it is not known. */
function onTheWay({ interfaces }: Scene, { journey }: Trail): Attached[] {
  const found = interfaces.filter(({ link }) =>
    journey.legs.some(({ stop }) =>
      stop.link === link || stop.link.index === link?.index && stop.place === "container"
    )
  );
  return found.length > 0 ? found : interfaces;
}
