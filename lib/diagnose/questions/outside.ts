/** Can it reach outside: the far side of the agent's uplink, with packets as large as its own? */
import { familyOfKnown } from "../../base/ip.ts";
import { endsOf, through, toWire } from "../journey.ts";
import { tryEcho } from "../packets/echo.ts";
import { wantsDefault } from "../../facts/readers/route.ts";
import { type Attached, givenTo, leadsBy, type Scene, type Uplink } from "../../facts/scene.ts";
import type { Space } from "../../netlink/view.ts";
import type { Failure } from "../failure.ts";
import type { Kernel } from "../observe/kernel.ts";
import { takeTokens } from "../tokens.ts";
import { answered, failed, type Question, unasked } from "./question.ts";

const MOST_CANDIDATES = 4;

/** Who may be asked beyond the uplink: gateways, name servers, and neighbours who are known. */
function candidates(
  scene: Scene,
  family: 4 | 6,
  uplink: Uplink,
  servers: readonly string[],
): string[] {
  const { host } = scene;
  const { index } = uplink.link;
  const gateways = host.routesOf(family).flatMap(({ link, destination, gateway }) =>
    link === index && destination === "default" && gateway ? [gateway] : []
  );
  const beyond = servers.filter((one) => leadsBy(host, one, uplink));
  const all = new Set([...gateways, ...beyond, ...scene.strangersOn(uplink.link, family)]);
  return [...all].filter((one) =>
    familyOfKnown(one) === family && !one.startsWith("fe80:") && !host.ownerOf(one)
  ).slice(0, MOST_CANDIDATES);
}

/** Whether a container is meant to leave its subnet by this family. */
export function isMeantOutside(scene: Scene, attached: Attached, family: 4 | 6): boolean {
  return wantsDefault(attached, family) ||
    scene.inside.routesOf(family).some((route) =>
      route.destination === "default" && route.link === attached.link?.index &&
      route.type === "unicast" && route.protocol !== "ra"
    );
}

export async function outsideQuestions(
  scene: Scene,
  servers: readonly string[],
  kernel: Kernel,
): Promise<Question[]> {
  const all = ([4, 6] as const).map((one) => ofFamily(scene, one, servers, kernel));
  return (await Promise.all(all)).flat();
}

async function ofFamily(
  scene: Scene,
  family: 4 | 6,
  servers: readonly string[],
  kernel: Kernel,
): Promise<Question[]> {
  const attached = scene.interfaces.find((one) =>
    isMeantOutside(scene, one, family) && (!scene.container || givenTo(one, family))
  );
  const ends = attached && endsOf(scene, attached);
  if (!attached || !ends) return [];
  const uplink = scene.uplink(family);
  const tried = uplink ? candidates(scene, family, uplink, servers) : [];
  const { first } = takeTokens(MOST_CANDIDATES);
  const failures = await Promise.all(
    tried.map((address, i) => tryEcho({}, address, first + i, { ms: 400 })),
  );
  // Somebody who answers the agent itself.
  const answering = tried.find((_, i) => !failures[i]);
  const destination = answering ?? tried[0] ?? "";
  const defaults = scene.inside.routesOf(family).filter((one) => one.destination === "default");
  const common = {
    topic: "outside" as const,
    family,
    journey: attached.hostEnd ? through(ends, uplink?.link) : toWire(ends),
    protocol: "icmp" as const,
    destination,
    port: 0,
    neighbours: [
      ...defaults.slice(0, 1).flatMap(({ gateway }) => gateway ?? []),
      ...destination ? [destination] : [],
      ...attached.expected.map((one) => one.address),
    ],
  };
  if (destination === "") {
    const why = uplink
      ? `nobody beyond ${uplink.link.name} is known who could be asked`
      : `the agent has no way out for IPv${family}`;
    const text = `reaches outside by IPv${family}`;
    return [{ ...common, text, ask: () => Promise.resolve(unasked(why)) }];
  }
  const device = uplink!.link.name;
  const reaches: Question = {
    ...common,
    text: `reaches ${destination} outside`,
    async ask(token, session) {
      const failure = await tryEcho(scene.task, destination, token);
      if (!failure) return answered("it answers an echo");
      // Where nobody outside answers the agent either, how far the packet gets is all that can be told.
      const hasLeft = answering === undefined && failure.kind === "silence" &&
        session.of(token).some(({ at, direction }) => at === device && direction === "out");
      if (!hasLeft) return failed(failure);
      const wrong = await wrongNextHop(scene.host, kernel, uplink!, destination);
      return wrong
        ? failed(wrong)
        : unasked(`the packet leaves by ${device}, and nobody outside answers the agent itself`);
    },
  };
  const link = attached.link!;
  const mtu = defaults.find((route) => route.link === link.index)?.mtu ?? link.mtu;
  return answering === undefined ? [reaches] : [reaches, {
    ...common,
    sizes: true,
    isAskedOnce: true,
    text: `reaches ${destination} outside with packets of ${mtu} bytes`,
    async ask(token) {
      let size = mtu;
      // A hop that can't pass it says so, and the sender makes it smaller (RFC 1191, RFC 8201).
      for (let i = 0; i < 3; i++) {
        const failure = await tryEcho(scene.task, destination, token, { size });
        if (!failure) {
          return answered(
            size === mtu ? "it answers" : `it answers with ${size}, as a hop asks for`,
          );
        }
        if (failure.kind === "too_big" && failure.mtu < size && failure.mtu >= 68) {
          size = failure.mtu;
        } else if (failure.kind === "errno" && failure.errno === "EMSGSIZE") {
          // What the kernel has learned of the path.
          size = scene.inside.wayTo(destination).route?.mtu ?? size;
        } else {
          return failed(failure.kind === "silence" ? { ...failure, bytes: size } : failure);
        }
      }
      return failed({ kind: "too_big", mtu: size });
    },
  }];
}

/** The agent sends to a hardware address by which nobody answers for the next hop, whatever its route. */
export async function wrongNextHop(
  host: Space,
  kernel: Pick<Kernel, "whoHas">,
  { link, agentAddress }: Pick<Uplink, "link" | "agentAddress">,
  destination: string,
): Promise<Failure | undefined> {
  const address = host.wayTo(destination).route?.gateway ?? destination;
  const wanted = host.neighbourNow(address, link)?.mac;
  if (wanted === undefined) return undefined;
  const macs = await kernel.whoHas(undefined, link, address, agentAddress);
  return macs.length === 0 || macs.includes(wanted)
    ? undefined
    : { kind: "others_have", address, macs, wanted };
}
