/** The next hops that what containers send may take, each asked who it is: of all uplinks and tables. */
import { within } from "../base/ip.ts";
import { networkAddresses } from "../containers/network_address.ts";
import type { Agent } from "../facts/agent.ts";
import { type Cause, cause, run } from "../facts/cause.ts";
import type { Fact } from "../facts/facts.ts";
import { isGateway } from "../facts/scene.ts";
import type { Link, Route, Rule } from "../netlink/mod.ts";
import type { Space } from "../netlink/view.ts";
import { usedOf } from "./gateways.ts";
import type { Kernel } from "./observe/kernel.ts";
import { routeWords } from "./readers/policy.ts";
import { rulesOnTheWire } from "./readers/agent_firewall.ts";
import type { Reader } from "./readers/reader.ts";

/** A router of the agent's, and the route by which it is one. */
interface NextHop {
  gateway: string;
  link: Link;
  route: Route;
}

const MOST = 16;

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
    const name = family === 4 ? "inet" : "inet6";
    const tables = new Set(
      host.rules.filter((rule) => rule.family === name && chooses(rule, own))
        .map(({ table }) => table!),
    );
    return [...tables].flatMap((table) => usedOf(host.routesOf(family), table))
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

/** Asks all of them, once for the agent: who is silent takes packets that others would have passed on. */
export async function askNextHops(agent: Agent, kernel: Pick<Kernel, "whoHas">): Promise<Fact> {
  const name = "the next hops of its routes answer";
  const own = agent.containers.filter(({ namespaceAlive }) => namespaceAlive)
    .flatMap(({ attachments }) => attachments).filter(isGateway)
    .flatMap(networkAddresses).map(({ address }) => address);
  const hops = nextHopsOf(agent.host, own);
  if (hops.length === 0) return { name, unread: "no route of its leads by one", causes: [] };
  const answers = await Promise.all(hops.map((hop) => answersOf(agent.host, kernel, hop)));
  return {
    name,
    saw: hops.map(({ gateway, link }, i) =>
      `${gateway} on ${link.name}: ${answers[i]!.join(", ") || "nobody"}`
    )
      .join("; "),
    causes: hops.flatMap((hop, i) => hopCauses(agent.host, hop, answers[i]!)),
  };
}

function answersOf(
  host: Space,
  kernel: Pick<Kernel, "whoHas">,
  { gateway, link }: NextHop,
): Promise<readonly string[]> {
  const all = host.globalsOf(link, gateway.includes(":") ? 6 : 4);
  const own =
    all.find(({ address, prefixLength }) => within(gateway, `${address}/${prefixLength}`)) ??
      all[0];
  return kernel.whoHas(undefined, link, gateway, own?.address);
}

/** What the answers to one next hop say. */
export function hopCauses(
  host: Space,
  { gateway, link, route }: NextHop,
  answers: readonly string[],
): Cause[] {
  const entry = host.neighbourNow(gateway, link);
  const isFixed = entry?.state === "PERMANENT";
  const about = { address: gateway, device: link.name };
  const asked = { asked: gateway, on: link.name, answers };
  // Whom somebody has entered by hand may be one that answers nobody.
  if (answers.length === 0) {
    return isFixed ? [] : [cause(
      "next_hop_silent",
      ["neighbour", "outside"],
      { ...about, route: routeWords(route, host).join(" ") },
      [asked, `its neighbour table: ${entry?.state ?? "no entry"}`],
    )];
  }
  if (!isFixed || entry.mac === undefined || answers.includes(entry.mac)) return [];
  return [cause(
    "wrong_mac",
    ["neighbour", "uplink"],
    { ...about, mac: entry.mac, wanted: answers.join(", ") },
    [asked, `its neighbour table: ${gateway} lladdr ${entry.mac} ${entry.state}`],
    run(["ip", "neighbour", "del", gateway, "dev", link.name]),
  )];
}

/** What is lost between the agent's routes and a link goes by a next hop that is not there. */
export const silentHop: Reader = {
  name: "a next hop of the agent's that is not there",
  applies: ({ trail: { before, after } }) =>
    before?.direction === "in" && after?.direction === "out" && after.stop.place === "uplink",
  async read(e) {
    const { scene, kernel, question } = e;
    const hops = nextHopsOf(scene.host, scene.givenOf(question.family));
    const found = await Promise.all(hops.map(async (hop) => [
      // Whose answer a rule of the agent drops is not silent.
      ...await rulesOnTheWire(e, hop.link, hop.gateway),
      ...hopCauses(scene.host, hop, await answersOf(scene.host, kernel, hop)),
    ]));
    return found.flat();
  },
};
