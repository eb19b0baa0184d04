/** A question that an operator has of a container's network, and what a real packet answers. */
import type { Finding } from "../finding.ts";
import type { Journey } from "../journey.ts";
import type { Session } from "../observe/session.ts";
import type { Attached, Scene } from "../scene.ts";

export type Topic = "gateway" | "neighbour" | "outside" | "dns" | "agent" | "port" | "state";

export interface Answer {
  /** `unasked` is what can't be asked here: it is listed, and nobody is called ill by it. */
  outcome: "answered" | "failed" | "unasked";
  /** In a few words: `answered by 02:…`, `timed out`. */
  detail: string;
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
  /** Whose hardware addresses are asked for on the way. */
  neighbours: readonly string[];
  /** Sends the packet. It has a port or an identifier of its own, by which it is recognised. */
  ask(token: number, session: Session): Promise<Answer>;
  /** Reasons that only this question knows, read when it has failed. */
  reasons?(scene: Scene, answer: Answer): Promise<Finding[]> | Finding[];
}

/** How an answer begins when nobody tells the hardware address of the one that is asked. */
export const NOBODY_ANSWERS = "nobody answers who has";

/** How an answer begins whose translation was not undone. */
export const UNTRANSLATED = "its answer comes from";

export const answered = (detail: string): Answer => ({ outcome: "answered", detail });
export const failed = (detail: string): Answer => ({ outcome: "failed", detail });
export const unasked = (detail: string): Answer => ({ outcome: "unasked", detail });
