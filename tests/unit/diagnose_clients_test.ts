/** What a client's packet is for, whose address it is, and what the agent's forwarding concerns. */
import { assertEquals } from "@std/assert";
import { leadingTo } from "../../lib/diagnose/client.ts";
import { asKnown } from "../../lib/diagnose/diagnose.ts";
import { Session } from "../../lib/diagnose/observe/session.ts";
import { ACK, RST, SYN } from "../../lib/diagnose/packets/frame.ts";
import { isBy } from "../../lib/diagnose/questions/clients.ts";
import { failureOf } from "../../lib/diagnose/questions/stranger.ts";
import { holdersIn } from "../../lib/facts/agent.ts";
import { cause } from "../../lib/facts/cause.ts";
import { uplinksOf } from "../../lib/facts/scene.ts";
import { address, link, packet, route, TOKEN, World } from "../harness/world.ts";

/** `web` on a second network, whose ports are mapped as those of the first are where it says so. */
function onTwo(firstMaps: boolean) {
  const world = new World();
  const { inside, host, checkpoint } = world;
  inside.links.push(link(6, "eth1", { kind: "veth", peerIndex: 7 }));
  inside.addresses.push(address(6, "10.2.0.2/16"));
  host.links.push(
    link(7, "veth2", { kind: "veth", peerIndex: 6, peerNamespaceId: 1, master: 8 }),
    link(8, "br1", { kind: "bridge" }),
  );
  const mapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
  const mapper = { type: "mesos-cni-port-mapper" };
  const second = {
    ...checkpoint,
    network: "net2",
    ifName: "eth1",
    plugins: [{ ...checkpoint.plugins[0]!, bridge: "br1" }, mapper],
    portMappings: [mapping],
    result: { ...checkpoint.result, ips: [{ address: "10.2.0.2/16", gateway: "10.2.0.1" }] },
  };
  if (firstMaps) Object.assign(checkpoint, { portMappings: [mapping] });
  if (firstMaps) checkpoint.plugins.push(mapper as never);
  const scene = world.scene();
  scene.container!.attachments.push(second as never);
  const uplink = {
    link: host.link("wan0")!,
    agentAddress: "203.0.113.1",
    somewhere: "203.0.113.2",
  };
  const led = (asked: string) => {
    const target = { name: "web", netns: "", id: "web" };
    const at = { address: asked, port: 80, protocol: "tcp" as const, container: target as never };
    const own = { at, target: target as never, address: asked, port: 80 };
    const { ends, realDestination } = leadingTo(scene, own, uplink);
    return [ends.eth.link.name, realDestination];
  };
  return { scene, led };
}

Deno.test("a port that one of two networks maps is watched on that network's interface", () => {
  assertEquals(onTwo(false).led("10.1.0.2"), ["eth1", "10.2.0.2"]);
  assertEquals(onTwo(true).led("10.1.0.2"), ["eth0", "10.1.0.2"]);
  assertEquals(onTwo(true).led("10.2.0.2"), ["eth1", "10.2.0.2"]);
});

Deno.test("the agent forwards what is sent by a network with that network's address and bridge", () => {
  const { scene } = onTwo(false);
  const [first, second] = scene.interfaces.map(({ link }) => scene.forwardedOf(4, link));
  assertEquals(first, { source: "10.1.0.2", inputLink: 2 });
  assertEquals(second, { source: "10.2.0.2", inputLink: 8 });
  assertEquals(scene.forwardedOf(4), first);
});

Deno.test("a refusal that follows another reply is a refusal", () => {
  const { question: { journey } } = new World().evidence(0, {}, { topic: "port" });
  const seen = (way: "there" | "back", nth: number, flags: number) => {
    const { stop, direction } = journey.legs.filter((one) => one.way === way).at(nth)!;
    const ports = way === "there" ? { sourcePort: TOKEN } : { destinationPort: TOKEN };
    const one = { ...packet(0, way === "there"), protocol: "tcp" as const, flags, ...ports };
    return { at: stop.name, direction, packet: one, length: 60 };
  };
  const failureAfter = (...flags: number[]) => {
    const all = [seen("there", -1, SYN), ...flags.map((one) => seen("back", 0, one))];
    return failureOf({ of: () => all, at: Session.prototype.at } as never, journey, TOKEN)?.kind;
  };
  assertEquals(failureAfter(), "no_answer");
  assertEquals(failureAfter(SYN | ACK), "answer_lost");
  assertEquals(failureAfter(ACK, RST), "refused");
});

Deno.test("of the holders of an address those that live come first", () => {
  const holder = (id: string, namespaceAlive: boolean) => {
    const { attachments } = new World().scene().container!;
    return { id, namespaceAlive, attachments } as never;
  };
  const found = holdersIn([holder("dead", false), holder("web", true)]).get("10.1.0.2");
  assertEquals(found?.map(({ id }) => String(id)), ["web", "dead"]);
});

Deno.test("where the agent forwards nothing, what passes it is asked once, and a macvlan's as ever", () => {
  const off = [cause("forwarding_off", ["sysctl", "agent"], { family: 4 }, [])];
  const world = new World();
  assertEquals(asKnown(world.evidence(0).question, off).isAskedOnce, true);
  assertEquals(asKnown(world.evidence(0).question, []).isAskedOnce, undefined);
  world.inside.links[1] = link(5, "eth0", { kind: "macvlan", peerIndex: 4 });
  assertEquals(asKnown(world.evidence(0).question, off).isAskedOnce, undefined);
});

Deno.test("clients may come by each link to other machines, the way out first, and by no container's", () => {
  const { host } = new World();
  host.links.length = host.addresses.length = host.routes.length = 0;
  const links = [
    link(11, "wan0"),
    link(12, "wan1"),
    link(13, "docker0", { kind: "bridge" }),
    link(14, "vip0", { kind: "dummy", flags: ["UP", "NOARP"] }),
    link(15, "wan2", { carrier: false }),
    link(16, "veth9", { kind: "veth", peerNamespaceId: 7 }),
  ];
  for (const one of links) {
    const subnet = `192.0.${one.index}`;
    host.links.push(one);
    host.addresses.push(address(one.index, `${subnet}.1/24`));
    host.routes.push(route(`${subnet}.0/24`, one.index));
  }
  host.routes.push(route("default", 12, { gateway: "192.0.12.2" }));
  const found = uplinksOf(host, 4, []).map(({ link, agentAddress, somewhere }) =>
    [link.name, agentAddress, somewhere].join(" ")
  );
  assertEquals(found, ["wan1 192.0.12.1 192.0.12.2", "wan0 192.0.11.1 192.0.11.3"]);
});

Deno.test("who asks for the way out's address may come by the link that leads back to him", () => {
  const world = new World();
  const { host } = world;
  host.links.push(link(9, "tun0"));
  host.addresses.push(address(9, "10.8.0.1/24"));
  host.routes.push(route("default", 4, { gateway: "203.0.113.2" }));
  host.chosen["10.8.0.6"] = route("10.8.0.6", 9, { gateway: "10.8.0.2" });
  host.chosen["10.8.0.7"] = route("10.8.0.7", 9);
  const isByWan0 = (client: string) => {
    const by = { link: host.link("wan0")!, agentAddress: "203.0.113.1", somewhere: client };
    return isBy(world.scene(), by, client);
  };
  assertEquals(["10.8.0.6", "10.8.0.7", "203.0.113.2"].map(isByWan0), [false, false, true]);
  host.files["net/netstat"] = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 0 4\n";
  assertEquals(["10.8.0.6", "10.8.0.7"].map(isByWan0), [true, false]);
});
