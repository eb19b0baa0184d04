/** Who listens: behind a mapped port, at the agent, at the other end of a followed connection. */
import { ANY_ADDRESS } from "../../base/ip.ts";
import { unlessRefused } from "../../base/unless.ts";
import { processName } from "../../containers/processes.ts";
import { parentOf } from "../../kernel/kill_tree.ts";
import { type Cause, cause, type Place, RECOVER, sysctlName } from "../../facts/cause.ts";
import type { FactReader } from "../../facts/facts.ts";
import { saw } from "../../facts/look.ts";
import { portsUsedUp, RANGE } from "../../facts/readers/limits.ts";
import { MAPPERS } from "../../facts/readers/ports.ts";
import { pluginOf } from "../../facts/scene.ts";
import { accepts, isFull } from "../../netlink/sock_diag.ts";
import type { SocketEntry } from "../../netlink/sockets.ts";
import type { Space } from "../../netlink/view.ts";
import { mappedTo } from "../destination.ts";
import type { Evidence } from "../evidence.ts";
import type { Kernel } from "../observe/kernel.ts";
import { RST } from "../packets/frame.ts";
import { CONNECTED, type Failure, failureText, isRefusal } from "../failure.ts";
import { swallowingHops } from "../paths.ts";
import { SLOW_ANSWER_MS, untaken } from "../questions/listener.ts";
import { portOf, ruleThat } from "./changing_rule.ts";
import type { Reader } from "./reader.ts";

/** Where who listens is, and at which address and port; `view` is absent for another machine. */
function listening({ question, scene }: Evidence): {
  address: string;
  port: number;
  place: Place;
  view?: Space;
  container?: string;
} {
  const { mapped, far, destination, realDestination = destination, port, realPort = port } =
    question;
  const at = { address: realDestination, port: realPort };
  const there = mapped ? { scene } : far;
  if (there) {
    const place = there.scene === scene ? "container" : "neighbour";
    return { ...at, view: there.scene.inside, place, container: there.scene.name };
  }
  return scene.host.ownerOf(realDestination)
    ? { ...at, view: scene.host, place: "agent" }
    : { ...at, place: "outside" };
}

/** The sockets that hear a question's port, and those of them that hear its address. */
function listenersOf(e: Evidence) {
  const { view, port, address } = listening(e);
  const { protocol, family } = e.question;
  const all = view && protocol !== "icmp" ? e.kernel.listeners(protocol, port, view.netns) : [];
  return { all, open: all.filter((one) => accepts(one, { address, family })) };
}

/** @param seen what waits, where the kernel does not say so itself */
export function backlogFull(e: Evidence, ...seen: string[]): Cause {
  const { place, container, port } = listening(e);
  const mechanism = e.question.topic === "agent" ? "agent" : "listener";
  const about = { container, port: `${port}/${e.question.protocol}` };
  return cause("backlog_full", [mechanism, place], about, seen);
}

/** What waits to be accepted, against how much may (the queues of a listening socket). */
function backlog(e: Evidence): Cause[] {
  const full = e.question.protocol === "tcp" &&
    listenersOf(e).open.find(isFull);
  return full
    ? [backlogFull(
      e,
      `${full.waiting} connections wait to be accepted, and it takes ${full.most} (Recv-Q, Send-Q)`,
    )]
    : [];
}

/** A refusal of whom the packet is for, or a backlog that takes no more. */
export const listener: Reader = (e) => {
  const { failure, question: { protocol, family, topic, mapped, variable: setting }, trail } = e;
  const { view, place, container, address, port } = listening(e);
  const isNear = mapped !== undefined || topic === "agent" && place === "agent";
  // A packet that never left was refused by nobody beyond.
  const isFar = topic === "followed" &&
    (trail.seen[0] !== undefined || trail.journey.legs.length === 0);
  const isSilent = failure.kind === "no_answer" || failure.kind === "silence";
  if (isSilent) return isNear ? backlog(e) : [];
  if (!isNear && !isFar || !isRefusal(failure)) return [];
  const full = backlog(e);
  if (full.length > 0) return full;
  const { all, open } = listenersOf(e);
  const others = [...new Set(all.map((one) => one.address))].join(", ");
  const seen = [`${address} port ${port} refuses, and no rule was seen that made it`];
  if (topic === "agent") {
    const [code, other] = all.length === 0
      ? ["agent_unreachable" as const]
      : ["agent_listens_elsewhere" as const, others];
    const about = { address, port: String(port), other };
    return open.length > 0 ? [] : [cause(code, ["agent", place], about, seen)];
  }
  const about = { container, port: `${port}/${protocol}`, family };
  const device = open.map((one) => view?.linkAt(one.device)?.name).find((one) => one);
  if (all.length > 0 && (open.length === 0 || device !== undefined)) {
    return [cause("listens_elsewhere", ["listener", place], {
      ...about,
      device,
      address: others,
      wanted: address,
      value: ANY_ADDRESS[family],
      why: all.every(({ only6 }) => only6) && family === 4 ? "IPv6 alone" : undefined,
    }, seen)];
  }
  // The agent itself refuses too where no rule leads the port on.
  if (mapped && (all.length > 0 || failure.kind === "errno")) return [];
  const nested = all.length === 0 && container ? nestedWith(e) : undefined;
  const isAgents = place === "agent" && topic === "followed";
  const why = isAgents
    ? "the agent"
    : nested
    ? "nested"
    : mapped || setting
    ? undefined
    : container
    ? "refused"
    : "refused by a host";
  const own = e.scene.host.ownerOf(address)?.name;
  const values = { ...about, address, setting, device: own, why, value: nested };
  return [cause("nobody_listens", ["listener", place], values, seen)];
};

/** Generations between a container's first process and one that is looked at. */
const MOST_PARENTS = 16;

/** The process that listens in a network namespace that one of the container's has made within. */
function nestedWith(e: Evidence): string | undefined {
  const { question: { far, protocol }, scene } = e;
  const { port } = listening(e);
  const { container, agent } = far?.scene ?? scene;
  const first = container?.pid;
  if (first === undefined || protocol === "icmp") return undefined;
  const isWithin = (pid: number) => {
    for (let at = pid, n = 0; at > 1 && n < MOST_PARENTS; at = parentOf(at), n++) {
      if (at === first) return true;
    }
    return false;
  };
  for (const [inode, pids] of agent.sight.processes.namespaces) {
    const pid = inode === container?.inode ? undefined : pids.find(isWithin);
    if (pid === undefined) continue;
    const [heard] = unlessRefused(() =>
      e.kernel.listeners(protocol, port, `/proc/${pid}/ns/net`)
    ) ??
      [];
    if (heard) return `process ${pid} (${processName(pid) ?? "?"})`;
  }
  return undefined;
}

/** Whoever listens there does nothing with a connection, and why. */
export const deafListener: Reader = (e) => {
  const { kernel, failure } = e;
  if (!CONNECTED.includes(failure.kind) || failure.kind === "stuck") return [];
  const at = listening(e);
  const inodes = listenersOf(e).all.map(({ inode }) => inode);
  const port = `${at.port}/${e.question.protocol}`;
  const found = deaf(kernel, { ...at, port }, inodes, failure);
  const full = found.why === undefined || found.why === "unread" ? backlog(e) : [];
  return full.length > 0 ? full : [found];
};

/** @param inodes of its sockets, of which one whose process is hindered tells most */
function deaf(
  kernel: Pick<Kernel, "processWith">,
  { place, container, port }: { place: Place; container?: string; port: string },
  inodes: readonly number[],
  failure: Failure,
): Cause {
  const holders = inodes.flatMap((inode) => kernel.processWith(inode) ?? []);
  const found = holders.find(({ hindrance }) => hindrance) ?? holders[0];
  const { what, seen } = found?.hindrance ?? {};
  return cause("listener_deaf", ["listener", place], {
    container,
    port,
    value: found?.text ?? "whoever it is that",
    why: what ?? (failure.kind === "unaccepted" ? undefined : failure.kind),
  }, [failureText(failure), ...seen === undefined ? [] : [seen]]);
}

/** What clients of the container wait for, whichever of several sockets of one port has them. */
export const WAITING: FactReader<Pick<Evidence, "scene" | "kernel">> = {
  name: "what waits at its sockets is taken",
  async read({ scene, kernel }) {
    const { inside, interfaces, name: container } = scene;
    const mapped = interfaces.flatMap(({ checkpoint }) => checkpoint?.portMappings ?? []);
    // Who asks by a datagram may leave an answer that came late.
    const isMeant = ({ protocol, localPort }: SocketEntry) =>
      protocol === "tcp" ||
      mapped.some((one) => one.protocol === "udp" && one.containerPort === localPort);
    const left = await untaken(inside, isMeant, SLOW_ANSWER_MS);
    const causes = left.map(({ protocol, localPort, inode, receiveQueue }) => {
      const about = { place: "container" as const, container, port: `${localPort}/${protocol}` };
      const failure = { kind: protocol === "tcp" ? "unaccepted" : "unread" } as const;
      const found = deaf(kernel, about, [inode], failure);
      return { ...found, seen: [...found.seen, `${receiveQueue} wait in its queue (Recv-Q)`] };
    });
    return saw(causes.length === 0 ? "nothing waits" : `${causes.length} take nothing`, causes);
  },
};

/** A port of the agent that is mapped, and by its mapper's config not for what comes by a device. */
export const excludedDevice: Reader = (e) => {
  const { scene, question: { mapped, topic, stranger, family, protocol, destination, port } } = e;
  if (protocol === "icmp" || !mapped && topic !== "followed") return [];
  const at = { address: destination, port, protocol };
  const theirs = mapped ? undefined : mappedTo(scene.agent, at);
  const checkpoint = mapped?.ends.attached.checkpoint ?? theirs?.checkpoint;
  const mapper = pluginOf(checkpoint, ...MAPPERS);
  const device = stranger !== undefined
    ? mapped?.uplink.link.name
    : scene.attachedOf(family)?.ingress?.name;
  const excluded = Array.isArray(mapper?.excludeDevices) ? mapper.excludeDevices : [];
  const isTheirs = mapped === undefined || stranger !== undefined;
  if (!isTheirs || device === undefined || !excluded.includes(device)) return [];
  return [cause("uplink_excluded", ["portmap", mapped ? "uplink" : "agent"], {
    ...{ network: checkpoint?.network, device },
    ...mapped
      ? { other: mapped.ends.attached.bridge?.name ?? "its bridge" }
      : { container: scene.name, port: portOf(e), address: theirs?.address },
  }, [`its rules pass by what comes in by ${excluded.join(", ")}`])];
};

/** No rule that the packet met has led it on: it was for the container, and the agent took it itself. */
export const untranslatedPort: Reader = async (e) => {
  const { scene, question: { stranger, mapped, realDestination, realPort }, rules } = e;
  const isLed = e.sightings.some(({ packet }) => packet.destination === realDestination);
  // By a rule that does so it was translated, and lost behind that.
  if (!mapped || isLed || !isTakenHere(e) || await ruleThat(e, "dnat")) return [];
  const hook = stranger === undefined ? "OUTPUT" : "PREROUTING";
  const { backend, chain } = mapped.mapper;
  const named = backend !== "nftables" && typeof chain === "string" ? chain : undefined;
  const met = new Set(rules.filter(({ table }) => table === "nat").map((one) => one.chain));
  const why = named === undefined ? hook : `${hook} and its chain ${named}`;
  const about = { container: scene.name, port: portOf(e), why };
  return [cause("dnat_missing", ["portmap", "agent"], about, [
    `it should lead to ${realDestination} port ${realPort}`,
    `the kernel's trace: of the nat table it met ${[...met].join(", ") || "no rule"}`,
    ...named !== undefined && !met.has(named) ? [`nothing led it to ${named}`] : [],
  ], RECOVER)];
};

/** Whether the packet came as far as the rules of nat, or to the agent's own sockets. */
function isTakenHere({ failure, rules, drops, sightings, token }: Evidence): boolean {
  return failure.kind === "errno" && failure.errno === "ECONNREFUSED" ||
    rules.some(({ table, netns }) => table === "nat" && netns === undefined) ||
    drops.some(({ reason }) => reason === "NO_SOCKET") ||
    sightings.some(({ direction, packet }) =>
      direction === "out" && (packet.quoted?.sourcePort === token ||
        packet.destinationPort === token && (packet.flags & RST) !== 0)
    );
}

/** A connection from a port that the kernel gives out is lost, and others are not. */
export const ephemeralPorts: Reader = async (e) => {
  const { scene, question, failure, kernel } = e;
  if (failure.kind !== "ephemeral") return [];
  // Of several that listen on one port (SO_REUSEPORT), a port may decide as well which has it.
  const full = backlog(e);
  if (full.length > 0) return full;
  // Which of several next hops a connection takes, its port may decide.
  const from = scene.forwardedOf(question.family);
  const hops = await swallowingHops(scene.host, kernel, { ...question, from });
  if (hops.length > 0) return hops;
  const isAgents = question.journey.from === "agent";
  const view = isAgents ? scene.host : scene.inside;
  const container = isAgents ? undefined : scene.name;
  const about = { container, address: question.destination };
  const seen = [failureText(failure)];
  if (failure.outcome === "EADDRNOTAVAIL") return [portsUsedUp(view, about, seen)];
  const value = view.setting(RANGE)?.replace(/\s+/, " ");
  const range = { setting: sysctlName(RANGE), value };
  return [cause("ephemeral_ports_lost", ["rule", "agent"], { ...about, ...range }, seen)];
};
