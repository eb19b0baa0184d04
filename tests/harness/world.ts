/**
 * A container and its agent as values, for tests of what readers make of them: `web` has eth0, a
 * veth on the bridge br0, whose gateway the agent is; the agent's way out is wan0.
 */
import type { Failure } from "../../lib/diagnose/failure.ts";
import type { Cause } from "../../lib/facts/cause.ts";
import { Scene } from "../../lib/facts/scene.ts";
import type { Evidence } from "../../lib/diagnose/evidence.ts";
import { endsOf, fromOutside, type Journey, through, toAgent } from "../../lib/diagnose/journey.ts";
import type { Holder, Kernel } from "../../lib/diagnose/observe/kernel.ts";
import type { Sighting } from "../../lib/diagnose/observe/tap.ts";
import type { RuleMet } from "../../lib/diagnose/observe/trace.ts";
import { trailOf } from "../../lib/diagnose/place.ts";
import type { Question } from "../../lib/diagnose/questions/question.ts";
import type { Address, Link, Neighbour, Route, Rule } from "../../lib/netlink/mod.ts";
import { type BridgePort, BridgeVlans } from "../../lib/netlink/bridge_state.ts";
import type { Listener } from "../../lib/netlink/sock_diag.ts";
import { type Forwarded, Space } from "../../lib/netlink/view.ts";

export const NETNS = "/run/web/ns";
export const TOKEN = 20_480;

/** A namespace that is no machine's. */
export class FixedSpace extends Space {
  links: Link[] = [];
  addresses: Address[] = [];
  routes: Route[] = [];
  rules: Rule[] = [];
  neighbours: Neighbour[] = [];
  readonly settings: Record<string, string> = {};
  /** Below /proc. */
  readonly files: Record<string, string> = {};
  /** The routes that the kernel would choose, by destination; errno's name for none. */
  readonly chosen: Record<string, Route | string> = {};
  /** The entries of tables by which it would; of what is forwarded, also by `TO from SOURCE`. */
  readonly matched: Record<string, Route> = {};

  constructor(readonly netns?: string) {
    super();
  }

  neighboursNow() {
    return this.neighbours;
  }
  setting(name: string) {
    return this.settings[name];
  }
  proc(path: string) {
    return this.files[path];
  }
  mayChange() {
    return true;
  }
  routeTo(destination: string) {
    return this.chosen[destination] ?? "ENETUNREACH";
  }
  entryTo(destination: string, from?: Forwarded) {
    return this.matched[`${destination} from ${from?.source}`] ?? this.matched[destination];
  }
  namespaceId() {
    return 1;
  }
}

export function link(index: number, name: string, more: Partial<Link> = {}): Link {
  return {
    index,
    name,
    flags: ["UP", "LOWER_UP"],
    mtu: 1500,
    carrier: true,
    operState: "UP",
    mac: `02:00:00:00:00:0${index}`,
    ...more,
  } as Link;
}

export function address(link: number, text: string, more: Partial<Address> = {}): Address {
  const [bare, length] = text.split("/") as [string, string];
  const family = bare.includes(":") ? "inet6" : "inet";
  return {
    link,
    family,
    address: bare,
    prefixLength: Number(length),
    scope: "global",
    flags: [],
    ...more,
  } as Address;
}

export function route(destination: string, link: number, more: Partial<Route> = {}): Route {
  const family = destination.includes(":") ? "inet6" : "inet";
  const common = { table: "main", type: "unicast", protocol: "boot", scope: "global", flags: [] };
  return { ...common, family, destination, link, ...more } as Route;
}

export class World {
  readonly inside = Object.assign(new FixedSpace(NETNS), { netns: NETNS });
  readonly host = new FixedSpace();
  listeners: Listener[] = [];
  policies: string[] = [];
  /** What else the kernel answers. */
  kernel: Partial<Kernel> = {};
  named = new Map<string, { set: string; remove: string[] }[]>();
  /** The process that has the listener. */
  holder?: Holder;
  /** What becomes of the agent's own question. */
  ofAgent = "timed out";
  readonly ports: BridgePort[] = [{
    index: 3,
    master: 2,
    state: "forwarding",
    hairpin: false,
    learning: true,
    unicastFlood: true,
    multicastFlood: true,
    broadcastFlood: true,
    isolated: false,
    locked: false,
    neighbourSuppress: false,
  }];
  readonly checkpoint = {
    network: "net",
    ifName: "eth0",
    state: "attached",
    plugins: [{ type: "bridge", bridge: "br0", isGateway: true, ipMasq: true }],
    portMappings: [],
    result: {
      ips: [{ address: "10.1.0.2/16", gateway: "10.1.0.1" }],
      routes: [{ dst: "0.0.0.0/0" }],
      interfaces: [],
      dns: {},
    },
  };

  readonly vlans = new BridgeVlans();

  constructor() {
    const { inside, host } = this;
    inside.links = [
      link(1, "lo", { kind: "loopback" }),
      link(5, "eth0", { kind: "veth", peerIndex: 3 }),
    ];
    inside.addresses = [address(1, "127.0.0.1/8"), address(5, "10.1.0.2/16")];
    inside.routes = [
      route("10.1.0.0/16", 5, { protocol: "kernel" }),
      route("default", 5, { gateway: "10.1.0.1" }),
    ];
    inside.rules = [lookup("main")];
    host.links = [
      link(1, "lo", { kind: "loopback" }),
      link(2, "br0", { kind: "bridge" }),
      link(3, "veth1", { kind: "veth", peerIndex: 5, peerNamespaceId: 1, master: 2 }),
      link(4, "wan0"),
    ];
    host.addresses = [address(2, "10.1.0.1/16"), address(4, "203.0.113.1/24")];
    host.routes = [
      route("10.1.0.0/16", 2, { protocol: "kernel" }),
      route("203.0.113.0/24", 4, { protocol: "kernel" }),
    ];
    host.rules = [lookup("main")];
    host.settings["ipv4/ip_forward"] = "1";
    inside.chosen["203.0.113.2"] = route("203.0.113.2", 5, { gateway: "10.1.0.1" });
    host.chosen["203.0.113.2"] = route("203.0.113.2", 4);
    host.chosen["10.1.0.2"] = route("10.1.0.2", 2);
  }

  scene(): Scene {
    const container = {
      id: "web",
      mode: "own",
      keeper: "agent",
      netns: NETNS,
      namespaceAlive: true,
      processAlive: true,
      attachments: [this.checkpoint],
    };
    const agent = {
      host: this.host,
      containers: [container],
      bridgeVlans: this.vlans,
      portOf: ({ index }: Link) => this.ports.find((one) => one.index === index),
      holdersOf: () => [],
      ownerOfMac: () => undefined,
      missingRules: () => Promise.resolve(new Map()),
      listenersAt: () => [],
      recorded: new Set(),
      firewalls: () => Promise.resolve([]),
      rules: { every: () => Promise.resolve([]) },
      sources: { plugins: new Map() },
    };
    return new Scene("web", this.inside, agent as never, container as never);
  }

  /** What was seen of a packet to 203.0.113.2 that got as far as so many hops. */
  evidence(hops: number, more: Partial<Evidence> = {}, question: Partial<Question> = {}): Evidence {
    const scene = this.scene();
    const ends = endsOf(scene, scene.interfaces[0]!)!;
    const ways: Record<string, () => Journey> = {
      dns: () => through(ends, this.host.link("wan0")),
      outside: () => through(ends, this.host.link("wan0")),
      followed: () => through(ends, this.host.link("wan0")),
      gateway: () => toAgent(ends),
      port: () => fromOutside(ends, this.host.link("wan0")!),
    };
    const journey = ways[question.topic ?? "outside"]!();
    const asked: Question = {
      topic: "outside",
      text: "reaches 203.0.113.2 outside",
      family: 4,
      journey,
      protocol: "icmp",
      destination: "203.0.113.2",
      port: 0,
      neighbours: [],
      ask: () => Promise.reject(new Error("nothing is sent here")),
      ...question,
    };
    const sightings = journey.legs.slice(0, hops).map(({ stop, direction, way }): Sighting => ({
      at: stop.name,
      direction,
      packet: packet(way === "there" ? 8 : 0, way === "there"),
      length: 60,
    }));
    const silence: Failure = { kind: "silence" };
    return {
      scene,
      question: asked,
      failure: silence,
      share: undefined,
      token: TOKEN,
      trail: trailOf(journey, sightings, TOKEN),
      sightings,
      seenByNow: () => [],
      about: () => [],
      rules: [],
      rulesAbout: () => [],
      rulesOfErrors: [],
      actsOf: () => [],
      ruleOf: ({ family, table, chain, handle }) =>
        Promise.resolve({
          ref: { program: "iptables", family, table, chain, handle, text: "-A FORWARD -j DROP" },
          mechanism: "iptables",
          acts: [],
          remove: ["iptables", "-D", "FORWARD", "-j", "DROP"],
        }),
      drops: [],
      grown: [],
      blind: [],
      kernel: {
        whoHas: () => Promise.resolve([]),
        dropOfAsking: () => Promise.resolve(undefined),
        isPassedOn: () => Promise.resolve(false),
        answererOf: (_, mac) => Promise.resolve(mac),
        agentAsks: () => Promise.resolve(this.ofAgent),
        listeners: () => this.listeners,
        tablePorts: () => [],
        processWith: () => this.holder,
        bridgeEntries: () => [],
        tunnelEnd: () => undefined,
        xdp: () => undefined,
        tcx: () => 0,
        bpfLinks: () => [],
        queueReaders: () => [],
        namedAddresses: () => Promise.resolve(this.named),
        ipsecPolicies: () => Promise.resolve(this.policies),
        ...this.kernel,
      },
      ...more,
    };
  }
}

function lookup(table: string): Rule {
  return {
    family: "inet",
    priority: 32766,
    action: "lookup",
    table,
    from: "all",
    to: "all",
    inverted: false,
  } as Rule;
}

export function packet(type: number, isThere: boolean): Sighting["packet"] {
  const [source, destination] = isThere ? ["10.1.0.2", "203.0.113.2"] : ["203.0.113.2", "10.1.0.2"];
  return {
    protocol: "icmp",
    source: source!,
    destination: destination!,
    sourcePort: TOKEN,
    destinationPort: TOKEN,
    flags: type,
    sequence: 0,
    acknowledge: 0,
  };
}

/** A rule that a packet met. */
export function met(verdict: RuleMet["verdict"], more: Partial<RuleMet> = {}): RuleMet {
  return {
    id: 1,
    family: "ip",
    table: "filter",
    chain: "FORWARD",
    handle: "7",
    kind: "rule",
    verdict,
    packet: packet(8, true),
    ...more,
  };
}

/** A cause in short, for tables. */
export function short({ code, mechanism, place }: Cause): string {
  return `${code} ${mechanism} ${place}`;
}
