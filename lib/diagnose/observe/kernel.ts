/** What readers ask the kernel beside the packet: who is on the wire, who listens, what hooks in. */
import { unlessRefused } from "../../base/unless.ts";
import { bpfLinks, tcxPrograms } from "../../kernel/bpf.ts";
import { type Hindrance, hindranceOf, processText } from "../../containers/process_state.ts";
import { socketOwner } from "../../containers/processes.ts";
import { tablePorts } from "../../firewall/led_ports.ts";
import { bridgeEntries, type ForwardingEntry, tunnelEnd } from "../../netlink/bridge_state.ts";
import type { Link } from "../../netlink/mod.ts";
import { type Listener, listeners } from "../../netlink/sock_diag.ts";
import { xdpProgram } from "../../netlink/traffic_state.ts";
import { failureText } from "../failure.ts";
import type { Stop } from "../journey.ts";
import { answererOf, isPassedOn } from "../packets/by_hop.ts";
import { tryConnect, tryDatagram } from "../packets/connect.ts";
import { isUnsaid, resolveName, TYPE_NS } from "../packets/dns.ts";
import { tryEcho } from "../packets/echo.ts";
import { BRIEF, NO_TOKENS, whoHas } from "../packets/who_has.ts";
import type { Question } from "../questions/question.ts";
import { takeTokens } from "../tokens.ts";
import { procNet, programOutput } from "./programs.ts";
import { KnownRules, remembered } from "./rules.ts";
import { namedAddresses } from "./sets.ts";
import { Trace } from "./trace.ts";

export interface Holder {
  text: string;
  hindrance?: { what: Hindrance; seen: string };
}

export type Kernel = ReturnType<typeof askKernel>;

/** Asks this machine, and remembers the answers of the wire for one diagnosis. */
export function askKernel() {
  const asked = new Map<string, Promise<readonly string[]>>();
  const dropped = new Map<string, ReturnType<typeof dropOfAsking>>();
  let named: ReturnType<typeof namedAddresses> | undefined;
  return {
    /**
     * Asks who has an address; each is asked once.
     *
     * @param sender our own address, for IPv4; `nobody` for one from whom nobody learns
     */
    whoHas(
      netns: string | undefined,
      link: Link,
      address: string,
      sender: string | undefined | "nobody",
    ): Promise<readonly string[]> {
      const ask = () =>
        sender === "nobody"
          ? whoHas(netns, link, address, undefined, BRIEF)
          : whoHas(netns, link, address, sender);
      return remembered(asked, [netns, link.index, address, sender], ask);
    },
    /** The rule of the agent that drops such a question, or its answer: it is asked anew. */
    dropOfAsking: (link: Link, address: string) =>
      remembered(dropped, [link.index, address], () => dropOfAsking(link, address)),
    /** Whether a packet of the agent's is answered where it is given to one station of a link. */
    isPassedOn,
    /** The station that answers for an address where one of a link is given the question. */
    answererOf,
    /** What becomes of the same question where the agent itself asks it; `answered` is one answer. */
    agentAsks,
    listeners: (...of: Parameters<typeof listeners>): readonly Listener[] => listeners(...of),
    /** Where the tables of nf_tables that are no iptables' lead the ports of this host. */
    tablePorts: () => unlessRefused(tablePorts) ?? [],
    /** The process that has a socket, and what keeps it from its work. */
    processWith(inode: number): Holder | undefined {
      const owner = socketOwner(inode);
      return owner && { text: processText(owner.pid), hindrance: hindranceOf(owner.pid) };
    },
    /** Where a bridge of the agent sends frames to a hardware address. */
    bridgeEntries: (bridge: number, mac: string): readonly ForwardingEntry[] =>
      unlessRefused(() => bridgeEntries(bridge, mac)) ?? [],
    /** The machine to which a tunnel of the agent's sends frames to a hardware address. */
    tunnelEnd: (tunnel: number, mac: string) => unlessRefused(() => tunnelEnd(tunnel, mac)),
    /** The number of the program of XDP at a link; undefined for none. */
    xdp: ({ netns, link }: Stop) => unlessRefused(() => xdpProgram(link.index, netns)),
    /** How many programs of tcx are at a link. */
    tcx: ({ netns, link }: Stop, direction: "ingress" | "egress") =>
      tcxPrograms(link.index, direction, netns),
    /** The links of bpf by which programs are held. */
    bpfLinks,
    /** Queues of NFQUEUE that a program has bound: `queue 5 by port 1234`. */
    queueReaders,
    /** Addresses that stand alone in a set of rules, with the sets; read once. */
    namedAddresses: () => named ??= namedAddresses(),
    /** The policies of IPsec of the agent, as `ip -o xfrm policy` has them. */
    ipsecPolicies: async () =>
      (await programOutput(undefined, "ip", ["-o", "xfrm", "policy"]) ?? "").split("\n")
        .map((line) => line.replaceAll(/[\\\s]+/g, " ").trim()),
  };
}

async function dropOfAsking(link: Link, address: string) {
  const traced = { tokens: NO_TOKENS, addresses: [address] };
  using trace = unlessRefused(() => new Trace(traced, [link.name]));
  await whoHas(undefined, link, address, undefined, BRIEF);
  const met = trace?.met().find(({ packet, verdict }) =>
    packet?.target === address && verdict === "drop"
  );
  return met && { met, rule: await new KnownRules().of(met) };
}

async function agentAsks(
  { topic, protocol, destination: address, port }: Pick<
    Question,
    "topic" | "protocol" | "destination" | "port"
  >,
): Promise<string> {
  if (topic === "dns" && protocol === "udp") {
    const { outcome } = await resolveName({}, address, ".", { type: TYPE_NS });
    return isUnsaid(outcome) ? outcome : "answered";
  }
  if (protocol === "icmp") {
    const failure = await tryEcho({}, address, takeTokens(1).first);
    return failure ? failureText(failure) : "answered";
  }
  if (protocol === "udp") return await tryDatagram({ address, port });
  const outcome = await tryConnect({ address, port });
  return outcome === "connected" || outcome === "ECONNREFUSED" ? "answered" : outcome;
}

function queueReaders(netns: string | undefined): string[] {
  const lines = procNet(netns, "netfilter/nfnetlink_queue").split("\n");
  return lines.filter((line) => line.trim() !== "").map((line) => {
    const [queue, port] = line.trim().split(/\s+/);
    return `queue ${queue} by port ${port}`;
  });
}
