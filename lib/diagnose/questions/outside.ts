/** Can it reach outside: the far side of the agent's uplink, with packets as large as its own? */
import { endsOf, through, toWire } from "../journey.ts";
import { whoHas } from "../packets/who_has.ts";
import { tryEcho } from "../packets/echo.ts";
import { wantsDefault } from "../../facts/readers/route.ts";
import { type Attached, givenTo, leadsBy, type Scene, type Uplink } from "../../facts/scene.ts";
import { takeTokens } from "../tokens.ts";
import { answered, failed, failedBy, type Failure, type Question, unasked } from "./question.ts";

const KNOWN = new Set(["REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT"]);
const MOST_CANDIDATES = 4;

/** Somebody beyond the uplink, who answers the agent itself. */
export async function findOutside(
  scene: Scene,
  family: 4 | 6,
  servers: readonly string[],
): Promise<{ address?: string; tried: string[]; uplink?: Uplink }> {
  const uplink = scene.uplink(family);
  if (!uplink) return { tried: [] };
  const tried = candidates(scene, family, uplink, servers);
  const { first } = takeTokens(MOST_CANDIDATES);
  const outcomes = await Promise.all(
    tried.map((address, i) => tryEcho({}, address, first + i, { ms: 400 })),
  );
  return { address: tried.find((_, i) => outcomes[i] === "answered"), tried, uplink };
}

function candidates(
  scene: Scene,
  family: 4 | 6,
  uplink: Uplink,
  servers: readonly string[],
): string[] {
  const { host } = scene;
  const gateways = host.routesOf(family).filter(({ link, destination }) =>
    link === uplink.link.index && destination === "default"
  ).flatMap(({ gateway }) => gateway ?? []);
  const beyond = servers.filter((one) =>
    one.includes(":") === (family === 6) && leadsBy(scene.host, one, uplink)
  );
  const neighbours = host.neighbours.filter((one) =>
    one.link === uplink.link.index && KNOWN.has(one.state) &&
    one.address.includes(":") === (family === 6) &&
    !one.address.startsWith("fe80:") && one.mac !== undefined
  ).map(({ address }) => address);
  const own = new Set(host.addresses.map(({ address }) => address));
  return [
    ...new Set([...gateways.filter((one) => !one.startsWith("fe80:")), ...beyond, ...neighbours]),
  ]
    .filter((one) => !own.has(one)).slice(0, MOST_CANDIDATES);
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
): Promise<Question[]> {
  const questions: Question[] = [];
  for (const family of [4, 6] as const) {
    const attached = scene.interfaces.find((one) =>
      isMeantOutside(scene, one, family) && (!scene.container || givenTo(one, family))
    );
    const ends = attached && endsOf(scene, attached);
    if (!attached || !ends) continue;
    const { address, tried, uplink } = await findOutside(scene, family, servers);
    const destination = address ?? tried[0];
    const defaults = scene.inside.routesOf(family).filter((one) => one.destination === "default");
    const common = {
      topic: "outside" as const,
      family,
      journey: attached.hostEnd ? through(ends, uplink?.link) : toWire(ends),
      protocol: "icmp" as const,
      port: 0,
      neighbours: [
        ...defaults.slice(0, 1).flatMap(({ gateway }) => gateway ?? []),
        ...destination ? [destination] : [],
        ...attached.expected.map((one) => one.address),
      ],
    };
    if (destination === undefined) {
      questions.push({
        ...common,
        text: `reaches outside by IPv${family}`,
        destination: "",
        ask: () =>
          Promise.resolve(unasked(
            uplink
              ? `nobody beyond ${uplink.link.name} is known who could be asked`
              : `the agent has no way out for IPv${family}`,
          )),
      });
      continue;
    }
    const link = attached.link!;
    const mtu = defaults.find((route) => route.link === link.index)?.mtu ?? link.mtu;
    questions.push({
      ...common,
      text: `reaches ${destination} outside`,
      destination,
      async ask(token, session) {
        const outcome = await tryEcho(scene.task, destination, token);
        if (outcome === "answered") {
          return answered("it answers an echo");
        }
        if (address !== undefined || outcome !== "timed out") {
          return failedByEcho(outcome);
        }
        // Nobody outside answers the agent either: how far the packet gets is all that can be told.
        const left = session.of(token).some(({ at, direction }) =>
          at === uplink!.link.name && direction === "out"
        );
        const wrong = left ? await wrongHardware(scene, uplink!, destination) : undefined;
        if (wrong !== undefined) {
          return failed(wrong);
        }
        return left
          ? unasked(
            `the packet leaves by ${
              uplink!.link.name
            }, and nobody outside answers the agent itself`,
          )
          : failedByEcho(outcome);
      },
    });
    if (address === undefined) {
      continue;
    }
    questions.push({
      ...common,
      sizes: true,
      isAskedOnce: true,
      text: `reaches ${destination} outside with packets of ${mtu} bytes`,
      destination,
      async ask(token) {
        let size = mtu;
        // A hop that can't pass it says so, and the sender makes it smaller (RFC 1191, RFC 8201).
        for (let i = 0; i < 3; i++) {
          const outcome = await tryEcho(scene.task, destination, token, { size });
          if (outcome === "answered") {
            return answered(
              size === mtu ? "it answers" : `it answers with ${size}, as a hop asks for`,
            );
          }
          const limit = /^too big (\d+)$/.exec(outcome)?.[1];
          if (limit !== undefined && Number(limit) < size && Number(limit) >= 68) {
            size = Number(limit);
          } else if (outcome === "EMSGSIZE") {
            // What the kernel has learned of the path.
            size = scene.inside.wayTo(destination).route?.mtu ?? size;
          } else if (outcome === "timed out") {
            return failed({ kind: "silence", bytes: size });
          } else return failedByEcho(outcome);
        }
        return failed({ kind: "too_big", mtu: size });
      },
    });
  }
  return questions;
}

/** The agent sends to a hardware address by which nobody answers for the next hop. */
async function wrongHardware(
  { host }: Scene,
  { link, agentAddress }: Uplink,
  destination: string,
): Promise<Failure | undefined> {
  const address = host.wayTo(destination).route?.gateway ?? destination;
  const entry = host.neighbourNow(address, link);
  if (entry?.mac === undefined) return undefined;
  const macs = await whoHas(undefined, link, address, agentAddress);
  return macs.length === 0 || macs.includes(entry.mac)
    ? undefined
    : { kind: "others_have", address, macs, wanted: entry.mac };
}

/** What an echo ended with. */
export function failedByEcho(outcome: string) {
  const [word, code] = outcome.split(" ");
  if (word === "unreachable") return failed({ kind: "unreachable", code: Number(code) });
  if (word === "too") return failed({ kind: "too_big", mtu: Number(outcome.split(" ")[2]) });
  return failedBy(outcome);
}
