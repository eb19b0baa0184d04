/** For each mapped port: does a connection from outside arrive, from the agent, from the container? */
import type { PortMapping } from "../../cni/port_mappings.ts";
import { familyOfKnown } from "../../base/ip.ts";
import { listOwners } from "../../ports/mod.ts";
import { isObject } from "../../base/json.ts";
import { endsOf, fromAgent, hairpin, type Journey } from "../journey.ts";
import type { Sender } from "../packets/connect.ts";
import { MAPPERS } from "../../facts/readers/ports.ts";
import {
  type Attached,
  givenTo,
  leadsBy,
  pluginOf,
  type Scene,
  type Uplink,
} from "../../facts/scene.ts";
import { askListener, type MayTalkTo } from "./listener.ts";
import type { Client } from "./clients.ts";
import { type Mapped, type Question, unasked } from "./question.ts";
import { askedBy } from "./stranger.ts";

/** More mappings than anyone has are not all asked. */
const MOST_MAPPINGS = 8;
/** Nor are all links of a router's. */
const MOST_WAYS = 4;
/** Documentation's own (RFC 5737, RFC 3849): nobody's, and routed like everybody's. */
const SOMEWHERE = { 4: ["198.51.100.77", "192.0.2.77", "203.0.113.77"], 6: ["2001:db8:ffff::77"] };

/**
 * The ports of the agent that lead to the container.
 *
 * @param comingBy the link that packets of a family come in by
 */
export function mappedPorts(
  scene: Scene,
  comingBy: (family: 4 | 6) => Uplink | undefined = (family) => scene.uplink(family),
): Mapped[] {
  return scene.interfaces.flatMap((attached) => {
    const mapper = pluginOf(attached.checkpoint, ...MAPPERS);
    const ends = endsOf(scene, attached);
    if (!mapper || !ends || !attached.hostEnd) return [];
    return (attached.checkpoint?.portMappings ?? []).flatMap((mapping) => {
      if (mapping.protocol !== "tcp" && mapping.protocol !== "udp") return [];
      return ([4, 6] as const).flatMap((family): Mapped[] => {
        const address = givenTo(attached, family);
        const uplink = comingBy(family);
        if (!address || !uplink || family === 6 && !mapsPorts6(scene, attached)) return [];
        const at = hostAddressOf(attached, mapping, family) ?? uplink.agentAddress;
        if (at.includes(":") !== (family === 6)) return [];
        return [{ ends, mapping, address, uplink, at, mapper }];
      });
    });
  });
}

/** @param clients of its ports that are asked as, besides strangers */
export function portQuestions(
  scene: Scene,
  mayTalkTo: MayTalkTo,
  clients: readonly Client[] = [],
): Question[] {
  const all = mappedPorts(scene);
  const mappings = [...new Set(all.map(({ mapping }) => mapping))].slice(0, MOST_MAPPINGS);
  return all.filter(({ mapping }) => mappings.includes(mapping)).flatMap((mapped) => {
    const { mapping, mapper, ends, at, address: { family } } = mapped;
    const isSilent = !mayTalkTo(mapping.containerPort) || !mayTalkTo(mapping.hostPort);
    const comers = [
      ...comersOf(scene, mapped, clients),
      ...mapping === mappings[0] ? byOtherLinks(scene, mapped, clients) : [],
    ];
    const questions = comers.filter(({ address }) =>
      !scene.host.ownerOf(address) && !address.startsWith("fe80:")
    ).map(({ address: stranger, by, ...how }) => {
      const asked = common({ ...mapped, at: by.agentAddress, uplink: by });
      const question = askedBy(stranger, scene, {
        ...asked,
        text: `${asked.text} from ${stranger} by ${by.link.name}`,
        ...{ ends, uplink: by },
        // Who is near may be somebody, and ends what he has not begun.
        payload: how.invented === "nobody" && !isSilent,
        invented: how.invented,
        returns: how.returns,
      });
      if (how.isUnknown) return unlessMeant(question, by);
      return how.asked ? { ...question, isAskedOnce: true as const } : question;
    });
    if (mapping.protocol !== "tcp") return questions;
    const isSnat = mapper.snat === true;
    const own = isSnat && family === 4 && mapper.type === MAPPERS[0];
    for (const to of own ? [at, "127.0.0.1"] : [at]) {
      // One that talks to nobody else meanwhile is asked but once.
      const payload = to === at && !isSilent;
      questions.push(
        local(scene, mapped, to, fromAgent(ends), `the agent itself at ${to}`, {}, payload),
      );
    }
    const excluded = Array.isArray(mapper.excludeDevices) &&
      mapper.excludeDevices.includes(ends.attached.ingress?.name ?? "");
    if (isSnat && !excluded) {
      const who = "the container itself";
      questions.push(local(scene, mapped, at, hairpin(ends), who, scene.task, false));
    }
    return questions;
  });
}

/** Whether a port mapper's rules are also for IPv6: the original's, and others', may not be. */
function mapsPorts6({ container }: Scene, { checkpoint }: Attached): boolean {
  return listOwners().some((record) =>
    record.containerId === container?.id && record.ifName === checkpoint?.ifName &&
    record.endpoints.some(({ family }) => family === 6)
  );
}

/** The address of the agent that a mapping is bound to, if it is to one. */
function hostAddressOf(
  { checkpoint }: Attached,
  { hostPort }: PortMapping,
  family: 4 | 6,
): string | undefined {
  const entries = checkpoint!.plugins.flatMap((plugin) => {
    const runtime = isObject(plugin.runtimeConfig) ? plugin.runtimeConfig.portMappings : undefined;
    return Array.isArray(runtime) ? runtime.filter(isObject) : [];
  });
  const found = entries.find((one) => one.hostPort === hostPort)?.hostIP;
  return typeof found === "string" && found !== "" && found.includes(":") === (family === 6) &&
      found !== "0.0.0.0" && found !== "::"
    ? found
    : undefined;
}

/** Who comes to a port, and by which link and address of the agent. */
interface Comer extends Client {
  by: Uplink;
  invented?: Question["invented"];
}

/** Who a connection may come from: by the way out somebody near and somebody far, and clients that are known. */
function comersOf(
  scene: Scene,
  { mapping, at, uplink, address: { family } }: Mapped,
  clients: readonly Client[],
): Comer[] {
  const { host } = scene;
  const by = { ...uplink, agentAddress: at };
  const known = clients.filter(({ address, asked }) =>
    familyOfKnown(address) === family &&
    (!asked || asked.hostPort === mapping.hostPort && asked.protocol === mapping.protocol)
  ).map((one): Comer => ({ ...one, by: one.asked?.by ?? by }));
  const isDefault = host.routesOf(family).some((route) =>
    route.destination === "default" && route.table === "main" &&
    route.link === uplink.link.index
  );
  const far = SOMEWHERE[family].find((one) => leadsBy(host, one, uplink));
  const isNew = (one: string) => known.every(({ address }) => address !== one);
  const near = scene.strangersOn(uplink.link, family).find(isNew) ?? uplink.somewhere;
  const strangers: Comer[] = isDefault && far ? [{ address: far, by, invented: "nobody" }] : [];
  return [{ address: near, by, invented: "neighbour" }, ...known, ...strangers];
}

/** By each other link of the agent one of its neighbours, of whom nobody knows whether he may come. */
function byOtherLinks(
  scene: Scene,
  { mapper, at, uplink, address: { family } }: Mapped,
  clients: readonly Client[],
): Comer[] {
  // A port that is bound to an address of the agent is asked there.
  if (at !== uplink.agentAddress) return [];
  const excluded = Array.isArray(mapper.excludeDevices) ? mapper.excludeDevices : [];
  return scene.waysIn(family).slice(1, MOST_WAYS).flatMap((by): Comer[] => {
    const address = scene.strangersOn(by.link, family)[0] ?? by.somewhere;
    const isLeftOut = excluded.includes(by.link.name) || !leadsBy(scene.host, address, by) ||
      clients.some(({ asked }) => asked?.by.link === by.link);
    return isLeftOut ? [] : [{ address, by, isUnknown: true }];
  });
}

/** Many an agent has a network by which nobody is to reach containers, and who is lost there is no fault. */
function unlessMeant(question: Question, { link }: Uplink): Question {
  return {
    ...question,
    isAskedOnce: true,
    async ask(...args) {
      const answer = await question.ask(...args);
      return answer.failure?.kind === "hidden" || answer.outcome !== "failed"
        ? answer
        : unasked(`it is lost, and nobody is known to come by ${link.name}: it may be meant so`);
    },
  };
}

/** What is asked of a port of the agent, whoever asks. */
export function common(mapped: Mapped) {
  const { mapping, address, at } = mapped;
  return {
    topic: "port" as const,
    text: `port ${mapping.hostPort}/${mapping.protocol} is reached`,
    mapped,
    family: address.family,
    protocol: mapping.protocol as "tcp" | "udp",
    destination: at,
    port: mapping.hostPort,
    realPort: mapping.containerPort,
    realDestination: address.address,
  };
}

/** A connection from the agent itself, or from the container by a port of the agent. */
function local(
  scene: Scene,
  mapped: Mapped,
  at: string,
  journey: Journey,
  who: string,
  sender: Sender,
  payload: boolean,
): Question {
  const { hostPort, containerPort } = mapped.mapping;
  const asked = common(mapped);
  return {
    ...asked,
    destination: at,
    text: `${asked.text} from ${who}`,
    journey,
    neighbours: [mapped.address.address],
    ask(token, session, nth) {
      const listening = { at: { space: scene.inside, port: containerPort }, journey, payload };
      const probe = { ...sender, address: at, port: hostPort, token };
      return askListener(probe, listening, session, nth);
    },
  };
}
