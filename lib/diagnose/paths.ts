/** The next hops that what containers send may take, each asked who it is: of all uplinks and tables. */
import { familyOfKnown, isAddress, within } from "../base/ip.ts";
import type { Checkpoint } from "../containers/checkpoint.ts";
import { networkAddresses } from "../containers/network_address.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, cause } from "../facts/cause.ts";
import type { Fact } from "../facts/facts.ts";
import { enslaved } from "../facts/readers/agent.ts";
import { bridgeOf, isGateway, type Uplink, uplinksOf } from "../facts/scene.ts";
import type { Link, Route, Rule } from "../netlink/mod.ts";
import type { Forwarded, Space } from "../netlink/view.ts";
import { usedOf } from "./gateways.ts";
import type { Kernel } from "./observe/kernel.ts";
import type { Question } from "./questions/question.ts";
import { routeWords, ruleTo } from "./readers/policy.ts";
import { ruleAgainst } from "./readers/agent_firewall.ts";
import { addressesOn, claimed, severalHave, wrongMac } from "./readers/hardware.ts";
import type { Reader } from "./readers/reader.ts";
import { takeTokens } from "./tokens.ts";

/** A router of the agent's, and the route by which it is one. */
interface NextHop {
  gateway: string;
  link: Link;
  route: Route;
}

type Asks = Pick<Kernel, "whoHas" | "isPassedOn" | "answererOf" | "dropOfAsking">;

const MOST = 16;
/** Who may tell whether a router filters by source. */
const MOST_FAR = 3;
/** Name servers, to which each of several next hops is asked to pass something on. */
const MOST_SERVERS = 2;

/** Whether a rule may choose the table for a packet of one of these addresses. */
function chooses(
  { from, action, table, inverted, family, inputLink, priority }: Rule,
  own: readonly string[],
) {
  return action === "lookup" && table !== undefined && !inverted && inputLink !== "lo" &&
    priority > 0 &&
    own.some((address) =>
      address.includes(":") === (family === "inet6") && (from === "all" || within(address, from))
    );
}

/** The next hops of the default routes, of the main table and of those that rules choose. */
export function nextHopsOf(host: Space, own: readonly string[]): NextHop[] {
  const found = ([4, 6] as const).flatMap((family) => {
    const rules = host.rulesOf(family).filter((rule) => chooses(rule, own));
    const tables = new Set(rules.map(({ table }) => table!));
    return [...tables].flatMap((table) => usedOf(host.routesOf(family, table)))
      .filter(({ destination, type }) => destination === "default" && type === "unicast")
      .flatMap((route) =>
        (route.hops ?? [route]).flatMap(({ gateway, link: index }): NextHop[] => {
          const link = host.linkAt(index);
          return gateway && link && asksThere(link) ? [{ gateway, link, route }] : [];
        })
      );
  });
  const known = new Map(found.map((one) => [`${one.gateway} ${one.link.index}`, one]));
  return [...known.values()].slice(0, MOST);
}

/** Links without ARP have no hardware addresses to be asked for. */
function asksThere({ mac, flags }: Link): boolean {
  return mac !== undefined && flags.includes("UP") && !flags.includes("NOARP");
}

/** Of an agent, the links on which it asks whether an address is its alone: of routers with hundreds not all. */
const MOST_LINKS = 8;

/** Whether somebody beyond has an address of the agent's too, such as one that moves between machines (RFC 5227). */
export async function askForOwn({ host, containers }: Agent, kernel: Asks): Promise<Fact> {
  const name = "nobody else answers for the agent's addresses";
  const ways = ([4, 6] as const).flatMap((family) => uplinksOf(host, family, containers));
  const own = [...new Set(ways.map(({ link }) => link))].filter(asksThere).slice(0, MOST_LINKS)
    .flatMap((link) => addressesOn(host, link).map((address) => ({ link, address })));
  if (own.length === 0) return { name, unread: "it has no link to ask by", causes: [] };
  const asked = own.map(({ link, address }) => claimed(host, kernel, link, address));
  const saw = `asked for ${
    own.map(({ link, address }) => `${address} on ${link.name}`).join(", ")
  }`;
  return { name, saw, causes: (await Promise.all(asked)).flat() };
}

/** Asks all of them, once for the agent: who is silent takes packets that others would have passed on. */
export async function askNextHops(agent: Agent, kernel: Asks): Promise<Fact> {
  const name = "the next hops of its routes answer";
  const all = agent.containers.filter(({ namespaceAlive }) => namespaceAlive)
    .flatMap(({ attachments }) => attachments);
  const own = all.filter(isGateway).flatMap(networkAddresses).map(({ address }) => address);
  const hops = nextHopsOf(agent.host, own);
  if (hops.length === 0) return { name, unread: "no route of its leads by one", causes: [] };
  const asked = await Promise.all(hops.map((hop) => askHop(agent.host, kernel, hop)));
  const servers = new Set(all.flatMap(({ result }) => result?.dns.nameservers ?? []));
  const swallowing = [...servers].filter(isAddress).slice(0, MOST_SERVERS).flatMap((destination) =>
    forwardedTo(agent.host, all, destination).map((from) =>
      swallowingHops(agent.host, kernel, { destination, protocol: "tcp", port: 53, from })
    )
  );
  return {
    name,
    saw: asked.map(({ gateway, link, answers }) =>
      `${gateway} on ${link.name}: ${answers.join(", ") || "nobody"}`
    ).join("; "),
    causes: [...asked.map(({ causes }) => causes), ...await Promise.all(swallowing)].flat(),
  };
}

/** Of the packets that the agent leads on to an address for its containers, one for each entry of a table. */
function forwardedTo(
  host: Space,
  attachments: readonly Checkpoint[],
  destination: string,
): Forwarded[] {
  const family = familyOfKnown(destination);
  const all = attachments.filter(isGateway).flatMap((one) => {
    const veth = one.result?.interfaces.find(({ sandbox }) => !sandbox);
    const input = host.link(bridgeOf(one) ?? veth?.name ?? "");
    const address = networkAddresses(one).find((given) => given.family === family)?.address;
    return input && address ? [{ source: address, inputLink: input.index }] : [];
  });
  const entryOf = (one: Forwarded) => JSON.stringify(host.entryTo(destination, one));
  return [...new Map(all.map((one) => [entryOf(one), one])).values()];
}

/**
 * The next hops of a route that pass nothing on to an address while others of that route do: who answers
 * ARP need not forward, and which packets are given to him is for the kernel to choose.
 *
 * @param asked with as what the agent forwards it @param sentTo the hardware address that a lost packet
 * went to: no other hop has lost it
 */
export async function swallowingHops(
  host: Space,
  kernel: Asks,
  asked: Pick<Question, "destination" | "protocol" | "port"> & { from?: Forwarded },
  sentTo?: string,
): Promise<Cause[]> {
  const { destination, from } = asked;
  const route = host.entryTo(destination, from);
  const family = familyOfKnown(destination);
  // Of default routes the best is taken, and what it loses another one may pass on.
  const others = sentTo !== undefined && route?.destination === "default"
    ? host.routesOf(family, route.table).filter((one) =>
      one.destination === "default" && one.type === "unicast"
    )
    : [];
  const hops = (route?.hops ?? others).slice(0, MOST);
  const all = await Promise.all(hops.map(async ({ gateway, link: index }) => {
    const link = host.linkAt(index);
    // A router that filters by source (RFC 3704) drops what comes from an address of another network.
    const source = gateway && link && ownTowards(host, link, gateway, family)?.address;
    if (!gateway || !link || source === undefined) return [];
    const passed = await askedBy(host, kernel, { gateway, link, route: route! }, source, asked);
    return passed ? [{ gateway, device: link.name, ...passed }] : [];
  }));
  const passing = all.flat().find(({ isPassed }) => isPassed);
  if (!passing) return [];
  const silent = all.flat().filter(({ isPassed, mac }) =>
    isPassed === false && (sentTo === undefined || mac === sentTo)
  );
  return silent.map(({ gateway, device, mac }) =>
    cause("next_hop_swallows", ["neighbour", "outside"], {
      address: gateway,
      device,
      route: routeWords(route!, host).join(" "),
      other: destination,
      value: passing.gateway,
    }, [
      `asked ${destination} by ${mac} (${gateway}): no answer`,
      `asked ${destination} by ${passing.mac} (${passing.gateway}): an answer`,
    ])
  );
}

/** The agent's address in the network of a gateway; any of the link's for one that is the link's own. */
function ownTowards(host: Space, link: Link, gateway: string, family: 4 | 6) {
  const all = host.globalsOf(link, family);
  return all.find(({ address, prefixLength }) => within(gateway, `${address}/${prefixLength}`)) ??
    (gateway.startsWith("fe80:") ? all[0] : undefined);
}

/** Whether what is given to a next hop, from an address of the agent's, is answered by who is asked. */
async function askedBy(
  host: Space,
  kernel: Asks,
  hop: NextHop,
  source: string,
  { destination, protocol, port }: Pick<Question, "destination" | "protocol" | "port">,
) {
  const { gateway, link } = hop;
  if (!asksThere(link)) return undefined;
  const mac = host.neighbourNow(gateway, link)?.mac ?? (await answersOf(host, kernel, hop))[0];
  if (mac === undefined) return undefined;
  const token = takeTokens(1).first;
  // A datagram that says nothing is answered by nobody.
  const flow = { protocol: protocol === "udp" ? "icmp" as const : protocol, source, port, token };
  return { mac, isPassed: await kernel.isPassedOn(link, mac, { ...flow, destination }) };
}

/** The default route of any table by a link that has a gateway. */
export function gatewayBy(host: Space, link: Link, family: 4 | 6): NextHop | undefined {
  for (const route of host.routesOf(family)) {
    const hop = (route.hops ?? [route]).find((one) => one.link === link.index && one.gateway);
    if (route.destination === "default" && hop) return { gateway: hop.gateway!, link, route };
  }
  return undefined;
}

/**
 * What shows that answers to who comes by a link must leave by it: from its address nothing passes by the
 * agent's way to him, where a router filters by source (RFC 3704). Each of these is asked until one tells.
 */
export async function boundTo(
  host: Space,
  kernel: Asks,
  { link, agentAddress }: Uplink,
  far: readonly string[],
): Promise<readonly string[] | undefined> {
  const family = familyOfKnown(agentAddress);
  const own = gatewayBy(host, link, family);
  for (const destination of far.filter((one) => familyOfKnown(one) === family).slice(0, MOST_FAR)) {
    const { link: by, route } = host.wayTo(destination);
    const source = by && route?.gateway && ownTowards(host, by, route.gateway, family)?.address;
    if (!own || !source || by.index === link.index) continue;
    const other = { gateway: route.gateway!, link: by, route };
    const asked = { destination, protocol: "icmp", port: 0 } as const;
    const tries = [[own, agentAddress], [other, source], [other, agentAddress]] as const;
    const [back, usual, strange] = await Promise.all(
      tries.map(([hop, from]) => askedBy(host, kernel, hop, from, asked)),
    );
    if (back?.isPassed && usual?.isPassed && strange?.isPassed === false) {
      return tries.map(([{ gateway, link }, from], i) =>
        `asked ${destination} by ${gateway} on ${link.name} from ${from}: ${
          i === 2 ? "no answer" : "an answer"
        }`
      );
    }
  }
  return undefined;
}

function ownFor(host: Space, { gateway, link }: NextHop): string | undefined {
  const family = familyOfKnown(gateway);
  return (ownTowards(host, link, gateway, family) ?? host.globalsOf(link, family)[0])?.address;
}

function answersOf(host: Space, kernel: Asks, hop: NextHop): Promise<readonly string[]> {
  return kernel.whoHas(undefined, hop.link, hop.gateway, ownFor(host, hop));
}

/**
 * Asks one next hop who it is, and what its answers say.
 *
 * @param isNeeded whether a packet waits for it: then an entry that is missing is one that was given up
 */
async function askHop(host: Space, kernel: Asks, hop: NextHop, isNeeded = false) {
  const answers = await answersOf(host, kernel, hop);
  return { ...hop, answers, causes: await hopCauses(host, kernel, hop, answers, isNeeded) };
}

async function hopCauses(
  host: Space,
  kernel: Asks,
  hop: NextHop,
  answers: readonly string[],
  isNeeded: boolean,
): Promise<Cause[]> {
  const { gateway, link, route } = hop;
  const entry = host.neighbourNow(gateway, link);
  const isFixed = entry?.state === "PERMANENT";
  // Who is heard on the wire may be kept from the agent behind it.
  const isUnheard = answers.length === 0 ||
    entry?.mac === undefined && (isNeeded || entry !== undefined);
  if (isUnheard) {
    // Whom somebody has entered by hand may be one that answers nobody.
    if (isFixed) return [];
    const taken = enslaved(host, link, [familyOfKnown(gateway)]);
    if (taken.length > 0) return taken;
    const dropped = await ruleAgainst(kernel, link, gateway);
    return dropped.length > 0 || answers.length > 0 ? dropped : [cause(
      "next_hop_silent",
      ["neighbour", "outside"],
      { address: gateway, device: link.name, route: routeWords(route, host).join(" ") },
      [
        { asked: gateway, on: link.name, answers },
        `its neighbour table: ${entry?.state ?? "no entry"}`,
      ],
    )];
  }
  const several = await severalHave(host, kernel, link, gateway, ownFor(host, hop), answers);
  if (several.length > 0) return several;
  if (!isFixed || entry.mac === undefined || answers.includes(entry.mac)) return [];
  const about = { address: gateway, mac: entry.mac, wanted: answers.join(", ") };
  return [wrongMac(host, link, "uplink", about)];
}

/** An answer has left by another link than that by which alone who asked gets it. */
export const strayAnswer: Reader = ({ scene: { host }, question, failure }) => {
  if (failure.kind !== "astray") return [];
  const { device, by: other } = failure;
  const { stranger: address, destination: value, returns = [], family } = question;
  const own = gatewayBy(host, host.link(device)!, family);
  const rule = own && ruleTo(host, own.route, family)?.text;
  const seen = [...rule ? [`${rule}: the answer has not met it`] : [], ...returns];
  const about = { family, address, device, other, value };
  return [cause("answer_astray", ["rule", "agent"], about, seen)];
};

/** What is lost between the agent's routes and a link goes by a next hop that is not there. */
export const silentHop: Reader = async (
  { scene, kernel, question, trail: { before, after, journey } },
) => {
  const isBetween = before?.direction === "in" && after?.direction === "out" &&
    after.stop.place === "uplink";
  if (!isBetween) return [];
  const { host } = scene;
  const from = scene.forwardedOf(question.family, journey.legs[0]?.stop.link);
  const { link, route } = host.wayTo(question.destination);
  // A route of its own may lead to somebody else than the default ones.
  const own = link && route?.gateway
    ? [{ gateway: route.gateway, link, route: host.entryTo(question.destination, from) ?? route }]
    : [];
  const hops = [...own, ...nextHopsOf(host, scene.givenOf(question.family))];
  const each = new Map(hops.map((one) => [`${one.gateway} ${one.link.index}`, one]));
  const asked = await Promise.all(
    [...each.values()].map((hop) => askHop(host, kernel, hop, true)),
  );
  const silent = asked.flatMap(({ causes }) => causes);
  return silent.length > 0 || journey.from !== "container"
    ? silent
    : await swallowingHops(host, kernel, { ...question, from });
};
