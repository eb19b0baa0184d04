/** A question that an operator has of a container's network, and what a real packet answers. */
import type { Cause } from "../../facts/cause.ts";
import type { Attached, Scene, Uplink } from "../../facts/scene.ts";
import type { Link } from "../../netlink/mod.ts";
import type { Space } from "../../netlink/view.ts";
import type { Failure, Share } from "../failure.ts";
import type { Ends, Journey } from "../journey.ts";
import type { PortMapping } from "../../cni/port_mappings.ts";
import type { NetworkAddress } from "../../containers/network_address.ts";
import type { JsonObject } from "../../base/json.ts";
import type { Session } from "../observe/session.ts";
import { whoHas } from "../packets/who_has.ts";
import type { Resolver } from "../../facts/readers/resolver.ts";

/** What is asked about, in the order of a report. */
export const TOPICS = ["gateway", "neighbour", "outside", "dns", "agent", "port", "state"] as const;
export type Topic = (typeof TOPICS)[number] | "followed";

export interface Answer {
  /** `unasked` is what can't be asked here: it is listed, and nobody is called ill or well by it. */
  outcome: "answered" | "failed" | "unasked";
  /** What was seen: `it answers an echo`; or why it was not asked. Of a failure, see `failure`. */
  detail: string;
  failure?: Failure;
  /** What is worth a look in an answer that is one. */
  hints?: readonly Cause[];
  /** Where only some tries failed. */
  share?: Share;
}

/** A port of the agent that leads to the container. */
export interface Mapped {
  ends: Ends;
  mapping: PortMapping;
  address: NetworkAddress;
  uplink: Uplink;
  /** The agent's address that the port is mapped on. */
  at: string;
  /** The config of the plugin that maps it. */
  mapper: JsonObject;
}

export interface Question {
  topic: Topic;
  /** As a sentence: `reaches its gateway 10.1.0.1`. */
  text: string;
  family: 4 | 6;
  journey: Journey;
  protocol: "tcp" | "udp" | "icmp";
  /** Where it is sent to. */
  destination: string;
  /** Of TCP and UDP. */
  port: number;
  /** The port at its real receiver, where a rule leads it to another. */
  realPort?: number;
  /** The address that its receiver has, where a rule leads it there. */
  realDestination?: string;
  /** Whether it asks for packets of a size: then errors of the way are an answer. */
  sizes?: true;
  /** The other container, where one of this agent answers. */
  far?: { scene: Scene; attached: Attached };
  /** What a port is mapped to, and who asks from outside. */
  mapped?: Mapped;
  stranger?: string;
  /** Whom nobody has seen ask for it: a neighbour, or an address that nobody has. */
  invented?: "neighbour" | "nobody";
  /** What shows that its answer is lost unless it leaves by the link that the question came by. */
  returns?: readonly string[];
  /** The variable of the environment that names it, as a proxy. */
  variable?: string;
  /** How the container resolves names. */
  resolver?: Resolver;
  /** Whose hardware addresses are asked for on the way. */
  neighbours: readonly string[];
  /** For what is no packet of its own, or is not to be lost among many. */
  isAskedOnce?: true;
  /**
   * Sends the packet. It has a port or an identifier of its own, by which it is recognised.
   *
   * @param nth of the tries that go out together, from 0
   */
  ask(token: number, session: Session, nth: number): Promise<Answer>;
}

/** What an interface's packets ask for on the way to an address: gateways, it, and the container's own. */
export function askedForBy(
  { inside }: Scene,
  attached: Attached | undefined,
  address?: string,
): string[] {
  return [
    ...inside.routes.flatMap(({ gateway }) => gateway ?? []),
    ...address === undefined ? [] : [address],
    ...attached?.expected.map((one) => one.address) ?? [],
  ];
}

/** The interface by which the container's routes lead to an address. */
export function attachedTo({ inside, interfaces }: Scene, address: string): Attached | undefined {
  const by = inside.wayTo(address).link;
  return interfaces.find(({ link }) => link !== undefined && link.index === by?.index) ??
    interfaces.find(({ link }) => link !== undefined);
}

/** Somebody asks on a link who has an address, whose hardware address is known. */
export interface Finding extends Pick<Question, "topic" | "text" | "journey" | "far"> {
  /** Of who asks. */
  view: Space;
  link: Link;
  own: string;
  address: string;
  mac: string;
  /** Of a link that is down. */
  down: Answer;
}

/** Whether an address is found by ARP: what is known of it already may be old. */
export function findingOf(finding: Finding): Question {
  const { topic, text, journey, far, view, link, own, address, mac, down } = finding;
  return {
    ...{ topic, text, journey, far, family: 4, protocol: "icmp", destination: address, port: 0 },
    neighbours: [address],
    isAskedOnce: true,
    async ask() {
      if (!link.flags.includes("UP")) return down;
      const ask = () => whoHas(view.netns, link, address, own);
      const macs = await ask();
      // The kernel may be asking as well, and what it asks of one station alone is answered where a
      // broadcast is lost. Having had its answer, it does not ask again for a while: what comes a
      // second time is ours. (An ARP without an address of one's own, which only we would ask, is
      // dropped by bridges that let nobody send from another's.)
      if (macs.includes(mac) && (await ask()).includes(mac)) return answered(`${mac} answers`);
      const entry = view.neighbourNow(address, link);
      if (entry?.state === "PERMANENT" && entry.mac === mac) {
        return answered("it is in the table by hand, and need not be asked for");
      }
      return macs.length === 0 || macs.includes(mac)
        ? failed({ kind: "nobody_has", address })
        : failed({ kind: "others_have", address, macs, wanted: mac });
    },
  };
}

export const answered = (detail: string): Answer => ({ outcome: "answered", detail });
export const unasked = (detail: string): Answer => ({ outcome: "unasked", detail });
/** What failed in a way that nothing explains, and is none: an answer that came late, a source that is meant so. */
export const answeredAfterAll = ({ kind }: Failure): Answer =>
  answered(
    kind === "hidden"
      ? "it arrives from an address of the agent's, as it is meant to, and its answer leaves"
      : "its answer was seen at every hop, later than it was waited for",
  );
export const failed = (failure: Failure): Answer => ({ outcome: "failed", detail: "", failure });

/** What a connection, a datagram or an echo ended with. */
export function failedBy(outcome: string): Answer {
  return failed(
    outcome === "timed out" || outcome === "no answer"
      ? { kind: "silence" }
      : { kind: "errno", errno: outcome },
  );
}
