/** Which of several next hops is said to pass nothing on, and who is not judged. */
import { assertEquals } from "@std/assert";
import { askNextHops, nextHopsOf, swallowingHops } from "../../lib/diagnose/paths.ts";
import { wrongNextHop } from "../../lib/diagnose/questions/outside.ts";
import { culpritOf } from "../../lib/diagnose/readers/policy.ts";
import { explain } from "../../lib/diagnose/readers/table.ts";
import type { Neighbour, Rule } from "../../lib/netlink/mod.ts";
import { address, route, World } from "../harness/world.ts";

const TO = "198.51.100.7";
const MAC = { "203.0.113.8": "02:00:00:00:00:08", "203.0.113.9": "02:00:00:00:00:09" };

/** An agent whose default route has two next hops, of which 203.0.113.9 passes nothing on. */
function twoHops(own = ["203.0.113.1/24"]) {
  const world = new World();
  const { host, kernel } = world;
  host.addresses = [address(2, "10.1.0.1/16"), ...own.map((one) => address(4, one))];
  const hops = [{ gateway: "203.0.113.8", link: 4 }, { gateway: "203.0.113.9", link: 4 }] as never;
  const all = route("default", 0, { link: undefined, hops });
  host.routes.push(all);
  for (const to of [TO, "203.0.113.2"]) {
    host.chosen[to] = route(to, 4, { gateway: "203.0.113.8" });
    host.matched[to] = all;
  }
  host.neighbours = Object.entries(MAC).map(([address, mac]) =>
    ({ address, mac, link: 4, state: "REACHABLE" }) as Neighbour
  );
  const sources: string[] = [];
  kernel.whoHas = (_, __, asked) =>
    Promise.resolve(asked in MAC ? [MAC[asked as keyof typeof MAC]] : []);
  kernel.isPassedOn = (_, mac, { source }) => {
    sources.push(source);
    return Promise.resolve(mac.endsWith("8"));
  };
  const swallowing = async () => {
    const asked = { destination: TO, protocol: "tcp", port: 53 } as const;
    const causes = await swallowingHops(host, world.evidence(4).kernel, asked);
    return causes.map(({ address }) => address);
  };
  return { world, sources, swallowing };
}

Deno.test("a next hop of a route that the packet does not take is not accused", async () => {
  const { world, swallowing } = twoHops();
  assertEquals(await swallowing(), ["203.0.113.9"]);
  world.host.matched[TO] = route("198.51.100.0/24", 4, { gateway: "203.0.113.8" });
  assertEquals(await swallowing(), []);
});

Deno.test("a connection that one of several next hops has lost is not said to be lost for its port", async () => {
  const { world } = twoHops();
  const failure = { kind: "ephemeral", outcome: "timed out" } as const;
  const codes = async () => (await explain(world.evidence(0, { failure }))).map(({ code }) => code);
  assertEquals(await codes(), ["next_hop_swallows"]);
  world.host.matched["203.0.113.2"] = route("default", 4, { gateway: "203.0.113.8" });
  assertEquals(await codes(), ["ephemeral_ports_lost"]);
});

Deno.test("who sends is asked with, since policy rules may lead his packets by other hops", async () => {
  const { world } = twoHops();
  const { host } = world;
  const seenBy = async () => {
    const e = world.evidence(4);
    const { sighting } = e.trail;
    const packet = { ...sighting!.packet, source: "203.0.113.1" };
    Object.assign(sighting!, { to: MAC["203.0.113.9"], packet });
    return (await explain(e)).map(({ code }) => code);
  };
  assertEquals(await seenBy(), ["next_hop_swallows"]);
  host.matched["203.0.113.2 from 10.1.0.2"] = route("default", 4, { gateway: "203.0.113.9" });
  assertEquals(await seenBy(), ["outside_silent"]);
});

Deno.test("servers are asked by every entry that leads what containers send, by a bridge or a veth", async () => {
  const { world, sources } = twoHops();
  const { host, checkpoint } = world;
  const several = host.matched[TO]!;
  const one = route("default", 4, { gateway: "203.0.113.8" });
  Object.assign(checkpoint.result, { dns: { nameservers: [TO] } });
  const interfaces = [{ name: "veth1" }, { name: "eth1", sandbox: "/run/web/ns" }];
  const result = { ...checkpoint.result, ips: [{ address: "10.2.0.2/24" }], interfaces };
  const ptp = {
    ...checkpoint,
    network: "net2",
    ifName: "eth1",
    plugins: [{ type: "ptp" }],
    result,
  };
  const { agent, container } = world.scene();
  container!.attachments.push(ptp as never);
  const accused = async (first: typeof one, second: typeof one) => {
    sources.length = 0;
    host.matched[TO] = one;
    host.matched[`${TO} from 10.1.0.2`] = first;
    host.matched[`${TO} from 10.2.0.2`] = second;
    const { causes } = await askNextHops(agent as never, world.evidence(4).kernel);
    return [causes.map(({ address }) => address), sources.length];
  };
  assertEquals(await accused(several, one), [["203.0.113.9"], 2]);
  assertEquals(await accused(one, several), [["203.0.113.9"], 2]);
  assertEquals(await accused(several, several), [["203.0.113.9"], 2]);
  assertEquals(await accused(one, one), [[], 0]);
});

Deno.test("where nobody outside answers, the next hop's hardware address may be another by now", async () => {
  const { world: { host, kernel } } = twoHops();
  const [{ mac }] = host.neighbours as [Neighbour];
  const uplink = { link: host.link("wan0")!, agentAddress: "203.0.113.1" };
  const wrong = () => wrongNextHop(host, kernel as never, uplink, TO);
  assertEquals(await wrong(), undefined);
  host.neighbours[0]!.mac = "02:00:00:00:00:66";
  const about = {
    kind: "others_have",
    address: "203.0.113.8",
    wanted: "02:00:00:00:00:66",
  } as const;
  assertEquals(await wrong(), { ...about, macs: [mac!] });
  kernel.whoHas = () => Promise.resolve([]);
  assertEquals(await wrong(), undefined);
  host.neighbours = [];
  kernel.whoHas = () => Promise.resolve([mac!]);
  assertEquals(await wrong(), undefined);
});

Deno.test("a next hop is asked from the agent's address in its own network, and else not judged", async () => {
  const near = twoHops(["192.0.2.1/24", "203.0.113.1/24"]);
  assertEquals(await near.swallowing(), ["203.0.113.9"]);
  assertEquals(near.sources, ["203.0.113.1", "203.0.113.1"]);
  const far = twoHops(["192.0.2.1/24"]);
  assertEquals([await far.swallowing(), far.sources], [[], []]);
});

Deno.test("several stations that answer for a next hop are one machine where one answers what any is given", async () => {
  const { world } = twoHops();
  const { agent } = world.scene();
  const said = async (answers: string[], answerer: (mac: string) => string) => {
    world.kernel.whoHas = (_, __, asked) => Promise.resolve(asked === "203.0.113.8" ? answers : []);
    world.kernel.answererOf = (_, mac) => Promise.resolve(answerer(mac));
    const { causes } = await askNextHops(agent as never, world.evidence(4).kernel);
    return causes.filter(({ address }) => address === "203.0.113.8").map(({ why }) => why);
  };
  const two = ["02:00:00:00:00:08", "02:00:00:00:00:18"];
  assertEquals(await said(two, (mac) => mac), ["several"]);
  assertEquals(await said(two, () => two[0]!), []);
  assertEquals(await said(two, () => ""), ["several"]);
  // One of the agent's own interfaces is on the same wire.
  assertEquals(await said([two[0]!, world.host.link("wan0")!.mac!], (mac) => mac), []);
});

Deno.test("what could not be sent accuses nobody", async () => {
  const { world, swallowing } = twoHops();
  world.kernel.isPassedOn = (_, mac) => Promise.resolve(mac.endsWith("8") ? true : undefined);
  assertEquals(await swallowing(), []);
});

Deno.test("a packet that was seen going to one next hop is not explained by another", async () => {
  const { world } = twoHops();
  const codes = async (to?: string) => {
    const e = world.evidence(4);
    const { sighting } = e.trail;
    Object.assign(sighting!, { to, packet: { ...sighting!.packet, source: "203.0.113.1" } });
    return (await explain(e)).map(({ code }) => code);
  };
  assertEquals(await codes(MAC["203.0.113.9"]), ["next_hop_swallows"]);
  assertEquals(await codes(MAC["203.0.113.8"]), ["outside_silent"]);
});

Deno.test("the routes are gone through once, however many tables the rules choose", () => {
  const { host } = new World();
  const { routes } = host;
  let looks = 0;
  Object.defineProperty(host, "routes", {
    get() {
      looks++;
      return routes;
    },
  });
  const rule = { family: "inet", from: "all", to: "all", action: "lookup", inverted: false };
  host.rules = Array.from(
    { length: 1000 },
    (_, i) => ({ ...rule, priority: 100 + i, table: `${100 + i}` }) as Rule,
  );
  routes.push(route("default", 4, { table: "1099", gateway: "203.0.113.8" }));
  assertEquals(nextHopsOf(host, ["10.1.0.2"]).map(({ gateway }) => gateway), ["203.0.113.8"]);
  assertEquals(culpritOf(host, TO, 4)?.text.startsWith("the policy rule 1099"), true);
  assertEquals(looks <= 4, true, `${looks} looks at the routes`);
});
