/** What rtnetlink is decoded to equals what iproute2 prints, in a namespace with many kinds. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { networkCookie } from "../../lib/kernel/socket.ts";
import { inodeOf } from "../../lib/kernel/proc.ts";
import { isInNetworkOf, Sight, viewpoint } from "../../lib/netlink/sight.ts";
import { addressBytes } from "../../lib/base/ip.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { type Link, Netlink } from "../../lib/netlink/mod.ts";
import { addAddress } from "../../lib/netlink/address_changes.ts";
import { deleteLink, setLink } from "../../lib/netlink/link_changes.ts";
import { addRoute } from "../../lib/netlink/route_changes.ts";
import { Refusal } from "../../lib/netlink/socket.ts";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";
import { crowdedNetwork } from "../harness/crowded_network.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { until } from "../harness/service.ts";

// deno-lint-ignore no-explicit-any
type Printed = any;

const COUNTERS = {
  rxPackets: ["rx", "packets"],
  txPackets: ["tx", "packets"],
  rxBytes: ["rx", "bytes"],
  txBytes: ["tx", "bytes"],
  rxErrors: ["rx", "errors"],
  txErrors: ["tx", "errors"],
  rxDropped: ["rx", "dropped"],
  txDropped: ["tx", "dropped"],
  multicast: ["rx", "multicast"],
  collisions: ["tx", "collisions"],
} as const;

kernelTest("links, addresses, routes, rules and neighbours equal those of ip -j", async () => {
  await using agent = await Sandbox.create();
  await crowdedNetwork(agent);
  const ip = async (...args: string[]): Promise<Printed[]> =>
    JSON.parse(await agent.ok(["ip", "-j", ...args]));
  using netlink = Netlink.open(`/proc/${agent.pid}/ns/net`);
  const links = netlink.links();
  const nameOf = (index: number | undefined) => links.find((link) => link.index === index)?.name;

  const printedLinks = await ip("-s", "-d", "link");
  assertEquals(links.length, printedLinks.length);
  for (const [i, printed] of printedLinks.entries()) {
    const link = links[i]!;
    assertEquals(link.name, printed.ifname);
    assertEquals(link.index, printed.ifindex);
    // iproute2 adds NO-CARRIER, which is no flag of the kernel's, and M-DOWN.
    assertEquals(link.flags, printed.flags.filter((f: string) => !/NO-CARRIER|M-DOWN/.test(f)));
    assertEquals(link.mtu, printed.mtu);
    assertEquals(link.operState, printed.operstate);
    assertEquals(link.kind === "loopback" ? undefined : link.kind, printed.linkinfo?.info_kind);
    assertEquals(link.mac, printed.address);
    assertEquals(nameOf(link.master), printed.master);
    assertEquals(
      link.peerNamespaceId === undefined ? nameOf(link.peerIndex || undefined) : link.peerIndex,
      printed.link ?? printed.link_index,
    );
    for (const [ours, [side, theirs]] of Object.entries(COUNTERS)) {
      assertEquals(
        link.statistics[ours as keyof Link["statistics"]],
        printed.stats64[side][theirs],
        `${link.name} ${ours}`,
      );
    }
  }

  const printedAddresses = (await ip("address")).flatMap((link: Printed) =>
    link.addr_info.map((info: Printed) => ({
      link: link.ifname,
      family: info.family,
      address: info.local ?? info.address,
      prefixLength: info.prefixlen,
      scope: info.scope,
      broadcast: info.broadcast,
      peer: info.local ? info.address : undefined,
    }))
  );
  assert(printedAddresses.length > 500);
  assertEquals(
    sorted(
      netlink.addresses().map(({ flags: _, ...address }) => ({
        ...address,
        link: nameOf(address.link),
      })),
    ),
    sorted(printedAddresses),
  );

  for (const family of ["inet", "inet6"] as const) {
    const option = family === "inet" ? "-4" : "-6";
    const printedRoutes = await ip("-d", option, "route", "show", "table", "all");
    assertEquals(
      sorted(
        netlink.routes().filter((route) => route.family === family).map((route) => ({
          destination: route.destination,
          type: route.type,
          table: route.table,
          gateway: route.gateway,
          link: nameOf(route.link),
          source: route.source,
          metric: route.metric ?? 0,
          mtu: route.mtu,
          protocol: route.protocol,
          flags: route.flags,
          hops: route.hops?.map((hop) => ({ ...hop, link: nameOf(hop.link) })),
        })),
      ),
      sorted(printedRoutes.map((route) => ({
        destination: withLength(route.dst, family),
        type: route.type,
        table: route.table ?? "main",
        gateway: route.gateway ?? route.via?.host,
        link: route.dev,
        source: route.prefsrc,
        metric: route.metric ?? 0,
        mtu: route.metrics?.[0]?.mtu,
        protocol: route.protocol,
        flags: route.flags,
        hops: route.nexthops?.map((hop: Printed) => ({
          gateway: hop.gateway,
          link: hop.dev,
          weight: hop.weight,
          flags: hop.flags,
        })),
      }))),
    );
    const printedRules = await ip(option, "rule");
    assertEquals(
      sorted(
        netlink.rules().filter((rule) => rule.family === family)
          .map(({ priority, from, table, mark }) => ({ priority, from, table, mark })),
      ),
      sorted(printedRules.map((rule) => ({
        priority: rule.priority,
        from: rule.src === "all" ? "all" : withLength(
          rule.srclen === undefined ? rule.src : `${rule.src}/${rule.srclen}`,
          family,
        ),
        table: rule.table,
        mark: rule.fwmark && `${rule.fwmark}/${rule.fwmask ?? "0xffffffff"}`,
      }))),
    );
  }

  assertEquals(
    sorted(
      netlink.neighbours().filter((neighbour) => neighbour.state !== "NOARP").map((n) => ({
        link: nameOf(n.link),
        address: n.address,
        mac: n.mac,
        state: n.state,
      })),
    ),
    sorted((await ip("neighbour")).map((n: Printed) => ({
      link: n.dev,
      address: n.dst,
      mac: n.lladdr,
      state: n.state[0],
    }))),
  );

  // The compiled program shows the same, and /proc/net has the same counters.
  const inspect = [MESOS_CNI, "netns", "inspect", `--pid=${agent.pid}`, "--json"];
  const shown = JSON.parse(await agent.ok(inspect));
  const { addresses, routes, rules, neighbours } = shown;
  assertEquals(
    { links: shown.links, addresses, routes, rules, neighbours },
    JSON.parse(JSON.stringify({
      links,
      addresses: netlink.addresses(),
      routes: netlink.routes(),
      rules: netlink.rules(),
      neighbours: netlink.neighbours(),
    })),
  );
  const counted = (await agent.ok(["cat", "/proc/net/dev"])).trim().split("\n").slice(2).map(
    (line) => {
      const [name, ...numbers] = line.trim().split(/[:\s]+/);
      const [rxBytes, rxPackets, rxErrors, rxDropped] = numbers.map(Number);
      const [txBytes, txPackets, txErrors, txDropped] = numbers.slice(8).map(Number);
      return [
        name,
        rxBytes,
        rxPackets,
        rxErrors,
        rxDropped,
        txBytes,
        txPackets,
        txErrors,
        txDropped,
      ];
    },
  );
  assertEquals(
    shown.links.map(({ name, statistics: s }: Link) => [
      ...[name, s.rxBytes, s.rxPackets, s.rxErrors, s.rxDropped],
      ...[s.txBytes, s.txPackets, s.txErrors, s.txDropped],
    ]).sort(),
    counted.sort(),
  );
});

kernelTest("an interface is brought up, addressed and routed in another namespace", async () => {
  await using agent = await Sandbox.create();
  await agent.ok(["ip", "link", "add", "name", "a", "type", "veth", "peer", "name", "b"]);
  await agent.ok(["ip", "link", "add", "br9", "type", "bridge"]);
  using netlink = Netlink.open(`/proc/${agent.pid}/ns/net`);
  for (const name of ["a", "b", "br9"]) netlink.setLinkUp(name);
  const [a, b, bridge] = ["a", "b", "br9"].map((name) => netlink.link(name).index);
  netlink.change(setLink(a!, "a", { mtu: 1400 }));
  netlink.change(setLink(b!, "b", { master: bridge }));
  for (const [address, prefixLength] of [["198.51.100.2", 24], ["2001:db8::2", 64]] as const) {
    netlink.change(addAddress(a!, "a", { bytes: addressBytes(address), prefixLength }));
  }
  netlink.change(defaultRoute("198.51.100.1", netlink.link("a").index));
  const link = netlink.link("a");
  assertEquals([link.flags.includes("UP"), link.mtu, link.kind], [true, 1400, "veth"]);
  assertEquals(netlink.link("b").master, netlink.link("br9").index);
  const route = netlink.routeTo("192.0.2.1");
  assertEquals([route.gateway, route.source], ["198.51.100.1", "198.51.100.2"]);
  // From then on the kernel refuses flags that it does not know.
  netlink.addressesOf(a!);
  const multipath = [
    ["192.0.2.0/24", "192.0.2.1", "198.51.100.7", "198.51.100.8"],
    ["2001:db8:9::/48", "2001:db8:9::1", "2001:db8::7", "2001:db8::8"],
  ] as const;
  for (const [to, address, ...hops] of multipath) {
    const all = hops.flatMap((one) => ["nexthop", "via", one, "dev", "a"]);
    await agent.ok(["ip", to.includes(":") ? "-6" : "-4", "route", "add", to, ...all]);
    const entry = netlink.routeEntryTo(address);
    // Of IPv6 the one that was chosen comes first.
    const gateways = entry.hops?.map(({ gateway }) => gateway).toSorted();
    assertEquals([entry.destination, gateways], [to, hops]);
    assertEquals(netlink.routeTo(address).table, "main");
    const family = to.includes(":") ? "-6" : "-4";
    const own = to.includes(":") ? "2001:db8:7::5" : "10.7.0.5";
    await agent.ok(["ip", family, "rule", "add", "from", own, "lookup", "77"]);
    await agent.ok(["ip", family, "route", "add", to, "via", hops[0], "dev", "a", "table", "77"]);
    await agent.ok(["ip", family, "route", "add", own, "dev", "b"]);
    const forwarded = { source: own, inputLink: netlink.link("b").index };
    assertEquals(netlink.routeEntryTo(address, forwarded).table, "77");
  }
  const printed = await agent.ok(["ip", "address", "show", "a"]);
  assert(printed.includes("inet 198.51.100.2/24") && printed.includes("inet6 2001:db8::2/64"));
});

kernelTest("by a number that a namespace gets here once, its end is told", async () => {
  using host = Netlink.open();
  const id = await (async () => {
    await using agent = await Sandbox.create();
    const handle = `/proc/${agent.pid}/ns/net`;
    assertEquals([host.numberNamespace(handle), host.numberNamespace(handle)], [true, false]);
    const id = host.namespaceId(handle)!;
    assert(host.hasNamespace(id));
    return id;
  })();
  await until(() => !host.hasNamespace(id), "the namespace to end");
});

kernelTest("an error says what was tried, and why the kernel refused", async () => {
  await using agent = await Sandbox.create();
  using netlink = Netlink.open(`/proc/${agent.pid}/ns/net`);
  assertThrows(() => netlink.setLinkUp("eth7"), SystemError, "ENODEV: bring up eth7");
  assertThrows(() => netlink.routeTo("192.0.2.1"), SystemError, "ENETUNREACH");
  assertThrows(
    () => netlink.change(defaultRoute("192.0.2.1", netlink.link("lo").index)),
    SystemError,
    "Nexthop has invalid gateway",
  );
});

kernelTest(
  "what others send to a socket of their network is no answer of the kernel's",
  async () => {
    await using agent = await Sandbox.create();
    using netlink = Netlink.open(`/proc/${agent.pid}/ns/net`);
    // The kernel binds a socket to a port at its first use.
    assertEquals(netlink.links().length, 1);
    assertEquals(await agent.ok([PYTHON, "-c", FORGER]), "forged 1\n");
    assertEquals(netlink.links().map(({ name }) => name), ["lo"]);
  },
);

/** Says EPERM to every socket of rtnetlink that there is, as the answer to its next requests. */
const FORGER = `
import socket, struct
lines = [line.split() for line in open("/proc/net/netlink")]
ports = [int(line[2]) for line in lines if line[1] == "0" and int(line[2]) != 0]
own = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
for port in ports:
    for sequence in range(1, 50):
        own.sendto(struct.pack("IHHIIi", 20, 2, 0, sequence, 0, -1), (port, 0))
print("forged", len(ports))
`;

function defaultRoute(gateway: string, link: number) {
  const destination = { bytes: new Uint8Array(4), prefixLength: 0 };
  return addRoute({ destination, link, gateway: addressBytes(gateway) });
}

function withLength(destination: string, family: string): string {
  if (destination === "default" || destination.includes("/")) return destination;
  return `${destination}/${family === "inet" ? 32 : 128}`;
}

/** In an order of its own, without absent fields. */
function sorted(list: readonly object[]): unknown[] {
  return list.map((item) => JSON.stringify(item, Object.keys(item).toSorted().concat(NESTED)))
    .toSorted().map((text) => JSON.parse(text));
}

const NESTED = ["gateway", "link", "weight", "flags"];

kernelTest("of several changes at once, each that the kernel refuses is told", async () => {
  await using agent = await Sandbox.create();
  using netlink = Netlink.open(`/proc/${agent.pid}/ns/net`);
  const lo = netlink.link("lo").index;
  const error = assertThrows(
    () =>
      netlink.changeAll([
        deleteLink(4711, "absent"),
        setLink(lo, "lo", { mtu: 1234 }),
        deleteLink(lo, "lo"),
      ]),
    Refusal,
  );
  for (const words of ["ENODEV", "EOPNOTSUPP", "absent", "lo"]) {
    assert(error.message.includes(words));
  }
  assertEquals(netlink.link("lo").mtu, 1234);
});

kernelTest(
  "a namespace that has the number of a remembered one, but not its cookie, is a later one",
  async () => {
    await using sandbox = await Sandbox.create();
    const handle = `/proc/${sandbox.pid}/ns/net`;
    const cookie = networkCookie(handle);
    assert(cookie !== undefined && cookie !== networkCookie("/proc/self/ns/net"), cookie);
    const inode = inodeOf(handle);
    // By its handle, and by who is in it.
    for (const where of [{ handle }, { handle: "/run/nowhere", maker: viewpoint() }]) {
      const fate = (cookie?: string) => new Sight().fateOf({ ...where, inode, cookie });
      assertEquals([fate(cookie), fate(), fate("1")], ["lives", "lives", "gone"]);
    }
    // What has ended is not gone here while its maker's network goes on elsewhere; that has a cookie too.
    const after = (netCookie?: string) =>
      new Sight().afterEndOf({ ...viewpoint(), net: inode, netCookie });
    assertEquals([after(cookie), after(), after("1")], ["elsewhere", "elsewhere", "gone"]);
    assertEquals(isInNetworkOf({ ...viewpoint(), netCookie: "1" }), false);
    const sight = new Sight();
    assert(sight.handles() === sight.handles());
  },
);
