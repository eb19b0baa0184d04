/** Can it reach its gateway, for each network and family that has one? */
import type { Failure } from "../failure.ts";
import { gatewaysOf } from "../gateways.ts";
import { type Ends, endsOf, fromAgent, isAt, toAgent } from "../journey.ts";
import type { Session } from "../observe/session.ts";
import { tryEcho } from "../packets/echo.ts";
import { answererOf } from "../packets/by_hop.ts";
import { whoHas } from "../packets/who_has.ts";
import { severalHave } from "../readers/hardware.ts";
import { familyOfKnown } from "../../base/ip.ts";
import { type Attached, givenTo, type Scene } from "../../facts/scene.ts";
import { type Answer, answered, failed, findingOf, type Question } from "./question.ts";

export function gatewayQuestions(scene: Scene): Question[] {
  return scene.interfaces.flatMap((attached) => {
    const ends = endsOf(scene, attached);
    if (!ends) return [];
    return gatewaysOf(scene, attached).map((gateway): Question => ({
      topic: "gateway",
      text: `reaches its gateway ${gateway} by ${attached.ifName}`,
      family: gateway.includes(":") ? 6 : 4,
      journey: toAgent(ends),
      protocol: "icmp",
      destination: gateway,
      port: 0,
      neighbours: [gateway],
      async ask(token, session, nth) {
        const wrong = nth === 0 ? await heard(scene, attached, gateway) : undefined;
        if (wrong) return failed(wrong);
        const failure = await tryEcho(scene.task, gateway, token);
        if (!failure) return answered("it answers an echo");
        const link = attached.link!;
        const own = scene.inside.globalsOf(link, familyOfKnown(gateway))[0]?.address;
        const answers = await whoHas(scene.inside.netns, link, gateway, own);
        return withoutEcho(scene, ends, gateway, { failure, answers }, token, session);
      },
    }));
  });
}

/**
 * What is said of a gateway of which no echo came, but maybe answers to who has its address: it need not
 * answer echoes, and must take what is for others.
 */
export function withoutEcho(
  scene: Scene,
  ends: Ends,
  gateway: string,
  { failure, answers }: { failure: Failure; answers: readonly string[] },
  token: number,
  session: Pick<Session, "of" | "at">,
): Answer {
  const isOwn = scene.host.ownerOf(gateway) !== undefined;
  if (!isOwn && answers.length > 0 && failure.kind === "silence") {
    const entry = scene.inside.neighbourNow(gateway, ends.attached.link!);
    if (entry?.mac === undefined || answers.includes(entry.mac)) {
      return answered(`${answers[0]} answers for it`);
    }
  }
  if (session.at(toAgent(ends), token, "back", 0).length > 0) {
    return failed({ kind: "answer_lost" });
  }
  // What leaves by a macvlan, a vlan or a device of its own may reach nobody: it must be seen coming in.
  const stop = ends.bridge ?? ends.veth;
  const arrived = stop &&
    session.of(token).some((one) => isAt({ stop, direction: "in", way: "there" }, one, token));
  return isOwn && arrived ? answered("the agent receives what is sent to it") : failed(failure);
}

/** What is wrong with who answers ARP for a gateway, whatever the table of neighbours holds now. */
async function heard(
  scene: Scene,
  attached: Attached,
  gateway: string,
): Promise<Failure | undefined> {
  const { link, hostEnd, bridge } = attached;
  if (gateway.includes(":") || !link!.flags.includes("UP") || link!.flags.includes("NOARP")) {
    return undefined;
  }
  const own = (scene.inside.globalsOf(link!, 4)[0] ?? givenTo(attached, 4))?.address;
  const answers = await whoHas(scene.inside.netns, link!, gateway, own);
  if (answers.length === 0) return { kind: "nobody_has", address: gateway };
  const owner = scene.host.ownerOf(gateway);
  // The agent answers on all its links, and takes what comes by any: an echo tells whether it does.
  const right = [...scene.host.links.map(({ mac }) => mac), hostEnd?.mac, bridge?.link?.mac];
  const isWrong = owner
    ? hostEnd && answers.some((mac) => !right.includes(mac))
    : (await severalHave(scene.inside, { answererOf }, link!, gateway, own, answers)).length > 0;
  return isWrong ? { kind: "others_have", address: gateway, macs: answers } : undefined;
}

/** Does the agent find the container, by ARP? What comes from elsewhere must. */
export function foundQuestions(scene: Scene): Question[] {
  return scene.interfaces.flatMap((attached) => {
    const ends = endsOf(scene, attached);
    const { ingress, hostEnd, link, routedByAgent } = attached;
    const own = ingress &&
      scene.host.addressesOf(ingress).find(({ family }) => family === "inet")?.address;
    const address = givenTo(attached, 4)?.address;
    if (!ends || !hostEnd || !ingress || !own || !address || !link || !routedByAgent) return [];
    return [findingOf({
      topic: "gateway",
      text: `is found by the agent at ${address} on ${ingress.name}`,
      journey: fromAgent(ends),
      view: scene.host,
      link: ingress,
      own,
      address,
      mac: link.mac!,
      down: failed({ kind: "link_down", device: ingress.name }),
    })];
  });
}
