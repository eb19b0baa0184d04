/** The kernel's numbers for links, addresses, routes, rules and neighbours, under its own names. */

/** Messages (linux/rtnetlink.h). */
export const RTM = {
  ...{ NEWLINK: 16, DELLINK: 17, GETLINK: 18, SETLINK: 19, NEWADDR: 20, DELADDR: 21 },
  ...{ GETADDR: 22, NEWROUTE: 24, DELROUTE: 25, GETROUTE: 26, GETNEIGH: 30, NEWRULE: 32 },
  ...{ DELRULE: 33, GETRULE: 34, NEWQDISC: 36, DELQDISC: 37, GETQDISC: 38, NEWTFILTER: 44 },
  ...{ GETTFILTER: 46, NEWNSID: 88, GETNSID: 90, GETSTATS: 94 },
};

/** Attributes of links, and of what is nested in them (linux/if_link.h, linux/if_bridge.h). */
export const IFLA = {
  ...{ ADDRESS: 1, IFNAME: 3, MTU: 4, LINK: 5, MASTER: 10, PROTINFO: 12, TXQLEN: 13 },
  ...{ OPERSTATE: 16, LINKINFO: 18, NET_NS_PID: 19, IFALIAS: 20, STATS64: 23, AF_SPEC: 26 },
  ...{ NET_NS_FD: 28, EXT_MASK: 29, PROMISCUITY: 30, CARRIER: 33, LINK_NETNSID: 37, XDP: 43 },
  ...{ BRIDGE_FLAGS: 0, BRIDGE_VLAN_INFO: 2, INFO_KIND: 1, INFO_DATA: 2, IPVLAN_MODE: 1 },
  ...{ MACVLAN_MODE: 1, MACVLAN_BC_QUEUE_LEN: 7, STATS_LINK_64: 1, VLAN_ID: 1, VRF_TABLE: 1 },
  ...{ BRPORT_MODE: 4, BRPORT_ISOLATED: 33, XDP_PROG_ID: 4, BR_VLAN_FILTERING: 7 },
  ...{ BR_STP_STATE: 5, BR_MCAST_SNOOPING: 23, BR_VLAN_DEFAULT_PVID: 39, TARGET_NETNSID: 46 },
  PERM_ADDRESS: 54,
};

/** Of addresses (linux/if_addr.h). */
export const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, FLAGS: 8 };

/** Of routes (linux/rtnetlink.h). */
export const RTA = {
  ...{ DST: 1, SRC: 2, IIF: 3, OIF: 4, GATEWAY: 5, PRIORITY: 6, PREFSRC: 7, METRICS: 8 },
  ...{ MULTIPATH: 9, CACHEINFO: 12, TABLE: 15, VIA: 18, IP_PROTO: 27, SPORT: 28, DPORT: 29 },
};

/** Of a route's metrics (linux/rtnetlink.h). */
export const RTAX = { MTU: 2 };

/** Of rules (linux/fib_rules.h). */
export const FRA = {
  ...{ DST: 1, SRC: 2, IIFNAME: 3, PRIORITY: 6, FWMARK: 10, SUPPRESS_PREFIXLEN: 14 },
  ...{ TABLE: 15, FWMASK: 16, OIFNAME: 17, IP_PROTO: 22, SPORT_RANGE: 23, DPORT_RANGE: 24 },
};

/** Of neighbours (linux/neighbour.h). */
export const NDA = { DST: 1, LLADDR: 2, MASTER: 9 };

/** Of ids of namespaces (linux/net_namespace.h). */
export const NETNSA = { NSID: 1, FD: 3 };

/** Bytes of the structures that messages begin with: struct ifinfomsg, ifaddrmsg, rtmsg, ndmsg, tcmsg. */
export const IFINFOMSG_BYTES = 16;
export const IFADDRMSG_BYTES = 8;
export const RTMSG_BYTES = 12;
export const NDMSG_BYTES = 12;
export const TCMSG_BYTES = 20;
