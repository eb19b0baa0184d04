/** Watches some probes at all their hops at once: taps, the trace of rules, drops, counters. */
import { findInode } from "../../kernel/proc.ts";
import { SystemError } from "../../kernel/libc.ts";
import { messageOf } from "../../base/error.ts";
import { isAt, type Journey, type Leg, type Stop } from "../journey.ts";
import { type Counter, type Counters, countersOf, grownCounters } from "./counters.ts";
import { type Drop, Drops } from "./drops.ts";
import { probeFilter, type Tokens } from "../packets/filter.ts";
import type { Seen } from "../packets/frame.ts";
import { type Sighting, Tap } from "./tap.ts";
import { type RuleMet, Trace } from "./trace.ts";

/** What is asked, as the session must know it. */
export interface Watched {
  journey: Journey;
  /** Addresses whose hardware address somebody on the way must ask for. */
  neighbours: readonly string[];
}

/** How long packets may be under way after the last answer, in ms. */
const SETTLE_MS = 60;
/** Between one look and the next. */
const PAUSE_MS = 30;
/** The same of an answer to ARP or neighbour discovery, which a machine that has much to do gives later. */
const ANSWERING_MS = 200;
/** Of distinct neighbours that are asked for, and of links. */
const MOST_NEIGHBOURS = 24;
const MOST_LINKS = 48;
const MOST_ALIKE = 16;
const MOST_SIGHTINGS = 20_000;
const OWN = "/proc/thread-self/ns/net";

/** Whether a packet is a probe, or an answer to it. */
function isOf(packet: Seen | undefined, token: number): boolean {
  return packet?.sourcePort === token || packet?.destinationPort === token;
}

export class Session implements AsyncDisposable {
  readonly #taps: Tap[] = [];
  readonly #traces: Trace[] = [];
  #drops?: Drops;
  #before?: Counters;
  readonly #sightings: Sighting[] = [];
  /** How often the same was seen at a hop: whoever floods is not kept more often than he must. */
  readonly #alike = new Map<string, number>();
  #met: RuleMet[] = [];
  #dropped: Drop[] = [];
  /** Counters of drops that grew while the probes were under way. */
  grown: readonly Counter[] = [];
  /** What can't be observed here, and why. */
  readonly blind: string[] = [];

  private constructor(
    private readonly tokens: Tokens,
    private readonly watched: readonly Watched[],
    /** Whether this is the second time, when patience has been shown. */
    readonly deep: boolean,
  ) {}

  /** @param deep also rules, drops and counters, for what has failed */
  static async open(tokens: Tokens, watched: readonly Watched[], deep: boolean): Promise<Session> {
    const session = new Session(tokens, watched, deep);
    session.#tap();
    if (deep) await session.#look();
    return session;
  }

  get #stops(): Stop[] {
    const stops = new Map<string, Stop>();
    for (const { journey } of this.watched) {
      for (const { stop } of journey.legs) stops.set(stop.name, stop);
    }
    return [...stops.values()].slice(0, MOST_LINKS);
  }

  get #neighbours(): string[] {
    return [...new Set(this.watched.flatMap(({ neighbours }) => neighbours))].slice(
      0,
      MOST_NEIGHBOURS,
    );
  }

  #tap(): void {
    const filter = probeFilter(this.tokens, this.#neighbours);
    for (const stop of this.#stops) {
      this.#begin(stop.name, () => this.#taps.push(new Tap(stop, filter)));
    }
  }

  /** What the kernel refuses is not observed, and said to be so. */
  #begin(what: string, begin: () => void): void {
    try {
      begin();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.blind.push(`${what}: ${error.message}`);
    }
  }

  async #look(): Promise<void> {
    const traced = { tokens: this.tokens, addresses: this.#neighbours };
    const spaces = new Map<string | undefined, string[]>([[undefined, []]]);
    for (const { netns, link } of this.#stops) {
      spaces.set(netns, [...spaces.get(netns) ?? [], link.name]);
    }
    for (const [netns, devices] of spaces) {
      this.#begin("rules are not traced", () => {
        const trace = new Trace(traced, devices, netns);
        this.#traces.push(trace);
        for (const missing of trace.missing) this.blind.push(`${missing} are not traced`);
      });
    }
    try {
      this.#drops = new Drops(this.tokens);
    } catch (error) {
      this.blind.push(`the kernel's reasons for drops are not told: ${messageOf(error)}`);
    }
    this.#before = await countersOf(this.#stops);
    for (const missing of this.#before.missing) this.blind.push(`${missing} can't be read`);
  }

  /** Hears what has come so far. */
  drain(): void {
    for (const tap of this.#taps) {
      for (const sighting of tap.sightings()) {
        const { packet, at, direction } = sighting;
        const ports = `${packet.sourcePort} ${packet.destinationPort}`;
        const key = [at, direction, packet.protocol, packet.source, packet.target, ports].join();
        const seen = this.#alike.get(key) ?? 0;
        if (seen >= MOST_ALIKE || this.#sightings.length >= MOST_SIGHTINGS) continue;
        this.#alike.set(key, seen + 1);
        this.#sightings.push(sighting);
      }
    }
  }

  /** What was seen of a probe so far. */
  of(token: number): Sighting[] {
    this.drain();
    return this.#sightings.filter(({ packet }) =>
      isOf(packet, token) || isOf(packet.quoted, token)
    );
  }

  /** The same at one of the legs of its way, or of its answer's; nothing where there is no such leg. */
  at({ legs }: Journey, token: number, way: Leg["way"], nth: number): Sighting[] {
    const leg = legs.filter((one) => one.way === way).at(nth);
    return leg ? this.of(token).filter((one) => isAt(leg, one, token)) : [];
  }

  /** ARP and neighbour discovery about an address. */
  about(address: string): Sighting[] {
    return this.#sightings.filter(({ packet }) => packet.target === address);
  }

  /** Waits for something to be seen. @returns whether it was in time */
  async until(isSeen: () => boolean, ms: number): Promise<boolean> {
    const end = performance.now() + ms;
    while (!isSeen()) {
      if (performance.now() > end) return false;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return true;
  }

  /** Waits for what is under way, and takes everything. */
  async finish(): Promise<void> {
    await this.#settle(SETTLE_MS);
    if (this.#neighbours.some((one) => this.#isUnanswered(one))) await this.#settle(ANSWERING_MS);
    this.#met = this.#traces.flatMap((trace) => trace.met());
    // A machine beyond may be a namespace of this kernel, and what is dropped there is out of sight.
    const known = new Set(
      this.#stops.map(({ netns }) => findInode(netns ?? OWN)).concat(findInode(OWN), undefined),
    );
    this.#dropped = this.#drops?.seen().filter(({ namespace }) => known.has(namespace)) ?? [];
    if (this.#before) this.grown = grownCounters(this.#before, await countersOf(this.#stops));
  }

  async #settle(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.drain();
  }

  /** Whether somebody was asked who has an address, and nobody has answered yet. */
  #isUnanswered(address: string): boolean {
    const about = this.about(address).map(({ packet }) => packet.protocol);
    return about.some((one) => one.endsWith("request")) &&
      !about.some((one) => one.endsWith("reply"));
  }

  /** The rules that a probe met. */
  rules(token: number): RuleMet[] {
    return this.#met.filter(({ packet }) => isOf(packet, token));
  }

  /** The rules that ARP and neighbour discovery about an address met. */
  rulesAbout(address: string): RuleMet[] {
    return this.#met.filter(({ packet }) => packet?.target === address);
  }

  /** The rules that errors met which quote a probe; a trace is too short to tell which probe. */
  rulesOfErrors(): RuleMet[] {
    return this.#met.filter(({ packet }) => packet?.protocol === "icmp error");
  }

  drops(token: number): Drop[] {
    return this.#dropped.filter(({ packet, location }) =>
      isOf(packet, token) && !location?.startsWith("bpf_")
    );
  }

  // deno-lint-ignore require-await
  async [Symbol.asyncDispose](): Promise<void> {
    this.#drops?.[Symbol.dispose]();
    for (const trace of this.#traces) trace[Symbol.dispose]();
    for (const tap of this.#taps) tap[Symbol.dispose]();
  }
}
