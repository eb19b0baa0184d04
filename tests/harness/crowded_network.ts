import type { Sandbox } from "./sandbox.ts";

/**
 * Fills a sandbox's network with one of everything this kernel has: veth (peers here and in
 * another namespace), bridge, macvlan, vxlan, tun, IPv6, policy routes, a multipath route, 500
 * addresses, neighbours and some traffic.
 */
export async function crowdedNetwork(agent: Sandbox): Promise<void> {
  const outside = await agent.outside();
  // The kernel asks again, seconds later, whether a neighbour is there: counters would change then.
  const still = (link: string) =>
    ["delay_first_probe_time=3600", "base_reachable_time_ms=3600000"].map((setting) =>
      `net.ipv4.neigh.${link}.${setting}`
    );
  await agent.ok(["sysctl", "-qw", ...still("wan0")]);
  await outside.ok([
    "sysctl",
    "-qw",
    ...still("eth0"),
    "net.ipv6.conf.eth0.router_solicitations=0",
  ]);
  const addresses = Array.from(
    { length: 500 },
    (_, i) => `address add 10.9.${i >> 8}.${i & 255}/16 dev many`,
  );
  const batch = [
    "link add br0 type bridge",
    "link add many type veth peer name manypeer",
    "link set manypeer master br0",
    "link add mac0 link many type macvlan mode bridge",
    "link add vx0 type vxlan id 42 dstport 4789 remote 203.0.113.2 dev wan0",
    "tuntap add dev tun0 mode tun",
    'link set tun0 alias "a tunnel"',
    "link set mac0 mtu 1400",
    ...["br0", "many", "manypeer", "mac0", "vx0", "tun0"].map((name) => `link set ${name} up`),
    ...addresses,
    "address add 10.8.0.1 peer 10.8.0.2 dev tun0",
    "address add 2001:db8:1::1/64 dev br0 nodad",
    "address add fd00::5/128 dev mac0 nodad",
    "address add 10.7.0.1/24 broadcast 10.7.0.255 dev mac0",
    "route add default via 203.0.113.2 dev wan0 metric 50",
    "route add 172.20.0.0/16 via 203.0.113.2 dev wan0 mtu 1380",
    "route add blackhole 172.21.0.0/16",
    "route add unreachable 172.22.0.0/16 metric 7",
    "route add 172.23.0.0/16 nexthop via 203.0.113.2 dev wan0 weight 2 nexthop via 10.9.9.9 dev many",
    "route add 172.24.0.0/16 via 203.0.113.2 dev wan0 table 100",
    "route add default via 2001:db8:113::2 dev wan0",
    "route add 2001:db8:9::/48 via 2001:db8:113::2 dev wan0 table 100",
    "rule add from 10.9.0.0/24 table 100 priority 1000",
    "rule add fwmark 0x10/0xff table 100 priority 1001",
    "neighbour add 203.0.113.77 lladdr 02:00:00:00:00:77 dev wan0 nud permanent",
    "neighbour add 2001:db8:113::77 lladdr 02:00:00:00:00:78 dev wan0 nud permanent",
  ];
  await agent.ok(["ip", "-batch", "-"], { stdin: batch.join("\n") + "\n" });
  const rule = ["rule", "add", "from", "2001:db8:1::/64", "table", "100", "priority", "1002"];
  await agent.ok(["ip", "-6", ...rule]);
  await agent.ok(["busybox", "ping", "-c3", "-i0.2", outside.address]);
  // Duplicate address detection and router solicitations would still change flags and counters.
  await settled(agent);
}

/** Waits until no address is tentative and the counters of two looks in a row are the same. */
async function settled(agent: Sandbox): Promise<void> {
  let before = "";
  for (let i = 0; i < 100; i++) {
    const now = await agent.ok(["ip", "-s", "address"]);
    if (now === before && !now.includes("tentative")) return;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  throw new Error("the network does not come to rest");
}
