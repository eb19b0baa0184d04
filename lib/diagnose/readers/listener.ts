/** Who listens: behind a mapped port, at the agent, at the other end of a followed connection. */
import { ANY_ADDRESS } from "../../base/ip.ts";
import { cause, RECOVER } from "../../facts/cause.ts";
import { sysctlName } from "../../facts/readers/agent.ts";
import { MAPPERS } from "../../facts/readers/ports.ts";
import type { Listener } from "../../netlink/sock_diag.ts";
import { tablePorts } from "../../firewall/led_ports.ts";
import type { Evidence } from "../evidence.ts";
import { accepts } from "../mapped.ts";
import { CONNECTED } from "../questions/question.ts";
import { RST } from "../packets/frame.ts";
import { failureText } from "../render/failure.ts";
import { portOf, ruleThat } from "./changing_rule.ts";
import { nearly } from "./nearly.ts";
import type { Reader } from "./reader.ts";

const isRefused = ({ failure }: Evidence) =>
  failure.kind === "refused" || failure.kind === "errno" && failure.errno === "ECONNREFUSED";
const isSilent = ({ failure }: Evidence) =>
  failure.kind === "no_answer" || failure.kind === "silence";

export const portListener: Reader = {
  name: "who listens behind the port",
  applies: (e) =>
    e.question.mapped !== undefined && (isRefused(e) || e.failure.kind === "no_answer"),
  read(e) {
    const { scene, failure } = e;
    const { mapping, address } = e.question.mapped!;
    const { protocol, containerPort, hostPort } = mapping;
    if (protocol !== "tcp" && protocol !== "udp") return [];
    const port = `${containerPort}/${protocol}`;
    const container = scene.name;
    const all = e.kernel.listeners(scene.inside.netns, protocol, containerPort);
    const open = all.filter((one) => accepts(one, address));
    const full = protocol === "tcp" ? backlog(open) : undefined;
    const reason = ["listener", "container"] as const;
    if (full !== undefined) return [cause("backlog_full", reason, { container, port }, [full])];
    if (failure.kind === "no_answer") return [];
    const leads = [
      `port ${hostPort} of the agent leads to ${address.address}:${containerPort}, which refuses`,
    ];
    if (all.length === 0) {
      // The agent itself refuses too where no rule leads the port on.
      return failure.kind === "errno" ? [] : [
        cause("nobody_listens", reason, { container, port }, leads),
      ];
    }
    const device = open.map((one) => scene.inside.linkAt(one.device)?.name).find((one) => one);
    if (open.length > 0 && device === undefined) return [];
    return [cause("listens_elsewhere", reason, {
      container,
      port,
      family: address.family,
      device,
      address: [...new Set(all.map((one) => one.address))].join(", "),
      wanted: address.address,
      value: ANY_ADDRESS[address.family],
      why: all.every(({ only6 }) => only6) && address.family === 4 ? "IPv6 alone" : undefined,
    }, leads)];
  },
};

/** Whoever listens there does nothing with a connection, and why. */
export const deafListener: Reader = {
  name: "what keeps who listens from its work",
  applies: ({ failure }) => CONNECTED.includes(failure.kind) && failure.kind !== "stuck",
  read(e) {
    const { question, kernel, failure } = e;
    const { netns, port, place, container } = listeningPlace(e);
    const all = kernel.listeners(netns, question.protocol as "tcp" | "udp", port);
    const holders = all.flatMap(({ inode }) => kernel.processWith(inode) ?? []);
    const found = holders.find(({ hindrance }) => hindrance) ?? holders[0];
    const { what, seen } = found?.hindrance ?? {};
    const full = backlog(all);
    if (full !== undefined && what === undefined) {
      return [cause("backlog_full", ["listener", place], { container, port: portText(e, port) }, [
        full,
      ])];
    }
    const why = what ?? (failure.kind === "unaccepted" ? undefined : failure.kind);
    return [cause("listener_deaf", ["listener", place], {
      container,
      port: portText(e, port),
      value: found?.text ?? "whoever it is that",
      why,
    }, [failureText(failure), ...seen === undefined ? [] : [seen]])];
  },
};

function portText({ question }: Evidence, port: number): string {
  return `${port}/${question.protocol}`;
}

/** Where who listens is. */
function listeningPlace({ question, scene }: Evidence) {
  const { mapped, far, port, realPort = port } = question;
  if (mapped) {
    return {
      netns: scene.inside.netns,
      port: realPort,
      place: "container",
      container: scene.name,
    } as const;
  }
  if (far) {
    const { scene: theirs } = far;
    return {
      netns: theirs.inside.netns,
      port: realPort,
      place: "neighbour",
      container: theirs.name,
    } as const;
  }
  return { netns: undefined, port, place: "agent", container: undefined } as const;
}

/** What waits to be accepted, against how much may (the queues of a listening socket). */
function backlog(all: readonly Listener[]): string | undefined {
  const full = all.find(({ waiting, most }) => waiting > 0 && waiting >= most);
  return full &&
    `${full.waiting} connections wait to be accepted, and it takes ${full.most} (Recv-Q, Send-Q)`;
}

/** A port mapping that is wrong by what its plugin was told, or by what its table says. */
export const portMapping: Reader = {
  name: "what the port mapper was told",
  applies: ({ question }) => question.mapped?.mapper.type === MAPPERS[0],
  read({ scene, question }) {
    const { ends: { attached }, mapping, address, uplink, mapper } = question.mapped!;
    const excluded = Array.isArray(mapper.excludeDevices) ? mapper.excludeDevices : [];
    if (question.stranger !== undefined && excluded.includes(uplink.link.name)) {
      return [cause("uplink_excluded", ["portmap", "uplink"], {
        network: attached.checkpoint!.network,
        device: uplink.link.name,
        other: attached.bridge?.name ?? "its bridge",
      }, [`its rules pass by what comes in by ${excluded.join(", ")}`])];
    }
    if (mapper.backend !== "nftables") return [];
    const { hostPort, protocol, containerPort } = mapping;
    const found = tablePorts().find((one) =>
      !one.by && one.family === address.family && one.protocol === protocol &&
      one.hostPort === hostPort && one.hostAddress === undefined
    )?.to;
    if (found?.address === address.address && found.port === containerPort) return [];
    const values = {
      container: scene.name,
      port: `${hostPort}/${protocol}`,
      address: found?.address,
    };
    const other = found && scene.ownerOf(found.address);
    const seen = found
      ? `the table mesos-cni has it lead to ${found.address}:${found.port}, which is ${
        other ? `container ${other.id}` : "no container's that is known"
      }`
      : "the table mesos-cni of nftables has no element for it";
    const code = found ? "dnat_elsewhere" : "dnat_missing";
    return [cause(code, ["portmap", "agent"], values, [seen], RECOVER)];
  },
};

/** No rule that the packet met has led it on: it was for the container, and the agent took it itself. */
export const untranslatedPort: Reader = {
  name: "the rule that leads the port to the container",
  applies: (e) =>
    e.question.mapped !== undefined && isTakenHere(e) &&
    !e.sightings.some(({ packet }) => packet.destination === e.question.realDestination),
  async read(e) {
    const { scene, question, rules } = e;
    // It was translated, and lost behind that.
    if (await ruleThat(e, "dnat")) return [];
    const hook = question.stranger === undefined ? "OUTPUT" : "PREROUTING";
    const near = await nearly(
      scene,
      [hook],
      ({ target, port }) =>
        target !== undefined && "dnat" in target &&
        (port?.number === question.port || target.dnat.address === question.realDestination),
    );
    const chain = question.mapped!.mapper.chain;
    const named = typeof chain === "string" ? chain : undefined;
    const met = new Set(rules.filter(({ table }) => table === "nat").map((one) => one.chain));
    return [cause(
      "dnat_missing",
      ["portmap", "agent"],
      {
        container: scene.name,
        port: portOf(e),
        why: named === undefined ? hook : `${hook} and its chain ${named}`,
        route: near[0],
      },
      [
        `it should lead to ${question.realDestination} port ${question.realPort}`,
        `the kernel's trace: of the nat table it met ${[...met].join(", ") || "no rule"}`,
        ...named !== undefined && !met.has(named) ? [`nothing led it to ${named}`] : [],
      ],
      RECOVER,
    )];
  },
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

/** The agent itself: whether it listens, where, and has room. */
export const agentListener: Reader = {
  name: "who listens at the agent",
  applies: (e) =>
    e.question.topic === "agent" && (isRefused(e) || isSilent(e)) &&
    e.scene.host.ownerOf(e.question.destination) !== undefined,
  read(e) {
    const { destination: address, port, family } = e.question;
    const all = e.kernel.listeners(undefined, "tcp", port);
    const open = all.filter((one) => accepts(one, { address, family }));
    const reason = ["agent", "agent"] as const;
    const full = isSilent(e) ? backlog(open) : undefined;
    if (full !== undefined) return [cause("backlog_full", reason, { port: `${port}/tcp` }, [full])];
    if (isSilent(e) || open.length > 0) return [];
    const other = all.length > 0 ? all.map((one) => one.address).join(", ") : undefined;
    return [cause(
      other === undefined ? "agent_unreachable" : "agent_listens_elsewhere",
      reason,
      { address, port: String(port), other },
      [`a connection from inside to ${address} port ${port} is refused`],
    )];
  },
};

/** A refusal that came from the far end itself, of a connection that is followed. */
export const farListener: Reader = {
  name: "who listens at the other end",
  // A packet that never left was refused by nobody beyond.
  applies: (e) =>
    e.question.topic === "followed" && isRefused(e) &&
    (e.trail.seen[0] !== undefined || e.trail.journey.legs.length === 0),
  read({ scene, question }) {
    const { far, destination, realDestination, realPort, port, protocol } = question;
    const address = realDestination ?? destination;
    const place = far?.scene === scene
      ? "container"
      : far
      ? "neighbour"
      : scene.host.ownerOf(address)
      ? "agent"
      : "outside";
    return [cause("nobody_listens", ["listener", place], {
      container: far?.scene.name,
      address,
      port: `${realPort ?? port}/${protocol}`,
      why: far ? "refused" : "refused by a host",
    }, ["a refusal came back, and no rule was seen that made it"])];
  },
};

/** A connection from a port that the kernel gives out is lost, and others are not. */
export const ephemeralPorts: Reader = {
  name: "the ports that the kernel gives out",
  applies: ({ failure }) => failure.kind === "ephemeral",
  read({ scene, question, failure }) {
    if (failure.kind !== "ephemeral") return [];
    const setting = "ipv4/ip_local_port_range";
    const value = scene.inside.setting(setting)?.replace(/\s+/, " ");
    const isUsedUp = failure.outcome === "EADDRNOTAVAIL";
    return [cause(
      isUsedUp ? "local_ports_used_up" : "ephemeral_ports_lost",
      [isUsedUp ? "sysctl" : "rule", isUsedUp ? "container" : "agent"],
      {
        container: scene.name,
        address: question.destination,
        setting: sysctlName(setting),
        value,
      },
      [failureText(failure)],
    )];
  },
};
