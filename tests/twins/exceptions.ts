/** What ours does otherwise than the reference on purpose: each with the sentence that says so. */

export interface Exception {
  /** Of docs/plugins.md, as it stands there. */
  sentence: string;
  /** Facts that only the reference has; `*` stands for a word, or for the rest of one. */
  theirs?: readonly string[];
  /** Facts that only ours has. */
  ours?: readonly string[];
  /** The plugin (`*`: any) after whose calls it is so, always. Else a case names its steps. */
  plugin?: string;
  /** The release of the reference beside which it is so. */
  only?: "debians" | "newest";
}

const REFUSED = ["exit 1", "error 999 string"];
const PORTS = ["outside", "the host", "loopback"].map((from) => `host ports * * to * from ${from}`);
const MASQUERADED = ["its network", "loopback"].map((from) => `host masqueraded to * from ${from}`);
/** The rules of `ipMasq`, for a container. */
const MASQUERADING = [
  "host iptables nat :CNI-* -",
  "host iptables nat -A POSTROUTING -s 10.1.0.2/32 -m comment --comment * * * * -j CNI-*",
  "host iptables nat -A CNI-* -d 10.1.0.0/24 -m comment --comment * * * * -j ACCEPT",
  "host iptables nat -A CNI-* ! -d 224.0.0.0/4 -m comment --comment * * * * -j MASQUERADE",
];
const STORE = ["lock", "last_reserved_ip.0"].map((name) => `file /run/twins/dir/net1/${name}`);
/** What is seen of an address that the bridge's container has. */
const given = (address: string) => [
  `result ips.0.address=${address}/24`,
  `file /run/twins/dir/net1/${address}`,
  `file /run/twins/dir/net1/last_reserved_ip.0: ${address}`,
  `ns1 link * address broadcast=10.1.0.255 family=inet label=* local=${address} prefixlen=24 scope=global`,
  ...[["10.1.0.0/24", "link", "main", "unicast"], ["10.1.0.255", "link", "local", "broadcast"], [
    address,
    "host",
    "local",
    "local",
  ]].map(([dst, scope, table, type]) =>
    `ns1 link * route dst=${dst} flags= prefsrc=${address} protocol=kernel scope=${scope} table=${table} type=${type}`
  ),
];

export const EXCEPTIONS = {
  "ports have no IPv6": {
    sentence:
      "ports have no IPv6 of their own, which they have no use for, so that their addresses " +
      "and routes are not gone through at every change.",
    plugin: "bridge",
    theirs: ["host link RANDOM ipv6 disable_ipv6:0"],
    ours: ["host link RANDOM ipv6 disable_ipv6:1"],
  },
  "nobody else has ptp's gateway": {
    sentence:
      "The gateway's address of IPv6 answers as soon as ADD has ended: the kernel does not look " +
      "first whether somebody else on the wire has it,",
    plugin: "ptp",
    theirs: ["host link RANDOM address family=inet6 local=* prefixlen=128 scope=global"],
    ours: ["host link RANDOM address family=inet6 local=* nodad=true prefixlen=128 scope=global"],
  },
  "bandwidth's device says which wire it limits": {
    sentence: "The alias of the device that limits what comes out is the index of the wire's end:",
    plugin: "bandwidth",
    ours: ["host link * ifalias=*"],
  },
  "Debian's leaves these settings to the kernel": {
    sentence: "Where two releases differ, the newest is followed;",
    only: "debians",
    plugin: "*",
    theirs: ["ns* link * ipv6 keep_addr_on_down:0", "ns* link * ipv6 ndisc_notify:0"],
    ours: ["ns* link * ipv6 keep_addr_on_down:1", "ns* link * ipv6 ndisc_notify:1"],
  },
  "mended since Debian's": {
    sentence: "Where two releases differ, the newest is followed;",
    only: "debians",
    theirs: REFUSED,
    ours: ["exit 0"],
  },
  "a failed ADD leaves nothing": {
    sentence:
      "**An ADD that fails leaves nothing** but the bridge, which another container may use by then: no veth, lease or rule.",
    theirs: [
      ...["host link RANDOM", "host link br77", "host link br1", "ns1 link eth0", "ns2 link eth0"],
      ...["host ipv4/ip_forward:1", ...STORE],
      "host iptables filter",
      "host iptables filter -A CNI-FORWARD -d 10.1.0.2/32 -m conntrack --ctstate * -j ACCEPT",
      "host iptables filter -A CNI-FORWARD -s 10.1.0.2/32 -j ACCEPT",
    ],
    ours: ["host ipv4/ip_forward:0"],
  },
  "a failed ADD leaves the mark": {
    sentence: "An ADD that fails leaves the mark of the last address as it was.",
    theirs: [
      ...["file /run/twins/dir/net1/last_reserved_ip.0"],
      "file /run/twins/dir/net1/last_reserved_ip.*: *",
      ...["result ips.1.address=fd00:1::52/64", "file /run/twins/dir/net1/fd00:1::52"],
    ],
    ours: [
      "file /run/twins/dir/net1/last_reserved_ip.*: *",
      ...["result ips.1.address=fd00:1::51/64", "file /run/twins/dir/net1/fd00:1::51"],
    ],
  },
  "GC makes no store": {
    sentence:
      "GC gives back the leases that no valid attachment has, and makes no store where there is none;",
    theirs: ["file /run/twins/dir/net1/lock"],
  },
  "a failed ADD leaves the bridge": {
    sentence:
      "**An ADD that fails leaves nothing** but the bridge, which another container may use by then: no veth, lease or rule.",
    ours: [
      "host link br1 address broadcast=10.1.0.255 family=inet label=br1 local=10.1.0.1 prefixlen=24 scope=global",
      ...[
        "dst=10.1.0.0/24 flags= prefsrc=10.1.0.1 protocol=kernel scope=link table=main type=unicast",
        "dst=10.1.0.1 flags= prefsrc=10.1.0.1 protocol=kernel scope=host table=local type=local",
        "dst=10.1.0.255 flags= prefsrc=10.1.0.1 protocol=kernel scope=link table=local type=broadcast",
      ].map((route) => `host link br1 route ${route}`),
    ],
  },
  "what a failed ADD changed is as before": {
    sentence: "Settings and devices that it changed are as before.",
    theirs: [
      ...["file /run/twins/dir/tuning/c1_eth0.json", "ns1 core/somaxconn:500"],
      "file /run/twins/dir/ipam/net-1/last_reserved_ip.0: 10.77.0.*",
      ...[
        "host link RANDOM qdisc=tbf",
        "host link RANDOM qdisc kind=tbf * * * * * refcnt=3 root=true",
      ],
    ],
    ours: [
      ...["ns1 core/somaxconn:4096", "host link RANDOM qdisc=noqueue", "host link up0"],
      "file /run/twins/dir/ipam/net-1/last_reserved_ip.0: 10.77.0.*",
      "host link RANDOM qdisc kind=noqueue refcnt=2 root=true",
      "host link up0 address family=inet label=up0 local=192.168.77.1 prefixlen=24 scope=global",
      ...[
        "dst=192.168.77.0/24 flags= prefsrc=192.168.77.1 protocol=kernel scope=link table=main type=unicast",
        "dst=192.168.77.1 flags= prefsrc=192.168.77.1 protocol=kernel scope=host table=local type=local",
        "dst=192.168.77.255 flags= prefsrc=192.168.77.1 protocol=kernel scope=link table=local type=broadcast",
      ].map((route) => `host link up0 route ${route}`),
    ],
  },
  "CHECK looks into the route's table": {
    sentence: "CHECK looks for a route in its own `table` (the reference in the main one alone).",
    theirs: REFUSED,
    ours: ["exit 0"],
  },
  "CHECK sees the limit on the host": {
    sentence: "CHECK fails when the limit of the wire's end on the host is gone, too.",
    theirs: ["exit 0"],
    ours: REFUSED,
  },
  "the host has taken the device's name": {
    sentence: "DEL fails and leaves the device in the container as it is, with its addresses.",
    ours: [
      "ns1 link eth0 address broadcast=10.1.0.255 family=inet label=eth0 local=10.1.0.2 prefixlen=24 scope=global",
      ...[
        "dst=10.1.0.0/24 flags= prefsrc=10.1.0.2 protocol=kernel scope=link table=main type=unicast",
        "dst=10.1.0.2 flags= prefsrc=10.1.0.2 protocol=kernel scope=host table=local type=local",
        "dst=10.1.0.255 flags= prefsrc=10.1.0.2 protocol=kernel scope=link table=local type=broadcast",
      ].map((route) => `ns1 link eth0 route ${route}`),
    ],
  },
  "DEL of sbr without the interface": {
    sentence: "DEL of `sbr` also removes the rules of addresses that the interface had at ADD.",
    theirs: ["ns1 rule priority=32765 protocol=unspec src=10.1.0.2 table=100"],
  },
  "a result of another version": {
    sentence:
      "A `prevResult` of another version of the specification is read (the reference refuses it).",
    theirs: [...REFUSED, "host link br1 ipv4 route_localnet:0"],
    ours: [
      ...["exit 0", "result", "host link br1 ipv4 route_localnet:1", "host iptables nat"],
      ...[...PORTS, ...MASQUERADED],
    ],
  },
  "an ADD asks for addresses first": {
    sentence:
      "An ADD asks for addresses before it makes anything: after one that failed, host-local " +
      "goes on with the next address.",
    theirs: given("10.1.0.2"),
    ours: [...STORE, ...given("10.1.0.4")],
  },
  "an ADD asks for addresses first, of a VLAN that is taken": {
    sentence:
      "An ADD asks for addresses before it makes anything: after one that failed, host-local " +
      "goes on with the next address.",
    theirs: ["file /run/twins/dir/net1/last_reserved_ip.0: 10.1.0.2"],
    ours: ["file /run/twins/dir/net1/last_reserved_ip.0: 10.1.0.3"],
  },
  "a failed ADD is in the way of none": {
    sentence:
      "**An ADD that fails leaves nothing** but the bridge, which another container may use by then: no veth, lease or rule.",
    theirs: [
      ...[...REFUSED, "ns1 link eth0", "ns1 link RANDOM"],
      ...["flags=BROADCAST,MULTICAST", "ipv4 arp_notify:0", "ipv6 ndisc_notify:0", "mtu=1500"]
        .map((fact) => `ns1 link eth0 ${fact}`),
      "ns1 link eth0 qdisc=noop",
    ],
    ours: [
      ...["exit 0", "result", "file /run/twins/dir/net1/10.1.0.2", ...STORE],
      "ns1 link eth0 address broadcast=10.1.0.255 family=inet label=eth0 local=10.1.0.2 prefixlen=24 scope=global",
      ...["flags=BROADCAST,MULTICAST,UP", "ipv4 arp_notify:1", "ipv6 ndisc_notify:1", "mtu=1400"]
        .map((fact) => `ns1 link eth0 ${fact}`),
      ...["qdisc=noqueue", "qdisc kind=noqueue refcnt=2 root=true"].map((fact) =>
        `ns1 link eth0 ${fact}`
      ),
      ...[
        "dst=10.1.0.0/24 flags= prefsrc=10.1.0.2 protocol=kernel scope=link table=main type=unicast",
        "dst=10.1.0.2 flags= prefsrc=10.1.0.2 protocol=kernel scope=host table=local type=local",
        "dst=10.1.0.255 flags= prefsrc=10.1.0.2 protocol=kernel scope=link table=local type=broadcast",
      ].map((route) => `ns1 link eth0 route ${route}`),
    ],
  },
  "DEL finds what was made": {
    sentence: "**DEL finds what was made** by more than a name:",
    theirs: [
      ...["host link RANDOM", "ns* link eth0", "file /run/twins/dir/net1/10.1.0.2"],
      "host link up0 promiscuity=1",
      ...MASQUERADING,
    ],
    ours: ["host link up0 promiscuity=0"],
  },
  "DEL of nothing": {
    sentence:
      "DEL of a config that ADD refuses succeeds: there is nothing to remove. So does one without a namespace, and a second one.",
    theirs: REFUSED,
    ours: ["exit 0"],
  },
  "a default route said twice": {
    sentence:
      "`isDefaultGateway` beside a default route of `ipam`'s is one route (the reference fails).",
    theirs: [...REFUSED, "host ipv4/ip_forward:0"],
    ours: [
      ...["exit 0", "result", "host ipv4/ip_forward:1", "file /run/twins/dir/net1/10.1.0.2"],
      "host link br1 address broadcast=10.1.0.255 family=inet label=br1 local=10.1.0.1 prefixlen=24 scope=global",
      ...[
        "dst=10.1.0.0/24 flags= prefsrc=10.1.0.1 protocol=kernel scope=link table=main type=unicast",
        "dst=10.1.0.1 flags= prefsrc=10.1.0.1 protocol=kernel scope=host table=local type=local",
        "dst=10.1.0.255 flags= prefsrc=10.1.0.1 protocol=kernel scope=link table=local type=broadcast",
      ].map((route) => `host link br1 route ${route}`),
    ],
  },
  "the host's own namespace": {
    sentence:
      "A CNI_NETNS that is the host's own is refused with error 8 (the reference breaks off without one).",
    ours: ["error 8 string"],
  },
  "no empty tables": {
    sentence:
      "**No table is made to look into it**: the reference's programs leave iptables' tables, empty.",
    theirs: ["host iptables nat", "host ip6tables nat"],
  },
  "a port is set to hairpin mode": {
    sentence:
      "The container's port of a bridge is set to hairpin mode, so that it reaches itself by its " +
      "host port;",
    plugin: "portmap",
    theirs: [
      "host link RANDOM linkinfo.info_slave_data.hairpin=false",
      "host link RANDOM port hairpin=false",
    ],
    ours: [
      "host link RANDOM linkinfo.info_slave_data.hairpin=true",
      "host link RANDOM port hairpin=true",
    ],
  },
  "loopback is closed to others": {
    sentence:
      "While host ports lead from 127.0.0.1 into containers (`route_localnet`), packets from outside " +
      "to such addresses are dropped;",
    plugin: "portmap",
    ours: ["host closed: packets to loopback from outside", "host iptables raw"],
  },
  "route_localnet goes with the last mapping": {
    sentence: "the setting goes with the last mapping that needs it, which the reference leaves.",
    plugin: "portmap",
    theirs: ["host link * ipv4 route_localnet:1"],
    ours: ["host link * ipv4 route_localnet:0"],
  },
  "without snat, not from loopback": {
    sentence:
      "Without `snat`, 127.0.0.1 leads to no container: an answer to it would not come back.",
    theirs: ["host ports * * to * from loopback"],
  },
  "no mark is needed": {
    sentence: "Masquerading needs no mark here, so that both change nothing;",
    theirs: MASQUERADED.map((fact) => `${fact} by KUBE-MARK-MASQ`),
    ours: MASQUERADED,
  },
  "no conditions with nftables": {
    sentence:
      "What could be more than a match is refused, and so are conditions with the backend `nftables`: " +
      "the reference puts those of the last ADD before the ports of all containers.",
    theirs: [
      ...["exit 0", "result", ...MASQUERADED],
      "host ports * 127.0.0.1:8080 to * if ip saddr 10.0.0.0/8 from outside",
      "host ports * 127.0.0.1:8080 to * if ip saddr 10.0.0.0/8 from loopback",
      "host ports * fd00:1::1:8081 to * if ip6 saddr fd00::/8 from outside",
      "host ports * fd00:1::1:8081 to * if ip6 saddr fd00::/8 from the host",
    ],
    ours: REFUSED,
  },
  "a mapping that leads nowhere": {
    sentence:
      "Refused are a `hostIP` that is no address, and an address of the container to which the host " +
      "has no route; a protocol that is empty is tcp.",
    theirs: [...REFUSED, "exit 0", "result", ...PORTS, ...MASQUERADED],
    ours: [...REFUSED, "error 6 string", "exit 0", "result", ...PORTS, ...MASQUERADED],
  },
  "DEL without mappings": {
    sentence: "DEL removes what ADD made, also when it is called without `portMappings`.",
    theirs: [...PORTS, ...MASQUERADED],
  },
} satisfies Record<string, Exception>;

export type ExceptionName = keyof typeof EXCEPTIONS;

/** What the reference does with what ours has attached, and does not with its own. */
export const OF_OURS: readonly Exception[] = [{
  sentence:
    "ports of running containers go on, but its DEL leaves our rules, which would keep the next " +
    "container from the same port.",
  plugin: "portmap",
  theirs: ["exit 0"],
  ours: [...REFUSED, ...PORTS, ...MASQUERADED, "host masqueraded to * from anywhere"],
}];
