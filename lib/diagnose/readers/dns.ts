/** Name resolution: what the answers of a server say, and what the container's configuration does. */
import {
  type Cause,
  cause,
  inNetns,
  type Place,
  removing,
  type Values,
} from "../../facts/cause.ts";
import { takenFrom } from "../../facts/readers/address.ts";
import type { Code } from "../../facts/words.ts";
import type { Evidence } from "../evidence.ts";
import { failureText } from "../failure.ts";
import { accepts } from "../../netlink/sock_diag.ts";
import { answeringAlso } from "./hardware.ts";
import type { Reader } from "./reader.ts";

/** Of each code, what it is a cause of, and what the server does. */
const ANSWERS: Readonly<Record<string, readonly [Code, why?: string]>> = {
  SERVFAIL: ["dns_servfail"],
  REFUSED: ["dns_refused", "REFUSED"],
  NOTIMP: ["dns_refused", "NOTIMP"],
  FORMERR: ["dns_refused", "FORMERR"],
  NXDOMAIN: ["dns_wrong_answer", "answers NXDOMAIN even for the root: it knows no name"],
  NODATA: ["dns_wrong_answer", "answers without an address, also for names that have one"],
  truncated: ["dns_truncated"],
  "no AAAA": ["dns_no_aaaa"],
  strange: ["dns_wrong_answer", "sends answers that fit no question"],
  wildcard: ["dns_search_wildcard"],
  deaf: ["dns_search_silent"],
  slow: ["dns_timeout_short"],
  agent: ["dns_wrong_answer", "agent"],
};

export const dnsAnswer: Reader = async (e) => {
  const { scene, question, failure } = e;
  const { topic, resolver, destination: server } = question;
  if (topic !== "dns" || !resolver) return [];
  const { servers, timeout, ndots, file, useTcp } = resolver;
  const container = scene.name;
  const isOwn = scene.host.ownerOf(server) !== undefined;
  const place: Place = isOwn ? "agent" : "outside";
  const seen = [
    `asked for the root and for example.com, the outcome is: ${failureText(failure)}`,
    ...servers.length > 1 ? [`it is one of ${servers.length} servers: ${servers.join(", ")}`] : [],
  ];
  const found = (code: Code, at: Place, values: Values = {}) => [
    cause(code, ["dns", at], { container, address: server, file, ...values }, seen),
  ];
  const isLoopback = server.startsWith("127.") || server === "::1";
  const here = scene.inside.ownerOf(server);
  if (here && (here.kind !== "loopback" || !isLoopback)) {
    const at = scene.inside.addressesOf(here).find(({ address }) => address === server)!;
    const whole = `${server}/${at.prefixLength}`;
    return [cause(
      "duplicate_address",
      ["duplicate", "container"],
      { container, address: server, device: here.name, why: "DNS server inside" },
      seen,
      removing(
        `${whole} from ${here.name}`,
        inNetns(scene.inside.netns, "ip", "address", "del", whole, "dev", here.name),
      ),
    )];
  }
  if (isLoopback) return found("dns_refused", "container", { why: "loopback" });
  if (failure.kind === "errno" && failure.errno === "ECONNREFUSED") {
    if (useTcp && await e.kernel.agentAsks({ ...question, protocol: "udp" }) === "answered") {
      return found("dns_no_tcp", "container");
    }
    const isAbsent = isOwn && e.kernel.listeners("udp", 53).length === 0;
    const shared = isAbsent ? await sharedServer(e) : [];
    if (shared.length > 0) return shared;
    return found("dns_refused", isAbsent ? "container" : place, {
      why: isAbsent ? "agent" : "ECONNREFUSED",
    });
  }
  const isTaken = failure.kind === "silence" && e.trail.before?.way === "there" &&
    e.trail.after?.way === "back";
  const by = isOwn && isTaken
    ? e.kernel.listeners("udp", 53).find((one) =>
      accepts(one, { address: server, family: question.family })
    )
    : undefined;
  if (by) {
    const value = e.kernel.processWith(by.inode)?.text ?? "whoever listens there";
    return found("dns_servfail", place, { value, why: "silent" });
  }
  if (failure.kind !== "dns") return [];
  const { code, domain, address, ms } = failure;
  const [name, why] = ANSWERS[code] ?? [];
  if (name === undefined) return [];
  // What the container's own configuration makes of an answer.
  const own = ({
    wildcard: { value: domain, why: String(ndots) },
    deaf: { value: domain },
    slow: { value: String(timeout), why: String(ms) },
  } as Record<string, Values>)[code];
  return own
    ? found(name, "container", own)
    : found(name, place, { why, value: domain, other: address });
};

/** An address that the agent has, and somebody beyond its uplink too. */
async function sharedServer({ scene, question, kernel }: Evidence): Promise<Cause[]> {
  const { host } = scene;
  const server = question.destination;
  const way = scene.uplink(question.family);
  const owner = host.ownerOf(server);
  if (!way || !owner) return [];
  const { others, seen } = await answeringAlso(host, kernel, way.link, server);
  if (others.length === 0) return [];
  const length = host.addressesOf(owner).find(({ address }) => address === server)!.prefixLength;
  return [cause(
    "duplicate_address",
    ["duplicate", "agent"],
    { container: scene.name, address: server, device: owner.name, why: "DNS server" },
    seen,
    takenFrom(scene, owner, `${server}/${length}`),
  )];
}

export const strangeAnswer: Reader = ({ scene, question, trail: { before, sighting } }) => {
  const { topic, destination: address } = question;
  const other = sighting?.packet.source;
  if (topic !== "dns" || before?.way !== "back" || other === address) return [];
  const place = scene.host.ownerOf(address) ? "agent" : "outside";
  return [cause("dns_wrong_source", ["dns", place], { address, other }, [
    `its answer was seen arriving on ${before.stop.name} from ${other}`,
  ])];
};
