/** The packet has left the agent, and nothing comes back. */
import { SystemError } from "../../kernel/libc.ts";
import type { Case } from "../case.ts";
import { type Finding, problem, shellText } from "../finding.ts";
import type { Link } from "../../netlink/mod.ts";
import { BRIEF, whoHas } from "../packets/arp.ts";
import { answersFor } from "../packets/who_has.ts";
import { withoutPort } from "./way_out.ts";
import { masqueradeReasons } from "./masquerade.ts";
import { agentRouteReasons } from "./route_of.ts";

/** Masquerading, the far side's hardware address, its size limit, or the far side itself. */
export async function outsideReasons(one: Case): Promise<Finding[]> {
  const { scene, question, trail, token } = one;
  const sent = trail.seen[trail.last]!;
  const back = agentRouteReasons(scene, question, trail, token, true);
  if (back.length > 0) return back;
  const masquerade = await masqueradeReasons(scene, question, sent.packet.source, one);
  if (masquerade.length > 0) return masquerade;
  const link = trail.before!.stop.link;
  const route = routeOr(() => scene.host.netlink.routeTo(question.destination));
  const nextHop = route?.gateway ?? question.destination;
  const own = scene.host.addressesOf(link).find(({ family }) =>
    (family === "inet6") === (question.family === 6)
  )?.address;
  const answers = await answersFor(undefined, link, nextHop, own);
  if (sent.to !== undefined && answers.length > 0 && !answers.includes(sent.to)) {
    const entry = scene.host.netlink.neighbours().find((two) =>
      two.address === nextHop && two.link === link.index
    );
    const command = ["ip", "neighbour", "del", nextHop, "dev", link.name];
    return [problem(
      "wrong_mac",
      ["neighbour", "uplink"],
      `the agent sends what is for ${nextHop} on ${link.name} to ${sent.to}; ${
        answers.join(", ")
      } answers for it`,
      [`its neighbour table: ${nextHop} lladdr ${entry?.mac} ${entry?.state}`],
      shellText(command),
      { what: `forget ${sent.to} for ${nextHop}`, commands: [command] },
    )];
  }
  const portless = withoutPort(scene, link);
  if (portless.length > 0) return portless;
  const taken = await duplicateOfAgent(link, own);
  if (taken.length > 0) return taken;
  const large = sent.length > 1000;
  if (large) {
    const port = scene.host.links.find(({ master, mtu }) =>
      master === link.index && mtu < sent.length
    );
    if (port) {
      const command = ["ip", "link", "set", port.name, "mtu", String(link.mtu)];
      return [problem(
        "mtu_too_small",
        ["mtu", "uplink"],
        `${port.name}, a port of ${link.name}, takes packets of at most ${port.mtu} bytes, and the bridge drops larger ones without a word`,
        [`the MTU of ${port.name} is ${port.mtu}, of ${link.name} ${link.mtu}`],
        `${
          shellText(command)
        }; or, if the wire takes no more, ip link set ${link.name} mtu ${port.mtu}`,
        { what: `set the MTU of ${port.name} to ${link.mtu}`, commands: [command] },
      )];
    }
    return [problem(
      "pmtu_black_hole",
      ["mtu", "outside"],
      `packets of ${sent.length} bytes leave by ${link.name} and get no answer, smaller ones do: a hop beyond takes less, and its word of that (ICMP) does not come back`,
      [`a packet of ${sent.length} bytes with DF was seen leaving by ${link.name}`],
      `give the network a smaller "mtu", or let ICMP "fragmentation needed" (IPv6: packet too big) pass on the way`,
    )];
  }
  return [problem(
    "outside_silent",
    [question.topic === "dns" ? "dns" : answers.length === 0 ? "neighbour" : "route", "outside"],
    question.topic === "dns"
      ? `the DNS server ${question.destination} does not answer: the question leaves by ${link.name}, and nothing comes back`
      : `${question.destination} does not answer: the packet leaves by ${link.name}, and nothing comes back`,
    [
      `it left as ${sent.packet.source} → ${sent.packet.destination}${
        sent.to ? ` to ${sent.to}` : ""
      }`,
      answers.length === 0
        ? `nobody answers who has ${nextHop} on ${link.name}`
        : `${answers.join(", ")} answers for ${nextHop}`,
    ],
    `look at ${question.destination}: whether it is up, its firewall, and its route back to ${sent.packet.source}`,
  )];
}

/** Somebody beyond who has the agent's own address takes its packets for his own. */
async function duplicateOfAgent(link: Link, own: string | undefined): Promise<Finding[]> {
  if (own === undefined || own.includes(":")) return [];
  const others = (await whoHas(undefined, link, own, undefined, BRIEF)).filter((mac) =>
    mac !== link.mac
  );
  if (others.length === 0) return [];
  return [problem(
    "duplicate_address",
    ["duplicate", "outside"],
    `${own} of the agent is also somebody else's on ${link.name}: ${
      others.join(", ")
    } answers for it`,
    [`asked on ${link.name} who has ${own}, ${
      others.join(", ")
    } answered; ${link.name} is ${link.mac}`],
    "find the machine by its hardware address in the tables of the switches, and give it another address",
  )];
}

function routeOr<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}
