/** What readers make of evidence: tables, without a kernel. */
import { assert, assertEquals } from "@std/assert";
import { type Cause, cause, type Proof, type Values } from "../../lib/facts/cause.ts";
import { adviceOf, remedyOf, textOf } from "../../lib/facts/sentences.ts";
import { type Code, CODES, VARIANTS, wordsOf } from "../../lib/facts/words.ts";
import { readLinks } from "../../lib/facts/readers/link.ts";
import { readAddressRanges, readUplinks } from "../../lib/facts/readers/agent.ts";
import { slow } from "../../lib/facts/readers/queues.ts";
import type { Queue } from "../../lib/netlink/traffic_state.ts";
import { gatewayCauses, readBridges } from "../../lib/facts/readers/bridge.ts";
import { readRoutes, subnetsWithoutRoute } from "../../lib/facts/readers/route.ts";
import { forgetful, readAgentsLimits, readOwnLimits } from "../../lib/facts/readers/limits.ts";
import { ofOwn, proxiesIn } from "../../lib/diagnose/questions/connection.ts";
import { failed } from "../../lib/diagnose/questions/question.ts";
import { groupsOf, inHaste, type Row } from "../../lib/diagnose/all.ts";
import type { Evidence } from "../../lib/diagnose/evidence.ts";
import { between, endsOf, fromAgent, stopOf } from "../../lib/diagnose/journey.ts";
import { trailAt, trailOf, trailText } from "../../lib/diagnose/place.ts";
import { explain } from "../../lib/diagnose/readers/table.ts";
import { hopsAnswer, withoutPort } from "../../lib/diagnose/readers/uplink.ts";
import { mergeCauses } from "../../lib/diagnose/verdict.ts";
import { leadsOn } from "../../lib/diagnose/destination.ts";
import type { Container } from "../../lib/containers/inventory.ts";
import { sharedMacs } from "../../lib/diagnose/readers/hardware.ts";
import { subnetTaken } from "../../lib/diagnose/readers/agent_routing.ts";
import type { Address, Route } from "../../lib/netlink/mod.ts";
import type { BridgePort } from "../../lib/netlink/bridge_state.ts";
import type { LedPort } from "../../lib/firewall/led_ports.ts";
import type { Counter } from "../../lib/diagnose/observe/counters.ts";
import type { RuleAct } from "../../lib/diagnose/observe/rules.ts";
import type { Sighting } from "../../lib/diagnose/observe/tap.ts";
import { isContradicted } from "../../lib/diagnose/readers/contradiction.ts";
import { address, link, met, NETNS, packet, route, short, TOKEN, World } from "../harness/world.ts";

/** What is done to a healthy world, how far the packet got, and what is found first. */
type Case = [what: string, done: (world: World) => Cause[] | Promise<Cause[]>, found: string];

const to = (hops: number) => (world: World) => explain(world.evidence(hops));

const HOP_REFUSES = "hop_refuses route outside";

const CASES: Case[] = [
  [
    "a rule that dropped it",
    (world) => explain(world.evidence(3, { rules: [met("drop")] })),
    "rule_drop iptables agent",
  ],
  [
    "the policy of a chain",
    (world) =>
      explain(world.evidence(3, { rules: [met("drop", { kind: "policy", handle: undefined })] })),
    "policy_drop iptables agent",
  ],
  [
    "a rule of a queue that nobody reads",
    (world) => explain(world.evidence(3, { rules: [met("queue")] })),
    "rule_queues iptables agent",
  ],
  ["a rule comes before a link that is down", (world) => {
    world.host.links[1] = link(2, "br0", { kind: "bridge", flags: [] });
    return explain(world.evidence(2, { rules: [met("drop")] }));
  }, "rule_drop iptables agent"],
  ["a rule keeps away the word of a hop that takes less than a connection sends", (world) => {
    const error = { ...packet(3, false), protocol: "icmp error" } as const;
    return explain(world.evidence(4, {
      failure: { kind: "stuck" },
      rulesOfErrors: [met("drop", { packet: error })],
    }, { topic: "followed", protocol: "tcp" }));
  }, "rule_drop iptables agent"],
  ["an answer leaves by another link than its question came by", (world) => {
    const failure = { kind: "astray", device: "wan0", by: "wan1" } as const;
    const asked = { topic: "port", stranger: "198.51.100.7", returns: ["no answer"] } as const;
    return explain(world.evidence(8, { failure }, asked));
  }, "answer_astray rule agent"],
  ["a rule hides who comes from outside", (world) => {
    world.inside.chosen["198.51.100.7"] = route("198.51.100.7", 5, { gateway: "10.1.0.1" });
    return explain(world.evidence(8, {
      failure: { kind: "hidden", address: "10.1.0.1" },
      rules: [met("accept", { table: "nat", chain: "POSTROUTING" })],
      actsOf: () => ["snat"],
    }, { topic: "port", stranger: "198.51.100.7" }));
  }, "client_hidden masquerade agent"],
  ["its interface is down", (world) => {
    world.inside.links[1] = link(5, "eth0", { peerIndex: 3, flags: [] });
    return to(0)(world);
  }, "interface_down link container"],
  ["its interface is a port of a bridge of its own", (world) => {
    world.inside.links[1] = link(5, "eth0", { peerIndex: 3, master: 9 });
    world.inside.links.push(link(9, "br9", { kind: "bridge" }));
    return to(0)(world);
  }, "interface_enslaved link container"],
  ["its bridge is down", (world) => {
    world.host.links[1] = link(2, "br0", { kind: "bridge", flags: [] });
    return to(2)(world);
  }, "bridge_down link bridge"],
  ["its veth is on no bridge", (world) => {
    world.host.links[2] = link(3, "veth1", { kind: "veth", peerIndex: 5, peerNamespaceId: 1 });
    return to(2)(world);
  }, "veth_off_bridge bridge-port host-veth"],
  ["its address is gone", (world) => {
    world.inside.addresses = [];
    return to(0)(world);
  }, "address_lost address container"],
  ["the gateway's address is gone", (world) => {
    world.host.addresses = [address(4, "203.0.113.1/24")];
    return to(1)(world);
  }, "gateway_address_lost address bridge"],
  ["the next link is too narrow", (world) => {
    world.host.links[3] = link(4, "wan0", { mtu: 50 });
    return to(3)(world);
  }, "mtu_too_small mtu uplink"],
  ["the uplink is down", (world) => {
    world.host.links[3] = link(4, "wan0", { flags: [] });
    return to(3)(world);
  }, "link_down link uplink"],
  [
    "the kernel says reverse path, and the filter is strict",
    (world) => reversePath(world, "1", "0"),
    "rp_filter sysctl bridge",
  ],
  [
    "the kernel says reverse path, and the filter of all is strict",
    (world) => reversePath(world, "0", "1"),
    "rp_filter sysctl bridge",
  ],
  [
    "the kernel says reverse path, and the filter is loose, which a strict one of all leaves it",
    (world) => reversePath(world, "2", "1"),
    "lost route agent",
  ],
  ["the agent has no route back to its second network", (world) => {
    addNetwork(world);
    return to(5)(world);
  }, "host_route route agent"],
  ["the agent has no route back to its second network, whose filter is strict", (world) => {
    addNetwork(world);
    world.host.settings["ipv4/conf/br1/rp_filter"] = "1";
    world.host.chosen["203.0.113.1"] = "EXDEV";
    return to(5)(world);
  }, "rp_filter sysctl bridge"],
  [
    "a queue drops",
    (world) => explain(world.evidence(3, { drops: [{ reason: "QDISC_DROP", device: "wan0" }] })),
    "tc_drop tc uplink",
  ],
  ["a counter of tc grew", (world) =>
    explain(world.evidence(3, {
      grown: [{ kind: "qdisc", device: "wan0", type: "tbf", name: "tbf 8001:", count: 3 }],
    })), "tc_drop tc uplink"],
  [
    "the kernel says that a queue drops, and it is another one that holds",
    (world) =>
      explain(world.evidence(3, {
        drops: [{ reason: "QDISC_DROP", device: "wan0" }],
        grown: [{ kind: "qdisc", device: "wan0", type: "htb", name: "htb 1:", count: 0, held: 4 }],
      })),
    "tc_drop tc uplink",
  ],
  ["a queue holds what came", (world) =>
    explain(world.evidence(3, {
      grown: [{ kind: "qdisc", device: "wan0", type: "htb", name: "htb 1:", count: 0, held: 4 }],
    })), "queue_holds tc uplink"],
  [
    "the kernel says checksum",
    (world) => explain(world.evidence(3, { drops: [{ reason: "IP_CSUM", device: "br0" }] })),
    "bad_checksum link bridge",
  ],
  [
    "the kernel says that a program at a cgroup drops what was asked",
    (world) =>
      explain(world.evidence(0, {
        drops: [{ reason: "BPF_CGROUP_EGRESS", device: "eth0", packet: packet(8, true) }],
      })),
    "cgroup_drop cgroup agent",
  ],
  ["a policy of IPsec selects it", (world) => {
    world.policies = ["src 10.1.0.0/16 dst 203.0.113.0/24 dir out priority 0"];
    return explain(world.evidence(3, { grown: [stat("XfrmOutNoStates")] }));
  }, "xfrm_drop xfrm agent"],
  ["a policy of IPsec for others, while others are refused", (world) => {
    world.policies = ["src 192.0.2.0/24 dst 198.51.100.0/24 dir out priority 0"];
    return explain(world.evidence(3, { grown: [stat("XfrmOutNoStates")] }));
  }, "lost route agent"],
  ["a translation has no port left", (world) =>
    explain(world.evidence(3, {
      grown: [stat("insert_failed")],
      rules: [met("accept", { table: "nat", chain: "POSTROUTING" })],
      actsOf: () => ["snat"],
    })), "nat_ports_used_up conntrack agent"],
  ["a client is in a set", (world) => {
    world.named.set("10.1.0.2", [{ set: "DROP", remove: ["ipset", "del", "DROP", "10.1.0.2"] }]);
    return explain(world.evidence(3, { rules: [met("drop")] }));
  }, "rule_drop iptables agent"],
  ["the kernel says XDP", (world) => {
    world.kernel.xdp = () => 7;
    return explain(world.evidence(1, { drops: [{ reason: "XDP", device: "veth1" }] }));
  }, "xdp_drop xdp host-veth"],
  ["a program of XDP where it is lost", (world) => {
    world.kernel.xdp = () => 7;
    return to(1)(world);
  }, "xdp_drop xdp host-veth"],
  ["the kernel says tc, and the program is one of tcx", (world) => {
    world.kernel.tcx = () => 1;
    return explain(world.evidence(2, { drops: [{ reason: "TC_INGRESS", device: "veth1" }] }));
  }, "tc_drop tc host-veth"],
  ["a program of tcx where it is lost", (world) => {
    world.kernel.tcx = () => 1;
    return to(2)(world);
  }, "tcx_not_judged tc host-veth"],
  [
    "a rule of iptables-legacy counted it",
    (world) => explain(world.evidence(3, { grown: [legacy("DROP")] })),
    "rule_drop iptables-legacy agent",
  ],
  [
    "a rule of iptables-legacy leads the port elsewhere",
    (world) => explain(world.evidence(1, { grown: [legacy("DNAT", "dnat")] }, port(world))),
    "port_taken_by_rule portmap agent",
  ],
  ["a rule of iptables-legacy leads the port where it should, and it is lost behind", (world) => {
    const its = legacy("DNAT --to-destination 10.1.0.2:80", "dnat");
    return explain(world.evidence(1, { grown: [its] }, port(world)));
  }, "lost route agent"],
  [
    "a rule writes it anew",
    (world) => explain(world.evidence(3, { rules: [met("continue")], actsOf: () => ["rewrite"] })),
    "rule_rewrites iptables agent",
  ],
  ["a rule keeps the answer out of tracking", (world) => {
    world.host.addresses.push(address(4, "203.0.113.9/24"));
    const e = world.evidence(5, { rules: [met("accept")], actsOf: () => ["notrack"] });
    e.trail.seen[4]!.packet = { ...e.trail.seen[4]!.packet, destination: "203.0.113.1" };
    return explain(e);
  }, "notrack iptables agent"],
  ["nobody answers neighbour discovery", (world) => {
    const asked = sighting("eth0 of web", "nd request", "2001:db8::1");
    world.checkpoint.result.ips = [];
    return explain(world.evidence(0, { about: () => [asked] }, {
      family: 6,
      neighbours: ["2001:db8::1"],
      destination: "2001:db8:9::1",
    }));
  }, "neighbour_silent neighbour outside"],
  ["nobody answers a container that asks whether its address is its alone", (world) => {
    const asked = sighting("eth0 of web", "arp request", "10.1.0.2");
    return explain(world.evidence(0, { about: () => [asked] }, { neighbours: ["10.1.0.2"] }));
  }, "lost link container"],
  ["a next hop does not answer who it is", (world) => {
    world.host.routes.push(route("default", 4, { gateway: "203.0.113.9" }));
    return to(3)(world);
  }, "next_hop_silent neighbour outside"],
  ["a next hop answers, and a rule drops what it says", (world) => {
    world.host.routes.push(route("default", 4, { gateway: "203.0.113.9" }));
    world.kernel.dropOfAsking = async () => ({
      met: met("drop"),
      rule: await world.evidence(3).ruleOf(met("drop")),
    });
    return to(3)(world);
  }, "rule_drop iptables agent"],
  [
    "a next hop answers, and the kernel has given its entry up for a rule that drops it",
    (world) => {
      world.host.routes.push(route("default", 4, { gateway: "203.0.113.9" }));
      world.kernel.whoHas = (_, __, asked) =>
        Promise.resolve(asked === "203.0.113.9" ? ["02:00:00:00:00:09"] : []);
      world.kernel.dropOfAsking = async () => ({
        met: met("drop"),
        rule: await world.evidence(3).ruleOf(met("drop")),
      });
      return to(3)(world);
    },
    "rule_drop iptables agent",
  ],
  ["a next hop seems silent, since the way out is a port of a bridge", (world) => {
    world.host.routes.push(route("default", 4, { gateway: "203.0.113.9" }));
    world.host.links[3] = link(4, "wan0", { master: 9 });
    world.host.links.push(link(9, "br9", { kind: "bridge" }));
    return to(3)(world);
  }, "uplink_enslaved link uplink"],
  ["the agent's own packet has no route, whatever the bridge behind it would do", (world) => {
    world.host.chosen["10.1.0.2"] = "ENETUNREACH";
    world.ports[0]!.unicastFlood = false;
    const scene = world.scene();
    const journey = fromAgent(endsOf(scene, scene.interfaces[0]!)!);
    const trail = trailOf(journey, [], TOKEN);
    return explain(world.evidence(0, { trail }, { topic: "gateway", journey }));
  }, "host_route route agent"],
  ["one of two next hops passes nothing on", (world) => {
    const two = [{ gateway: "203.0.113.8", link: 4 }, { gateway: "203.0.113.9", link: 4 }] as never;
    world.host.matched["203.0.113.2"] = route("default", 0, { link: undefined, hops: two });
    world.host.chosen["203.0.113.2"] = route("203.0.113.2", 4, { gateway: "203.0.113.9" });
    world.kernel.whoHas = (_, __, asked) =>
      Promise.resolve(asked === "203.0.113.1" ? [] : [`02:00:00:00:00:0${asked.at(-1)}`]);
    world.kernel.isPassedOn = (_, mac) => Promise.resolve(mac.endsWith("8"));
    const e = world.evidence(4);
    e.trail.seen[3]!.packet = { ...e.trail.seen[3]!.packet, source: "203.0.113.1" };
    return explain(e);
  }, "next_hop_swallows neighbour outside"],
  ["a better default route leads nowhere, and another one does not", (world) => {
    const by = (at: number, gateway: string) => route("default", at, { gateway });
    world.host.links.push(link(8, "wan1"));
    world.host.addresses.push(address(8, "192.0.2.1/24"));
    world.host.routes.push(by(4, "203.0.113.8"), by(8, "192.0.2.9"));
    world.host.matched["203.0.113.2"] = by(4, "203.0.113.8");
    world.kernel.whoHas = (_, { index }, asked) =>
      Promise.resolve(/[89]$/.test(asked) ? [`02:00:00:00:00:0${index}`] : []);
    world.kernel.isPassedOn = ({ index }) => Promise.resolve(index === 8);
    const e = world.evidence(4);
    const { sighting } = e.trail;
    const packet = { ...sighting!.packet, source: "203.0.113.1" };
    Object.assign(sighting!, { to: "02:00:00:00:00:04", packet });
    return explain(e);
  }, "next_hop_swallows neighbour outside"],
  ["a rule masquerades for a link that has another name now", (world) => {
    world.checkpoint.plugins[0]!.ipMasq = false;
    const at = { family: 4, table: "nat", chain: "POSTROUTING", unknown: [], id: "7" } as const;
    const rule = { ...at, outDevice: { is: "eno1" }, target: { masquerade: true as const } };
    const e = world.evidence(4);
    const rules = { every: () => Promise.resolve([{ rules: () => [rule] }]) };
    Object.assign(e.scene.agent, { rules });
    return explain(e);
  }, "masquerade_gone masquerade agent"],
  ["a router asks on the uplink who has the container's address", (world) => {
    world.checkpoint.plugins[0]!.ipMasq = false;
    const asked = { ...sighting("wan0", "arp request", "10.1.0.2"), direction: "in" as const };
    return explain(world.evidence(4, { about: () => [asked] }));
  }, "proxy_missing neighbour uplink"],
  ["another answers than who was asked", (world) => {
    const back = { ...packet(0, false), protocol: "tcp", sourcePort: 80 } as const;
    const strange = { at: "wan0", direction: "in", length: 60 } as const;
    const e = world.evidence(4);
    const sightings = [...e.sightings, { ...strange, packet: { ...back, source: "203.0.113.9" } }];
    return explain(world.evidence(4, { sightings }, { protocol: "tcp", port: 80 }));
  }, "answer_from_another route outside"],
  [
    "a program at the listener's cgroup drops what comes to it",
    (world) => explain(world.evidence(4, { drops: [{ reason: "SOCKET_FILTER", device: "eth0" }] })),
    "cgroup_drop cgroup container",
  ],
  ["a gateway answers the device below a macvlan alone", (world) => {
    world.inside.links[1] = link(5, "eth0", { kind: "macvlan", peerIndex: 4 });
    world.kernel.whoHas = (netns) => Promise.resolve(netns ? [] : ["02:00:00:00:00:77"]);
    const asked = ["eth0 of web", "wan0"].map((at) => sighting(at, "arp request", "10.1.9.9"));
    return explain(world.evidence(0, { about: () => asked }, { neighbours: ["10.1.9.9"] }));
  }, "outside_silent neighbour outside"],
  ["a route of its own leads to a next hop that is silent", (world) => {
    const by = route("203.0.113.2/32", 4, { gateway: "203.0.113.7" });
    world.host.chosen["203.0.113.2"] = world.host.matched["203.0.113.2"] = by;
    return to(3)(world);
  }, "next_hop_silent neighbour outside"],
  ["a rule drops what comes out of a tunnel, whose other end answers", (world) => {
    world.host.links[3] = link(4, "wan0", { kind: "vxlan" });
    world.checkpoint.plugins[0]!.ipMasq = false;
    world.kernel.tunnelEnd = () => "198.51.100.9";
    world.ofAgent = "answered";
    const at = { family: 4, table: "filter", chain: "INPUT", unknown: [], id: "7" } as const;
    const port = { protocol: "udp", number: 8472 } as const;
    const rule = { ...at, port, target: { verdict: "DROP" } } as const;
    const e = world.evidence(4);
    e.trail.seen[3]!.to = "02:00:00:00:00:09";
    Object.assign(e.scene.agent, {
      rules: { every: () => Promise.resolve([{ rules: () => [rule] }]) },
    });
    return explain(e);
  }, "rule_drop iptables agent"],
  ["a frame went to the wrong hardware address", (world) => {
    const e = world.evidence(2);
    e.trail.seen[0]!.to = "02:00:00:00:00:99";
    return explain(e);
  }, "wrong_mac neighbour container"],
  ["a frame went to the hardware address of a group", (world) => {
    world.checkpoint.plugins[0]!.ipMasq = false;
    const e = world.evidence(4);
    e.trail.seen[0]!.to = "01:00:5e:01:01:01";
    return explain(e);
  }, "outside_silent neighbour outside"],
  ["its way out is a tunnel without hardware addresses", (world) => {
    world.checkpoint.plugins[0]!.ipMasq = false;
    world.host.links[3] = link(4, "wan0", { flags: ["UP", "NOARP"], mac: undefined });
    return to(4)(world);
  }, "outside_silent neighbour outside"],
  ["another machine answers for the gateway", (world) => {
    world.kernel.whoHas = () => Promise.resolve(["02:00:00:00:00:99"]);
    return explain(world.evidence(0, {
      failure: { kind: "others_have", address: "10.1.0.1", macs: ["02:00:00:00:00:99"] },
    }, { topic: "gateway" }));
  }, "gateway_wrong_mac neighbour container"],
  ...([
    ["SERVFAIL", "dns_servfail dns outside"],
    ["REFUSED", "dns_refused dns outside"],
    ["NXDOMAIN", "dns_wrong_answer dns outside"],
    ["truncated", "dns_truncated dns outside"],
    ["wildcard", "dns_search_wildcard dns container"],
    ["deaf", "dns_search_silent dns container"],
    ["slow", "dns_timeout_short dns container"],
  ] as const).map(([code, found]): Case => [
    `a DNS server: ${code}`,
    (world) => {
      const resolver = { servers: ["203.0.113.2"], timeout: 1, ndots: 1, file: "/f" } as never;
      return explain(
        world.evidence(8, { failure: { kind: "dns", code, domain: "lan", ms: 1200 } }, {
          ...dns,
          resolver,
        }),
      );
    },
    found,
  ]),
  ["a port of the bridge is blocked", (world) => {
    world.ports[0]!.state = "blocking";
    return to(2)(world);
  }, "port_state bridge-port host-veth"],
  ["it has no default route", (world) => {
    world.inside.routes = world.inside.routes.slice(0, 1);
    delete world.inside.chosen["203.0.113.2"];
    return to(0)(world);
  }, "no_default_route route container"],
  ["a blackhole in the container", (world) => {
    world.inside.routes.push(route("203.0.113.0/24", 0, { type: "blackhole", link: undefined }));
    world.inside.chosen["203.0.113.2"] = "EINVAL";
    return to(0)(world);
  }, "route_refuses route container"],
  ["the agent does not forward", (world) => {
    world.host.settings["ipv4/ip_forward"] = "0";
    return to(3)(world);
  }, "forwarding_off sysctl agent"],
  ["a policy rule for all that has not a mark, and the main table without its default", (world) => {
    const [main] = world.host.rules;
    const mark = "0xca6c/0xffffffff";
    world.host.rules = [
      { ...main!, priority: 1, suppressed: 0 },
      { ...main!, priority: 2, table: "51820", mark, inverted: true },
      main!,
    ];
    world.host.routes = [
      route("default", 4, { gateway: "203.0.113.9" }),
      route("default", 0, { type: "blackhole", table: "51820", link: undefined }),
    ];
    world.host.chosen["203.0.113.2"] = "EINVAL";
    return to(3)(world);
  }, "host_rule rule agent"],
  ["an empty bridge has the subnet of who is asked", (world) => {
    world.host.links.push(link(9, "docker0", { kind: "bridge" }));
    world.host.addresses.push(address(9, "203.0.113.3/30"));
    const { scene, question } = world.evidence(3);
    return withoutPort({ scene, question }, world.host.link("docker0")!);
  }, "subnet_taken route agent"],
  ["an empty bridge has the subnet of one of the agent's networks", (world) => {
    world.host.links.push(link(9, "br9", { kind: "bridge" }));
    world.host.addresses.push(address(9, "10.2.0.1/16"));
    const { scene, question } = world.evidence(3, {}, { destination: "10.2.0.5" });
    const raw = { type: "bridge", ipam: { type: "host-local", subnet: "10.2.0.0/16" } };
    const read = () => ({ network: { plugins: [{ raw }] } });
    Object.assign(scene.agent.sources, { catalog: () => ({ names: () => ["other"], read }) });
    return withoutPort({ scene, question }, world.host.link("br9")!);
  }, "no_carrier link uplink"],
  ["a rule in the container leads what comes to where nobody listens", (world) => {
    const rules = [met("accept", { netns: NETNS, table: "nat", chain: "PREROUTING" })];
    const more = {
      failure: { kind: "refused" } as const,
      rules,
      actsOf: () => ["redirect" as const],
    };
    return explain(world.evidence(4, more, port(world)));
  }, "port_taken_by_rule iptables container"],
  ["the agent has no route to the container's wire", (world) => {
    world.checkpoint.plugins[0] = { type: "ptp", ipMasq: true } as never;
    world.host.links[2]!.master = undefined;
    world.host.chosen["10.1.0.2"] = route("default", 4, { gateway: "203.0.113.2" });
    world.host.links.splice(1, 1);
    world.host.addresses.shift();
    world.host.routes.shift();
    return to(4)(world);
  }, "connected_route_gone route agent"],
  ["the agent has no route", (world) => {
    world.host.chosen["203.0.113.2"] = "ENETUNREACH";
    world.host.routes = world.host.routes.slice(0, 1);
    return to(3)(world);
  }, "connected_route_gone route agent"],
  ["nothing masquerades it", to(4), "masquerade_gone masquerade agent"],
  ["a hop outside refuses it", (world) => explain(refusedBy(world, 3, 13)), HOP_REFUSES],
  ["a hop outside has passed it on too often", (world) => {
    world.inside.settings["ipv4/ip_default_ttl"] = "64";
    return explain(refusedBy(world, 11, 0));
  }, HOP_REFUSES],
  ["its answer comes in for another hardware address", (world) => {
    const e = world.evidence(5, {
      drops: [{ reason: "OTHERHOST", device: "wan0", location: "ip_rcv_core" }],
    });
    for (const one of [e.trail.seen[4]!]) one.to = "02:00:00:00:00:99";
    return explain(e);
  }, "wrong_mac neighbour outside"],
  [
    "its SYN asks for ECN, and the agent's is answered",
    (world) => asksForEcn(world, "203.0.113.1"),
    "ecn_lost sysctl container",
  ],
  [
    "its SYN asks for ECN and has its own address, and the agent's is answered",
    (world) => asksForEcn(world, "10.1.0.2"),
    "outside_silent neighbour outside",
  ],
  ["its SYN asks for ECN, and so does the agent's, which is answered", (world) => {
    world.host.settings["ipv4/tcp_ecn"] = "1";
    return asksForEcn(world, "203.0.113.1");
  }, "outside_silent neighbour outside"],
  ["names are asked for over TCP alone, and the server has none", (world) => {
    world.ofAgent = "answered";
    const resolver = { servers: ["203.0.113.2"], useTcp: true, file: "/etc/resolv.conf" } as never;
    return explain(world.evidence(8, { failure: { kind: "errno", errno: "ECONNREFUSED" } }, {
      ...{ topic: "dns", protocol: "tcp", port: 53, resolver },
    }));
  }, "dns_no_tcp dns container"],
  ["nothing comes back from outside", (world) => {
    world.checkpoint.plugins[0]!.ipMasq = false;
    return to(4)(world);
  }, "outside_silent neighbour outside"],
  [
    "nobody listens behind a mapped port",
    (world) => explain(world.evidence(4, { failure: { kind: "refused" } }, port(world))),
    "nobody_listens listener container",
  ],
  ["the listener takes IPv6 alone", (world) => {
    world.listeners = [LISTENER];
    return explain(world.evidence(4, { failure: { kind: "refused" } }, port(world)));
  }, "listens_elsewhere listener container"],
  [
    "no rule leads the port on",
    (world) =>
      explain(
        world.evidence(1, { failure: { kind: "errno", errno: "ECONNREFUSED" } }, port(world)),
      ),
    "dnat_missing portmap agent",
  ],
  ["the mapper's own table leads the port to another address", (world) => {
    world.kernel.tablePorts = () => [led("10.1.0.9", 80)];
    return explain(world.evidence(1, BY_TABLE, port(world)));
  }, "dnat_elsewhere portmap agent"],
  ["the mapper's own table leads the port to another port of the container", (world) => {
    world.kernel.tablePorts = () => [led("10.1.0.2", 81)];
    const e = world.evidence(4, { ...BY_TABLE, failure: { kind: "refused" } }, port(world));
    const arrived = { ...packet(8, true), destination: "10.1.0.2", destinationPort: 81 };
    const seen = { at: "br0", direction: "out", packet: arrived, length: 60 } as const;
    return explain({ ...e, sightings: [seen] });
  }, "dnat_elsewhere portmap agent"],
  ["the mapper's own table leads the port of one address alone elsewhere", (world) => {
    world.kernel.tablePorts = () => [
      led("10.1.0.2", 80),
      { ...led("10.1.0.9", 80), hostAddress: "203.0.113.2" },
    ];
    return explain(world.evidence(1, BY_TABLE, port(world)));
  }, "dnat_elsewhere portmap agent"],
  ["the mapper's own table leads the port where it should, and another one elsewhere", (world) => {
    world.kernel.tablePorts = () => [
      led("10.1.0.2", 80),
      { ...led("10.1.0.9", 80), hostAddress: "203.0.113.3" },
      { ...led("10.1.0.9", 80), hostPort: 8081 },
      { ...led("10.1.0.9", 80), protocol: "udp" },
    ];
    return explain(world.evidence(1, BY_TABLE, port(world)));
  }, "lost route agent"],
  ["a stranger comes by a device that the mapper is told to leave out", (world) => {
    const mapper = { type: "mesos-cni-port-mapper", excludeDevices: ["wan0"] };
    world.checkpoint.plugins.push(mapper as never);
    const asked = port(world);
    const mapped = {
      ...asked.mapped as object,
      uplink: { link: world.host.link("wan0") },
    } as never;
    const stranger = "203.0.113.2";
    const failure = { kind: "not_arrived" } as const;
    return explain(world.evidence(1, { failure }, { ...asked, mapped, stranger }));
  }, "uplink_excluded portmap uplink"],
  ["who is followed to listens on another address", (world) => {
    world.listeners = [{ ...LISTENER, address: "127.0.0.1" }];
    const far = { scene: world.scene(), attached: world.scene().interfaces[0]! };
    const asked = { topic: "followed", protocol: "tcp", realDestination: "10.1.0.2", far } as const;
    return explain(world.evidence(1, { failure: { kind: "errno", errno: "ECONNREFUSED" } }, asked));
  }, "listens_elsewhere listener neighbour"],
  ["who is asked has an address that the agent has as well", (world) => {
    world.host.addresses.push(address(1, "203.0.113.2/32"));
    const asked = { topic: "followed", protocol: "tcp" } as const;
    return explain(world.evidence(3, {
      failure: { kind: "errno", errno: "ECONNREFUSED" },
    }, { ...asked, port: 5432 }));
  }, "nobody_listens listener agent"],
  ["a proxy of its variables refuses", (world) => {
    const asked = { topic: "followed", protocol: "tcp", variable: "http_proxy" } as const;
    return explain(world.evidence(5, {
      failure: { kind: "errno", errno: "ECONNREFUSED" },
    }, { ...asked, port: 3128 }));
  }, "nobody_listens listener outside"],
  ["who is followed to is the agent, which listens on another address", (world) => {
    world.listeners = [{ ...LISTENER, port: 8080, address: "127.0.0.1", only6: false }];
    const asked = { topic: "followed", protocol: "tcp", destination: "10.1.0.1" } as const;
    return explain(world.evidence(3, {
      failure: { kind: "errno", errno: "ECONNREFUSED" },
    }, { ...asked, port: 8080 }));
  }, "listens_elsewhere listener agent"],
  ["a backlog is full, and connections get no answer", (world) => {
    world.listeners = [{ ...LISTENER, address: "0.0.0.0", waiting: 2, most: 2 }];
    return explain(world.evidence(4, { failure: { kind: "no_answer" } }, port(world)));
  }, "backlog_full listener container"],
  ["of two who listen on one port one takes nothing, and has those of one source port", (world) => {
    const open = { ...LISTENER, address: "0.0.0.0" };
    world.listeners = [open, { ...open, inode: 2, waiting: 2, most: 2 }];
    const failure = { kind: "ephemeral", outcome: "timed out" } as const;
    return explain(world.evidence(4, { failure }, port(world)));
  }, "backlog_full listener container"],
  ["its lo has lost 127.0.0.1", (world) => {
    world.inside.addresses.shift();
    return [...readLinks(world.scene()).causes];
  }, "address_lost address container"],
  ["the agent puts no packets together", (world) => {
    world.host.settings["ipv4/ipfrag_high_thresh"] = "0";
    world.host.files["net/snmp"] = "Ip: ReasmReqds ReasmFails\nIp: 3 2\n";
    return [...readAgentsLimits(world.scene()).causes];
  }, "fragments_lost sysctl agent"],
  ["its network puts no packets together", (world) => {
    world.inside.settings["ipv4/ipfrag_high_thresh"] = "262144";
    world.inside.settings["ipv6/ip6frag_time"] = "0";
    return [...readOwnLimits(world.scene()).causes];
  }, "fragments_lost sysctl container"],
  ["the agent forgets connections at once", (world) => {
    world.host.settings["netfilter/nf_conntrack_udp_timeout"] = "1";
    return [...readAgentsLimits(world.scene()).causes];
  }, "conntrack_timeout conntrack agent"],
  ["the agent's default route of one family is gone", (world) => {
    const { host, checkpoint } = world;
    host.addresses.push(address(2, "2001:db8:1::1/64"), address(4, "2001:db8:113::1/64"));
    host.routes.push(route("default", 4, { gateway: "203.0.113.2" }));
    checkpoint.result.ips.push({ address: "2001:db8:1::2/64", gateway: "2001:db8:1::1" });
    checkpoint.result.routes.push({ dst: "::/0" });
    return [...readUplinks(world.scene().agent as never).causes];
  }, "no_host_route route uplink"],
  ["all addresses of its network are leased", (world) => {
    const ipam = { type: "host-local", subnet: "10.1.0.0/30", rangeStart: "10.1.0.3" };
    Object.assign(world.checkpoint.plugins[0]!, { ipam });
    return [...readAddressRanges(world.scene().agent as never).causes];
  }, "addresses_used_up state agent"],
  ["a rate in the wrong unit", (world) => {
    const { link, ...tbf } = queue(3, { kind: "tbf", rate: 12_500, drops: 9 });
    return slow(world.scene(), { ...tbf, link: world.host.linkAt(link)! });
  }, "queue_slow tc host-veth"],
  ["a port that nobody floods, of a bridge that knows no groups", (world) => {
    world.ports[0]!.multicastFlood = false;
    return [...readBridges(world.scene()).causes];
  }, "port_flood bridge-port host-veth"],
  ["a second link has lost the route to its subnet", (world) => {
    world.inside.links.push(link(6, "eth1"));
    world.inside.addresses.push(address(6, "10.2.0.2/16"));
    world.inside.chosen["10.2.0.1"] = route("10.2.0.1", 5, { gateway: "10.1.0.1" });
    const { scene } = world.evidence(0);
    const second = {
      ...scene.interfaces[0]!,
      ...{ ifName: "eth1", link: world.inside.links[2], checkpoint: undefined },
      expected: [{
        address: "10.2.0.2",
        prefixLength: 16,
        family: 4 as const,
        gateway: "10.2.0.1",
      }],
    };
    scene.interfaces.push(second);
    return [...readRoutes(scene).causes];
  }, "route_lost route container"],
  ["a tunnel leads to a machine that is not there", (world) => {
    world.host.links[3] = link(4, "wan0", { kind: "vxlan" });
    world.checkpoint.plugins[0]!.ipMasq = false;
    world.kernel.tunnelEnd = () => "198.51.100.9";
    const e = world.evidence(4);
    e.trail.seen[3]!.to = "02:00:00:00:00:09";
    return explain(e);
  }, "tunnel_silent neighbour outside"],
  ["a tunnel leads to a machine that is there, and answers no echo", (world) => {
    world.host.links[3] = link(4, "wan0", { kind: "vxlan" });
    world.checkpoint.plugins[0]!.ipMasq = false;
    world.kernel.tunnelEnd = () => "198.51.100.9";
    world.host.chosen["198.51.100.9"] = route("198.51.100.9", 4, { gateway: "203.0.113.8" });
    world.kernel.whoHas = (_, __, of) =>
      Promise.resolve(of === "203.0.113.8" ? ["02:00:00:00:00:08"] : []);
    const e = world.evidence(4);
    e.trail.seen[3]!.to = "02:00:00:00:00:09";
    return explain(e);
  }, "outside_silent neighbour outside"],
  ["it sends by the one of its networks that is not masqueraded", (world) => {
    addNetwork(world);
    world.checkpoint.plugins[0]!.ipMasq = false;
    world.ofAgent = "answered";
    return to(4)(world);
  }, "not_masqueraded masquerade agent"],
  ["nothing explains it", (world) => {
    world.checkpoint.plugins[0]!.ipMasq = false;
    return to(5)(world);
  }, "lost route agent"],
];

const dns = { topic: "dns", protocol: "udp" } as const;
const LISTENER = {
  ...{ port: 80, address: "::", only6: true, uid: 0, inode: 1, waiting: 0, most: 1 },
  device: undefined,
};
const MAPPED = met("accept", { family: "inet", table: "mesos-cni", chain: "prerouting" });
/** What leads it on is the mapper's own table, whose one rule is for all ports. */
const BY_TABLE: Partial<Evidence> = { rules: [MAPPED], actsOf: () => ["dnat"] };

/** A SYN that has left with an address, and whose like of the agent's is answered. */
function asksForEcn(world: World, source: string) {
  world.ofAgent = "answered";
  world.checkpoint.plugins[0]!.ipMasq = false;
  world.inside.settings["ipv4/tcp_ecn"] = "1";
  const e = world.evidence(4, {}, { topic: "followed", protocol: "tcp", port: 80 });
  const syn = { protocol: "tcp", flags: 0xc2 } as const;
  const seen = e.trail.seen.map((one, i) =>
    one && { ...one, packet: { ...one.packet, ...syn, ...i === e.trail.last ? { source } : {} } }
  );
  return explain({ ...e, trail: trailAt(e.trail.journey, seen) });
}

/** An element of the mapper's table. */
function led(address: string, port: number): LedPort {
  const at = { family: 4, protocol: "tcp", hostPort: 8080, to: { address, port } } as const;
  return { ...at, backend: "nftables", chain: "", rule: "" };
}

/** Gives `web` eth1 on the bridge br1, and the agent no route to it. */
function addNetwork(world: World) {
  const { inside, host, checkpoint } = world;
  inside.links.push(link(6, "eth1", { kind: "veth", peerIndex: 7 }));
  inside.addresses.push(address(6, "10.2.0.2/16"));
  const veth = { kind: "veth", peerIndex: 6, peerNamespaceId: 1, master: 8 } as const;
  host.links.push(link(7, "veth2", veth), link(8, "br1", { kind: "bridge" }));
  const result = { ...checkpoint.result, ips: [{ address: "10.2.0.2/16", gateway: "10.2.0.1" }] };
  const plugins = [{ ...checkpoint.plugins[0]!, bridge: "br1" }];
  const second = { ...checkpoint, network: "net2", ifName: "eth1", plugins, result };
  const scene = world.scene();
  scene.container!.attachments.push(second as never);
  world.scene = () => scene;
}

function reversePath(world: World, own: string, all: string) {
  world.host.settings["ipv4/conf/br0/rp_filter"] = own;
  world.host.settings["ipv4/conf/all/rp_filter"] = all;
  const drop = { reason: "IP_RPFILTER", device: "br0", packet: packet(8, true) };
  return explain(world.evidence(3, { drops: [drop] }));
}

const stat = (name: string) => ({ kind: "stat", name, count: 1 }) as const;

function legacy(target: string, ...acts: RuleAct[]): Counter {
  const text = `-A FORWARD -j ${target}`;
  const ref = { program: "iptables-legacy", family: "ip", table: "filter", chain: "FORWARD", text };
  const remove = ["iptables-legacy", "-D", "FORWARD", "-j", target];
  const mentions = (address: string) => text.includes(address);
  const rule = { ref, mechanism: "iptables-legacy", acts, mentions, remove } as const;
  return { kind: "legacy", family: 4, count: 1, rule, drops: target === "DROP" };
}

/** A hop beyond the agent has answered with an error of ICMP. */
function refusedBy(world: World, flags: number, code: number): Evidence {
  world.checkpoint.plugins[0]!.ipMasq = false;
  const e = world.evidence(4, { failure: { kind: "errno", errno: "EHOSTUNREACH" } });
  const quoted = packet(8, true);
  const error = { ...quoted, protocol: "icmp error", source: "203.0.113.254" } as const;
  const came: Sighting = {
    ...{ at: "wan0", direction: "in", length: 60 },
    packet: { ...error, flags, code, quoted },
  };
  return { ...e, sightings: [...e.sightings, came] };
}

function sighting(at: string, protocol: Sighting["packet"]["protocol"], target: string): Sighting {
  return { at, direction: "out", packet: { ...packet(8, true), protocol, target }, length: 60 };
}

function port(world: World) {
  const attached = world.scene().interfaces[0]!;
  const mapping = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
  return {
    topic: "port" as const,
    protocol: "tcp" as const,
    port: 8080,
    realPort: 80,
    realDestination: "10.1.0.2",
    mapped: {
      ends: { attached },
      mapping,
      address: attached.expected[0]!,
      at: "203.0.113.1",
      mapper: {},
    } as never,
  };
}

for (const [what, find, found] of CASES) {
  Deno.test(`the cause is named: ${what}`, async () => {
    const causes = await find(new World());
    assertEquals(short(causes[0]!), found);
    for (const one of causes) {
      const said = [textOf(one), remedyOf(one), adviceOf(one), one.fix?.removes].join("\n");
      assert(!/undefined|NaN|\S {2}\S/.test(said), said);
    }
  });
}

Deno.test("an address of its own subnet that nobody has is said to be so", async () => {
  const asked = sighting("eth0 of web", "arp request", "10.1.9.9");
  const of = { neighbours: ["10.1.9.9"], destination: "10.1.9.9" };
  const [first] = await explain(new World().evidence(0, { about: () => [asked] }, of));
  assertEquals(
    first && textOf(first),
    "nobody answers web who has 10.1.9.9, which lies in its own subnet 10.1.0.0/16 of net",
  );
});

Deno.test("a proxy is known by its variable, without who asks it", () => {
  assertEquals(
    proxiesIn([
      "http_proxy=http://198.51.100.9:3128",
      "HTTPS_PROXY=web:se:cr@t@proxy.example:8080/",
      "all_proxy=socks5h://[2001:db8::1]:1080",
      "ftp_proxy=proxy.example",
      "no_proxy=db.example:80",
      "",
    ].join("\0")),
    [
      { variable: "http_proxy", host: "198.51.100.9", port: 3128 },
      { variable: "HTTPS_PROXY", host: "proxy.example", port: 8080 },
      { variable: "all_proxy", host: "2001:db8::1", port: 1080 },
    ],
  );
});

Deno.test("who has the same hardware address is looked for on the same bridge alone", async () => {
  const scene = new World().scene();
  const on = (id: string, bridge: string, ...ifNames: string[]) => {
    const attachments = ifNames.map((ifName) => ({
      ifName,
      plugins: [{ type: "bridge", bridge }],
    }));
    return { id, attachments } as never as Container;
  };
  const asked: string[] = [];
  const macsOf = ({ id }: Container) => {
    asked.push(id);
    return new Map([["eth1", "02:00:00:00:00:05"]]);
  };
  const look = (...containers: Container[]) => {
    Object.assign(scene.agent, { macsOf, containers });
    return sharedMacs(scene);
  };
  assertEquals(await look(on("far", "br9", "eth1"), on("near", "br0", "eth0")), []);
  assertEquals(asked, ["near"]);
  assertEquals((await look(on("twin", "br0", "eth0", "eth1"))).map(({ other }) => other), ["twin"]);
});

Deno.test("a port is led on for anybody, and of an address that is not the agent's by a rule that names it", () => {
  const at = { address: "203.0.113.9", port: 8080, protocol: "tcp" } as const;
  const one = led("10.1.0.2", 80);
  assertEquals(leadsOn(one, at, true), true);
  assertEquals(leadsOn(one, at, false), false);
  assertEquals(leadsOn({ ...one, hostAddress: at.address }, at, false), true);
  assertEquals(leadsOn({ ...one, hostAddress: "203.0.113.8" }, at, true), false);
  assertEquals(leadsOn({ ...one, isNarrow: true }, at, true), false);
});

Deno.test("who has no IPv4 may do without 127.0.0.1", () => {
  const levelOf = (...addresses: Address[]) => {
    const world = new World();
    world.inside.addresses = addresses;
    return readLinks(world.scene()).causes.map(({ level }) => level);
  };
  assertEquals(levelOf(address(1, "::1/128"), address(5, "10.1.0.2/16")), ["problem"]);
  assertEquals(levelOf(address(1, "::1/128"), address(5, "2001:db8::2/64")), ["hint"]);
});

Deno.test("an error of ICMP for who asks a port is none of the container's way", async () => {
  const world = new World();
  const { sightings } = refusedBy(world, 3, 13);
  const found = async (...question: Parameters<World["evidence"]>[2][]) =>
    (await hopsAnswer(world.evidence(4, { sightings }, ...question))).length;
  assertEquals([await found(), await found(port(world))], [1, 0]);
});

Deno.test("a bridge loses its subnet only where something else leads there", () => {
  const fixOf = (...routes: Route[]) => {
    const world = new World();
    world.host.routes.push(...routes);
    world.host.links.push(link(9, "docker0", { kind: "bridge" }));
    world.host.addresses.push(address(9, "172.17.0.1/16"));
    return subnetTaken(world.scene(), world.host.link("docker0")!, "172.17.0.5")?.fix?.commands;
  };
  assertEquals(fixOf(), undefined);
  assertEquals(fixOf(route("default", 4, { gateway: "203.0.113.2" })), [
    ["ip", "address", "del", "172.17.0.1/16", "dev", "docker0"],
  ]);
});

Deno.test("an environment that somebody made long is read in no time", () => {
  const begun = performance.now();
  for (const [first, more] of [["", "\0"], ["a://", "a"], ["", "@"], ["", "a@"], ["[", "[@["]]) {
    assertEquals(proxiesIn(`http_proxy=${first}${more!.repeat((128 << 10) / more!.length)}`), []);
  }
  assertEquals(proxiesIn("http_proxy=".repeat(10_000)), []);
  assert(performance.now() - begun < 1000);
});

Deno.test("a proxy inside the container that nobody offers is a hint, and one elsewhere none", () => {
  const refused = failed({ kind: "errno", errno: "ECONNREFUSED" });
  const of = (address: string) =>
    ofOwn(refused, { address, port: 3128, protocol: "tcp" }, "http_proxy");
  assertEquals(of("198.51.100.9"), refused);
  const { outcome, hints } = of("127.0.0.1");
  assertEquals([outcome, hints?.map((one) => [one.level, textOf(one)])], ["unasked", [[
    "hint",
    "127.0.0.1 refuses: nothing there listens on 3128/tcp, which http_proxy in the environment names as a proxy",
  ]]]);
});

Deno.test("a rule that counts who asks is named, and not taken away: a diagnosis itself may be in its list", async () => {
  const world = new World();
  const dropped = async (match: string) => {
    const e = world.evidence(3, { rules: [met("drop")] });
    const known = await e.ruleOf(e.rules[0]!);
    const ref = { ...known.ref, text: `-A FORWARD ${match} -j DROP` };
    const [first] = await explain({ ...e, ruleOf: () => Promise.resolve({ ...known, ref }) });
    return [first!.code, first!.fix === undefined];
  };
  assertEquals(await dropped("-m recent --update --seconds 600 --hitcount 10"), [
    "rule_drop",
    true,
  ]);
  assertEquals(await dropped("-m statistic --mode random"), ["rule_drop", false]);
});

Deno.test("`::` that takes IPv4 too is no listener elsewhere", async () => {
  const world = new World();
  world.listeners = [{ ...LISTENER, only6: false }];
  const causes = await explain(world.evidence(4, { failure: { kind: "refused" } }, port(world)));
  assertEquals(causes.map(({ code }) => code).includes("listens_elsewhere"), false);
});

Deno.test("what was seen speaks against a finding", () => {
  const of = (code: Code, values: Values, place: Cause["place"] = "bridge", seen: Proof[] = []) =>
    cause(code, ["link", place], values, seen);
  const reply = { ...sighting("eth0 of web", "arp reply", "10.1.0.1"), direction: "in" as const };
  const about = () => [sighting("eth0 of web", "arp request", "10.1.0.1"), reply];
  const cases: [Cause, number, Partial<Evidence>, boolean][] = [
    [of("bridge_down", { device: "br0" }), 4, {}, true],
    [of("bridge_down", { device: "br0" }), 2, {}, false],
    // Off its bridge, packets come in by it all the same, and answers do not go out.
    [of("veth_off_bridge", { device: "veth1" }, "host-veth"), 4, {}, false],
    [of("interface_down", { device: "eth0" }, "container"), 3, {}, true],
    [of("interface_down", { device: "eth0" }, "container"), 0, {}, false],
    [of("gateway_silent", { address: "10.1.0.1" }), 0, { about }, true],
    [of("gateway_silent", { address: "10.1.0.1" }), 0, {}, false],
    [of("address_lost", { address: "10.1.0.2/16" }), 1, {}, true],
    [of("address_lost", { address: "10.1.0.3/16" }), 1, {}, false],
    [of("outside_silent", {}), 5, {}, true],
    [of("outside_silent", {}), 4, {}, false],
    [of("wrong_mac", { mac: "a", wanted: "b, a" }), 0, {}, true],
    [of("mtu_too_small", { mtu: 1500, bytes: 60 }), 0, {}, true],
    [
      of("forwarding_off", {}, "agent", [{ setting: "net.ipv4.ip_forward", value: "0" }]),
      0,
      {},
      true,
    ],
    [
      of("forwarding_off", {}, "agent", [{ setting: "net.ipv4.ip_forward", value: "1" }]),
      0,
      {},
      false,
    ],
  ];
  for (const [one, hops, more, isAgainst] of cases) {
    assertEquals(isContradicted(one, new World().evidence(hops, more)), isAgainst, one.code);
  }
});

Deno.test("of what a container has made for itself nothing is taken away", () => {
  const fix = { commands: [["x"]] };
  const of = (mechanism: Cause["mechanism"], place: Cause["place"]) =>
    cause("rule_drop", [mechanism, place], {}, [], fix).fix;
  assertEquals([of("iptables", "container"), of("tc", "neighbour")], [undefined, undefined]);
  assertEquals([of("iptables", "agent"), of("route", "container")], [fix, fix]);
});

Deno.test("a trail says where a packet was seen last and where it never was", () => {
  const lines = [0, 2, 4, 8].map((hops) => trailText(new World().evidence(hops).trail));
  assertEquals(lines[0], "it was seen nowhere; never seen leaving by eth0 of web");
  assertEquals(
    lines[1],
    "seen leaving by eth0 of web, arriving on veth1; never seen arriving on br0",
  );
  assert(lines[2]!.endsWith("; never seen the answer arriving on wan0"), lines[2]);
  assert(lines[3]!.endsWith("; seen at every hop"), lines[3]);
  const places = [0, 1, 2, 3, 4, 5].map((hops) => new World().evidence(hops).trail.place);
  assertEquals(places, ["container", "host-veth", "bridge", "agent", "outside", "agent"]);
});

Deno.test("each code has a sentence without a gap, and a remedy or commands", () => {
  const values = {
    container: "web",
    network: "net",
    family: 4,
    device: "eth0",
    other: "other",
    address: "10.1.0.2",
    wanted: "10.1.0.3",
    gateway: "10.1.0.1",
    mac: "02:00:00:00:00:01",
    port: "80/tcp",
    setting: "net.ipv4.ip_forward",
    value: "0",
    route: "default",
    file: "/f",
    bytes: 1500,
    why: "so",
    mtu: 1400,
    rule: { program: "nft", family: "inet", table: "t", chain: "c", text: "drop" },
  } as const;
  const bare = { ...values, why: undefined, other: undefined, device: undefined };
  for (const key of [...CODES, ...VARIANTS]) {
    const [code, why] = key.split(/[/+]/) as [Code, string?];
    const own = key.includes("/") ? { ...values, why } : key.includes("+") ? values : bare;
    const one = cause(code, ["route", "agent"], own, [], { commands: [["true"]] });
    const text = textOf(one) + wordsOf(code, { ...one, ...values, why: own.why }).join();
    assert(!/[{}[\]]|\[object/.test(text.replace('"routes": [{ "dst": "0.0.0.0/0" }]', "")), text);
    assert(!text.includes(" | "), text);
  }
});

Deno.test("a sentence is chosen by what a cause is about, and leaves out what it has not", () => {
  const said = (code: Code, about: Values) => wordsOf(code, about).join(" | ");
  const rule = { program: "nft", family: "inet", table: "t", chain: "c", text: "tcp drop" };
  const cases: [string, Code, Values][] = [
    ["ARP is off on eth0 of web: ", "noarp", { device: "eth0", container: "web" }],
    ["ARP is off on br0: ", "noarp", { device: "br0" }],
    ["br0, the agent's way out, is a bridge without a port", "no_carrier", {
      device: "br0",
      other: "",
      why: "no port",
    }],
    ["10.1.0.2 of web is also container db's", "duplicate_address", {
      address: "10.1.0.2",
      container: "web",
      other: "db",
    }],
    ["10.1.0.2 of web is also somebody else's", "duplicate_address", {
      address: "10.1.0.2",
      container: "web",
    }],
    ["a rule of nft inet t c drops the packet: tcp drop | delete it", "rule_drop", { rule }],
    ["a rule of nft inet t c in web drops ARP: tcp drop | it was made inside", "rule_drop", {
      rule,
      container: "web",
      why: "ARP",
    }],
  ];
  for (const [begins, code, about] of cases) {
    assertEquals(said(code, about).slice(0, begins.length), begins);
  }
});

Deno.test("a cause that several questions met is said once, and what nothing explains follows it", () => {
  const down = cause("bridge_down", ["link", "bridge"], { device: "br0" }, ["one"], {
    commands: [["a"]],
  });
  const again = { ...down, seen: ["two"], fix: { commands: [["a"], ["b"]] } };
  const lost = cause("lost", ["bridge-port", "bridge"], {
    container: "web",
    value: "it",
    why: "gone",
  });
  const read = cause("ipam_lost", ["state", "agent"], { container: "web", address: "10.1.0.2" });
  const merged = mergeCauses([lost, down, again], [read]);
  assertEquals(merged.map(({ code, consequenceOf }) => [code, consequenceOf]), [
    ["bridge_down", undefined],
    ["ipam_lost", undefined],
    ["lost", "bridge_down"],
  ]);
  assertEquals(merged[0]!.seen, ["one", "two"]);
  assertEquals(merged[0]!.fix!.commands, [["a"], ["b"]]);
});

Deno.test("containers with one cause are one group, and the agent's causes come first", () => {
  const off = cause("forwarding_off", ["sysctl", "agent"], {
    family: 4,
    setting: "net.ipv4.ip_forward",
  });
  const down = (container: string) =>
    cause("interface_down", ["link", "container"], { container, device: "eth0" });
  const row = (id: string, ...causes: Cause[]): Row => ({
    id,
    diagnosis: { name: id, healthy: causes.length === 0, asked: [], causes },
  });
  const groups = groupsOf([off], [
    row("a", off),
    row("b", down("b")),
    row("c", down("c")),
    row("d", off),
    row("e"),
    { id: "f", error: "gone" },
  ]);
  assertEquals(groups.map(({ cause, ids, isAgents }) => [cause.code, ids, isAgents]), [
    ["forwarding_off", ["a", "d"], true],
    ["interface_down", ["b", "c"], false],
  ]);
});

Deno.test("in haste one of each cause is asked, then those that read well, then who has what another had", () => {
  const ill = (code: "interface_down" | "address_lost", container: string) =>
    cause(code, ["link", "container"], { container, device: "eth0" });
  const rows = [
    [],
    [ill("interface_down", "b")],
    [ill("interface_down", "c")],
    [],
    [ill("address_lost", "e")],
    [ill("interface_down", "f"), ill("address_lost", "f")],
  ].map((causes, i): Row => ({
    id: `${i}`,
    diagnosis: { name: `${i}`, healthy: causes.length === 0, asked: [], causes },
  }));
  // Of the last one there was no time to read anything.
  rows.push({ id: "6", error: "late" });
  const order = [1, 4, 0, 3, 6, 2, 5];
  assertEquals(inHaste([...rows.keys()], rows, []), order);
  // What is wrong with the agent stands with each of its containers, and makes none of them known.
  const agents = cause("forwarding_off", ["sysctl", "agent"], { family: 4 });
  for (const { diagnosis } of rows) diagnosis?.causes.unshift(agents);
  const facts = [{ name: "the agent forwards", causes: [agents], saw: "0" }];
  assertEquals(inHaste([...rows.keys()], rows, facts), order);
  assertEquals(inHaste([...rows.keys()], rows, []), [0, 6, 1, 2, 3, 4, 5]);
});

Deno.test("an answer that went to the wrong hardware address is told of who sent it, and for whom", async () => {
  const world = new World();
  const scene = world.scene();
  const ends = endsOf(scene, scene.interfaces[0]!)!;
  const eth = link(6, "eth0", { mac: "02:00:00:00:00:66" });
  const far = { ...ends, eth: stopOf(eth, "neighbour", "/other", "web-2"), veth: undefined };
  const e = world.evidence(4, {}, { topic: "followed", journey: between(ends, far) });
  const journey = between(ends, far);
  const sightings = journey.legs.slice(0, -1).map(({ stop, direction, way }): Sighting => ({
    at: stop.name,
    direction,
    packet: packet(way === "there" ? 8 : 0, way === "there"),
    length: 60,
    to: way === "there" ? eth.mac : "02:00:00:00:00:99",
  }));
  const [found] = await explain({ ...e, trail: trailOf(journey, sightings, TOKEN), sightings });
  assertEquals(
    [found!.code, found!.container, found!.address, found!.wanted],
    ["wrong_mac", "web-2", "10.1.0.2", ends.eth.link.mac],
  );
});

Deno.test("a bridge that speaks STP takes no state for its port, so no command is printed", async () => {
  for (const [speaks, commands] of [[false, 1], [true, 0]] as const) {
    const world = new World();
    world.ports[0]!.state = "listening";
    if (speaks) world.vlans.spanning.add(2);
    const [found] = await to(2)(world);
    assertEquals([found!.code, found!.fix?.commands.length ?? 0], ["port_state", commands]);
    assertEquals(textOf(found!).includes("STP"), speaks);
  }
});

Deno.test("where the agent is answered and a container with a hardware address of its own is not, that is said", async () => {
  const macvlan = { kind: "macvlan", peerIndex: 4 };
  for (
    const [eth, isSaid] of [
      [{}, false],
      [macvlan, true],
      // In the mode passthru it has the address of the device below.
      [{ ...macvlan, mac: "02:00:00:00:00:04" }, false],
    ] as const
  ) {
    const world = new World();
    world.ofAgent = "answered";
    world.checkpoint.plugins[0]!.ipMasq = false;
    const e = world.evidence(4);
    Object.assign(world.inside.links[1]!, eth);
    const [found] = await explain(e);
    assertEquals([found!.code, found!.why === "its own hardware address"], [
      "outside_silent",
      isSaid,
    ]);
  }
  // It left by another interface.
  const world = new World();
  world.ofAgent = "answered";
  world.checkpoint.plugins[0]!.ipMasq = false;
  const e = world.evidence(4);
  world.inside.links.push(link(7, "eth1", macvlan));
  const second = { ...e.scene.interfaces[0]!, ifName: "eth1", link: world.inside.link("eth1") };
  e.scene.interfaces.push(second);
  const [found] = await explain(e);
  assertEquals([found!.code, found!.why], ["outside_silent", "the agent alone"]);
});

Deno.test("a program at a cgroup is the container's where the container's socket answered", async () => {
  const drops = (isThere: boolean, device: string) => [
    { reason: "BPF_CGROUP_EGRESS", device, packet: packet(isThere ? 8 : 0, isThere) },
  ];
  const told = async (isThere: boolean, device: string) => {
    const [found] = await explain(new World().evidence(0, { drops: drops(isThere, device) }));
    return [found!.code, found!.container];
  };
  assertEquals(await told(true, "eth0"), ["cgroup_drop", undefined]);
  assertEquals(await told(false, "eth0"), ["cgroup_drop", "web"]);
  assertEquals(await told(false, "br0"), ["cgroup_drop", undefined]);
});

Deno.test("a way out that is a bridge waits for a port that leads out, and for no other", () => {
  const told = (states: Record<string, BridgePort["state"]>) => {
    const world = new World();
    Object.assign(world.host.links[3]!, { kind: "bridge" });
    Object.entries(states).forEach(([name, state], i) => {
      world.host.links.push(link(6 + i, name, { kind: "veth", master: 4, peerNamespaceId: 1 }));
      world.ports.push({ ...world.ports[0]!, index: 6 + i, master: 4, state });
    });
    world.checkpoint.result.interfaces.push({ name: "veth9" } as never);
    return withoutPort(world.evidence(0), world.host.links[3]!).map(({ device }) => device);
  };
  assertEquals(told({ wan1: "listening" }), ["wan1"]);
  assertEquals(told({ wan1: "blocking", wan2: "forwarding" }), []);
  assertEquals(told({ veth9: "listening", wan1: "forwarding" }), []);
  assertEquals(told({ veth9: "listening" }), []);
  assertEquals(told({ veth9: "forwarding", wan1: "listening" }), ["wan1"]);
});

Deno.test("reserved ports are named where the kernel would give them out", async () => {
  const failure = { kind: "ephemeral", outcome: "EADDRNOTAVAIL" } as never;
  for (
    const [reserved, said] of [
      ["8080,50000-50100", undefined],
      ["8080,33500-34000", "33500-34000"],
      ["32000-40000", "32000-40000"],
      ["", undefined],
    ] as const
  ) {
    const world = new World();
    world.inside.settings["ipv4/ip_local_port_range"] = "33000\t33999";
    world.inside.settings["ipv4/ip_local_reserved_ports"] = reserved;
    const [found] = await explain(world.evidence(0, { failure }));
    assertEquals([found!.code, found!.why], ["local_ports_used_up", said]);
    const isNone = readOwnLimits(world.scene()).causes.length > 0;
    assertEquals(isNone, reserved === "32000-40000");
  }
});

Deno.test("whoever has no port left is who connects", async () => {
  const world = new World();
  const failure = { kind: "ephemeral", outcome: "EADDRNOTAVAIL" } as never;
  const journey = { ...world.evidence(0).question.journey, from: "agent" } as const;
  const [found] = await explain(world.evidence(0, { failure }, { journey }));
  assertEquals([found!.place, found!.container], ["agent", undefined]);
});

Deno.test("an answer that comes while its loss is explained is late, and not lost", async () => {
  const world = new World();
  world.checkpoint.plugins[0]!.ipMasq = false;
  const [e, whole] = [world.evidence(4), world.evidence(8)];
  assertEquals((await explain(e)).map(({ code }) => code), ["outside_silent"]);
  assertEquals(await explain({ ...e, seenByNow: () => whole.sightings }), []);
  const after = async (ms: number, late = { ...world.evidence(8), failure: e.failure }) => {
    late.trail.seen.forEach((one, i) => one!.ms = i < 4 ? 0 : ms);
    return (await explain(late)).map(({ code, place, value }) => [code, place, value]);
  };
  assertEquals(await after(1600), [["answer_late", "outside", "1.6 s"]]);
  assertEquals(await after(999), []);
  // Who had hung up by then is reset, and the kernel says so of the reset.
  const reset = { reason: "TCP_RESET", device: "", packet: e.trail.sighting!.packet } as never;
  const hungUp = { ...world.evidence(8), failure: e.failure, drops: [reset] };
  assertEquals((await after(1600, hungUp)).length, 1);
  assertEquals((await after(1600, hungUp))[0]![0], "answer_late");
});

Deno.test("without a default route the agent is told so, and not what each address lacks", async () => {
  const said = async (...more: ReturnType<typeof route>[]) => {
    const world = new World();
    world.host.routes.push(...more);
    const asked = { destination: "198.51.100.9" };
    const [found] = await explain(world.evidence(3, {}, asked));
    return [found!.code, found!.why];
  };
  assertEquals(await said(), ["no_host_route", "no default"]);
  const byDefault = route("default", 4, { gateway: "203.0.113.2" });
  assertEquals(await said(byDefault), ["no_host_route", "ENETUNREACH"]);
});

Deno.test("an agent without a way out of a family is meant so where it has no address of it, or a site's own", () => {
  const lost = (own: string[], more: string[] = [], by4 = "default", flags = ["permanent"]) => {
    const world = new World();
    const { host, checkpoint } = world;
    host.addresses.push(...own.map((one) => address(4, one, { flags })));
    host.routes.push(route(by4, 4, { gateway: "203.0.113.2" }));
    host.routes.push(...more.map((gateway) => route("default", 4, { family: "inet6", gateway })));
    checkpoint.result.ips.push({ address: "fd00:1::2/64", gateway: "fd00:1::1" });
    checkpoint.result.routes.push({ dst: "::/0" });
    return readUplinks(world.scene().agent as never).causes.map(({ code }) => code);
  };
  assertEquals(lost([]), []);
  assertEquals(lost(["fd00:9::1/64"]), []);
  assertEquals(lost(["2001:db8:113::1/64"], ["fe80::1"]), []);
  assertEquals(lost(["2001:db8:113::1/64"]), ["no_host_route"]);
  assertEquals(lost(["2001:db8:113::1/64"], [], "192.0.2.0/24"), []);
  assertEquals(lost(["2001:db8:113::1/64"], [], "192.0.2.0/24", []), ["no_host_route"]);
});

Deno.test("queues that pass what comes, and ports of bridges that know who has joined a group, are well", () => {
  const world = new World();
  const said = (more: Partial<Queue>) => {
    const { link: _, ...one } = queue(4, more);
    return slow(world.scene(), { ...one, link: world.host.link("wan0")! }).map(({ why }) => why);
  };
  // Full for a moment, as every queue of a fast rate; as slow as was asked for; a link of another continent.
  assertEquals(said({ kind: "tbf", rate: 2_500_000, drops: 400 }), []);
  assertEquals(said({ kind: "tbf", rate: 1000 }), []);
  assertEquals(said({ kind: "netem", delay: 90, loss: 0 }), []);
  assertEquals(said({ kind: "netem", delay: 0, loss: 0.3 }), ["it drops 30 of 100 packets"]);
  assertEquals(said({ kind: "netem", delay: 800, loss: 0 }), ["it keeps each packet for 800 ms"]);
  world.ports[0]!.multicastFlood = false;
  world.vlans.snooping.add(2);
  assertEquals(readBridges(world.scene()).causes, []);
});

const queue = (link: number, more: Partial<Queue>): Queue => ({
  ...{ link, kind: "tbf", handle: "1:", drops: 0, held: 0, ...more },
});

Deno.test("a link needs no route to its subnet by which its neighbours are reached all the same", () => {
  const lost = (change: (inside: World["inside"]) => void) => {
    const { inside } = new World();
    inside.routes.shift();
    change(inside);
    return subnetsWithoutRoute(inside, inside.links[1]!, 4).map(({ address }) => address);
  };
  assertEquals(lost(() => {}), ["10.1.0.2"]);
  // A table that a policy rule chooses, a wider route, and an address that was to have none.
  assertEquals(lost(({ routes }) => routes.push(route("10.1.0.0/16", 5, { table: "200" }))), []);
  assertEquals(lost(({ routes }) => routes.push(route("10.0.0.0/8", 5))), []);
  const flags = ["noprefixroute"];
  assertEquals(lost((inside) => inside.addresses[1] = address(5, "10.1.0.2/16", { flags })), []);
});

Deno.test("a gateway whose mask leaves out others is no fault of a container in its network", () => {
  const masked = (text: string) => {
    const world = new World();
    world.host.addresses[0] = address(2, text);
    const scene = world.scene();
    return gatewayCauses(scene, scene.interfaces[0]!, 4).map(({ code }) => code);
  };
  assertEquals(masked("10.1.0.1/24"), []);
  assertEquals(masked("10.1.0.1/32"), ["gateway_mask"]);
});

Deno.test("limits that may be meant so are hints, until something is lost by them", () => {
  const { host } = new World();
  const told = (causes: readonly Cause[]) =>
    causes.map(({ code, level, fix }) => [code, level, !!fix]);
  const read = () => told(readAgentsLimits({ host }).causes);
  host.settings["ipv6/ip6frag_high_thresh"] = "0";
  assertEquals(read(), [["fragments_lost", "hint", false]]);
  host.files["net/snmp6"] = "Ip6ReasmReqds   3\nIp6ReasmFails   2\n";
  assertEquals(read(), [["fragments_lost", "problem", true]]);
  delete host.settings["ipv6/ip6frag_high_thresh"];
  host.settings["netfilter/nf_conntrack_udp_timeout"] = "2";
  host.settings["netfilter/nf_conntrack_tcp_timeout_established"] = "300";
  assertEquals(read(), [["conntrack_timeout", "hint", false]]);
  assertEquals(told(forgetful(host, "udp")), [["conntrack_timeout", "problem", true]]);
  assertEquals(forgetful(host, "udp")[0]!.fix!.commands, [
    ["sysctl", "-w", "net.netfilter.nf_conntrack_udp_timeout=30"],
  ]);
  host.settings["netfilter/nf_conntrack_udp_timeout"] = "1";
  assertEquals(read(), [["conntrack_timeout", "problem", true]]);
  delete host.settings["netfilter/nf_conntrack_udp_timeout"];
  assertEquals(read(), []);
  // Whoever has a connection pauses for as long as he likes.
  host.settings["netfilter/nf_conntrack_tcp_timeout_established"] = "20";
  assertEquals(read(), [["conntrack_timeout", "problem", true]]);
  assertEquals(forgetful(host)[0]!.fix!.commands, [
    ["sysctl", "-w", "net.netfilter.nf_conntrack_tcp_timeout_established=600"],
  ]);
});
