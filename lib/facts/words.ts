/**
 * The sentence of each cause, and what to do where commands do not say it: the one place of a code.
 * A cause's commands stand before what is said here.
 */
import type { RuleRef, Values } from "./values.ts";

type Words = (about: Values) => readonly [text: string, remedy?: string];

const DELETE_IF_NOT_MEANT = "delete it if it is not meant so";

const WORDS = {
  // The container and its checkpoints.
  namespace_gone: (c) => [
    `the network namespace of ${c.container} is gone`,
    c.why === undefined
      ? "the container can't have a network any more: after a reboot its isolator cleans it up; " +
        `else do so: mesos-cni cleanup ${c.container}`
      : `its process ${c.why} lives, and keeps its network: restart the container, once its task may be stopped`,
  ],
  namespace_elsewhere: (c) => [
    `the network namespace of ${c.container} lives, or may, where this program can't look`,
    "run it in the mount and process namespaces of the agent: nsenter --target=AGENT --mount --pid",
  ],
  namespace_unreadable: (c) => [
    `the network namespace of ${c.container} can't be looked into: ${c.why}`,
    "look as root, in the mount and process namespaces of the agent",
  ],
  process_gone: (c) => [
    `no process is left in ${c.container}`,
    "the container has ended and was not cleaned up: the task's own log says why; " +
    `mesos-cni cleanup ${c.container} releases its addresses and ports`,
  ],
  not_started: (c) => [
    `${c.container} was not started yet`,
    "its runtime is at work; one that stays so is cleaned up by mesos-cni cleanup",
  ],
  checkpoint_torn: (c) => [
    `the checkpoint of ${c.device} on ${c.network} is damaged`,
    "the file was cut off by a crash or changed by hand: restart the container. Its cleanup works " +
    "without a result, and with a config from a backup",
  ],
  attach_unfinished: (c) => [
    `${c.device} was never attached to ${c.network}`,
    "the plugin is at work, has failed, or its caller was killed: the agent's log has the plugin's " +
    "error; a container that stays so must be cleaned up and started again",
  ],
  checkpoint_empty: (c) => [
    `${c.container} has no network`,
    "its attachment has not begun, or all its networks were detached",
  ],
  // Links.
  lo_down: (c) => [`lo is down in ${c.container}`, "whatever talks to 127.0.0.1 fails until then"],
  interface_gone: (c) => [
    `${c.device} is gone from ${c.container}`,
    "somebody removed it, or its veth's other end on the agent: restart the container",
  ],
  // The kernel drops an interface's routes with it, and does not bring them back.
  interface_down: (c) => [
    `${c.device} is down in ${c.container}`,
    "routes that went with it must be added again",
  ],
  no_carrier: (c) =>
    c.why === "its other end is down"
      ? [`${c.device}, the agent's end of ${c.other}, is down`]
      : c.why === "no port"
      ? [
        `${c.device}, the agent's way out, is a bridge without a port: no wire is on it`,
        `make the agent's own interface a port of it again: ip link set … master ${c.device}`,
      ]
      : c.why === "no carrier at its ports"
      ? [
        `no port of ${c.device}, the agent's way out, has a carrier: the other end of ${c.other} is down`,
        `look at ${c.other}`,
      ]
      : c.why === "no port up"
      ? [`no port of ${c.device}, the agent's way out, is up: ${c.other}`, `look at ${c.other}`]
      : [
        `${c.device} has no carrier`,
        "look at the device below it, at its other end or its ports, or at who moved its other end away",
      ],
  link_down: (c) => [`${c.device} is down`],
  uplink_down: (c) => [
    `${c.device}, by which the agent reaches ${c.address ?? "others"}, is down`,
    "routes that went with it must be added again",
  ],
  noarp: (c) => [
    `ARP is off on ${c.device}${
      c.container ? " of the container" : ""
    }: no hardware address is asked for, and none is told`,
  ],
  ipv6_disabled: (c) => [`IPv6 is switched off on ${c.device}: ${c.setting} is 1`],
  mtu_too_small: (c) =>
    c.why === "IPv6"
      ? [
        `the MTU of ${c.device} is ${c.mtu}, and IPv6 needs ${c.bytes}: the kernel has taken its IPv6 addresses away`,
      ]
      : c.why === "port of a bridge"
      ? [
        `${c.device}, a port of ${c.other}, takes packets of at most ${c.mtu} bytes, and the bridge drops larger ones without a word`,
        `or, if the wire takes no more: ip link set ${c.other} mtu ${c.mtu}`,
      ]
      : c.why === "the kernel's word"
      ? [
        `${c.device} takes no packet of that size`,
        `compare the MTU of ${c.device} with that of the container's interface`,
      ]
      : [
        `the MTU of ${c.device} is ${c.mtu}: it drops packets of ${c.bytes} bytes, which ${c.other} sends`,
        'or set a smaller "mtu" for the network',
      ],
  mtu_too_large: (c) => [
    `the MTU of ${c.device} is ${c.value}, and that of ${c.other} ${c.mtu}: what is larger is dropped without a word`,
  ],
  pmtu_black_hole: (c) => [
    `packets of ${c.bytes} bytes leave by ${c.device} and get no answer, smaller ones do: a hop beyond takes less, and its word of that (ICMP) does not come back`,
    `give the network a smaller "mtu", or let ICMP "fragmentation needed" (IPv6: packet too big) pass on the way`,
  ],
  // The bridge and its ports.
  bridge_gone: (c) => [
    `the bridge ${c.device} is gone`,
    "the next container on the network makes it again; those that are running must be restarted, " +
    "since their veths were its ports",
  ],
  bridge_down: (c) => [
    `the bridge ${c.device} is down`,
    "every container on it is cut off until then",
  ],
  veth_off_bridge: (c) => [
    `${c.device}, the agent's end of ${c.other} in ${c.container}, is not on ${c.wanted}`,
  ],
  port_state: (c) => [
    `the port ${c.device} of ${c.other} is in the state ${c.value}, not forwarding`,
  ],
  port_locked: (c) => [
    `the port ${c.device} of ${c.other} is locked: it takes frames of known hardware addresses only`,
  ],
  port_isolated: (c) => [
    `the ports ${c.device} and ${c.wanted} of ${c.other} are isolated: they do not talk to each other`,
  ],
  port_flood: (c) => [
    `the port ${c.device} of ${c.other} is not flooded (${c.value} off): broadcasts such as ARP, multicasts such as neighbour discovery, or frames to who has been silent do not reach it`,
  ],
  neigh_suppress: (c) => [
    `the port ${c.device} of ${c.other} suppresses ARP and neighbour discovery`,
  ],
  fdb_wrong: (c) => [
    `the forwarding table of ${c.other} leads ${c.mac}, which is ${c.container}, to ${c.device} instead of ${c.wanted}`,
    "if the entry comes back, somebody else sends with that address",
  ],
  vlan_differs: (c) => [
    `${c.other} filters VLANs: ${c.device} is in ${c.value}, and ${c.other} itself in ${c.wanted}`,
  ],
  // Addresses.
  address_lost: (c) => [`${c.device} of ${c.container} has lost ${c.address}`],
  address_differs: (c) =>
    c.why === "source"
      ? [
        `${c.container} sends from ${c.address}, which is not the address that it was given on ${c.device} (${c.wanted})`,
        `see who gave ${c.device} ${c.address}, and take it off`,
      ]
      : [
        `${c.device} of ${c.container} has ${c.address} instead of ${c.wanted}`,
        c.why === "mask"
          ? "with another mask some of its neighbours are asked of the gateway, or the other way: put the old one back if it is not meant so"
          : "somebody changed it inside the container: what is not in the checkpoint may be given to " +
            "another container. Put the old one back, or restart the container",
      ],
  duplicate_address: (c) =>
    c.why === "DNS server inside"
      ? [
        `${c.container} has the address of its DNS server, ${c.address}, itself, on ${c.device}: it asks itself`,
      ]
      : c.why === "DNS server"
      ? [
        `${c.address}, the DNS server of ${c.container}, is also an address of the agent, on ${c.device}: what is for the server the agent takes itself`,
      ]
      : c.why === "agent"
      ? [
        `${c.address} of ${c.container} is also the agent's, on ${c.device}: what is for the container the agent takes itself`,
      ]
      : c.container === undefined
      ? [
        `${c.address} of the agent is also somebody else's on ${c.device}: ${c.mac} answers for it`,
        "find the machine by its hardware address in the tables of the switches, and give it another address",
      ]
      : [
        `${c.address} of ${c.container} is also ${
          c.other ? `container ${c.other}'s` : "somebody else's"
        }`,
        c.other
          ? "restart one of the two, and look why the address was given twice: two networks with " +
            "overlapping ranges, or an IPAM store that was emptied"
          : "find the machine by its hardware address, and keep the IPAM range to containers alone",
      ],
  duplicate_mac: (c) => [
    `${c.device} of ${c.container} and ${c.other} have one hardware address, ${c.mac}: the bridge takes what is for the container itself`,
    `give one of them another: ip link set ${c.other} address …`,
  ],
  gateway_moved: (c) => [
    `the gateway's address ${c.gateway} is on ${c.device} instead of ${c.wanted}`,
  ],
  gateway_mask: (c) => [
    `${c.device} has the gateway's address as ${c.address}, and its network is ${c.wanted}: the containers are outside of it`,
  ],
  gateway_address_lost: (c) => [
    `${c.device} has lost the gateway's address ${c.gateway}`,
    "every container on the network needs it",
  ],
  uplink_address_lost: (c) => [
    `the agent has no route to ${c.address}: ${c.device} is up and has no address of IPv${c.family}`,
    `give ${c.device} its address again; the routes that went with it must be added again`,
  ],
  // Neighbours: ARP and neighbour discovery.
  wrong_mac: (c) => [
    `${c.container ?? "the agent"} sends what is for ${c.address} on ${c.device} to ${c.mac}, ${
      c.wanted ? `and ${c.wanted} answers for it` : "which is not its hardware address"
    }`,
    c.why === undefined ? undefined : `find who answers for ${c.address} with ${c.mac}`,
  ],
  gateway_wrong_mac: (c) =>
    c.why === undefined
      ? [
        `${c.container} sends what is for the gateway ${c.gateway} to ${c.mac}`,
        "the entry was made by hand, or is older than the gateway",
      ]
      : [`${c.mac} answer${c.value ?? ""} for the gateway ${c.gateway}`, c.why],
  gateway_silent: (c) => [
    `the agent hears who has ${c.address} on ${c.device}, and does not answer`,
    `look at ${c.other}: ip -d link show ${c.other}, and its arp_ignore, arp_filter and rp_filter`,
  ],
  neighbour_silent: (c) =>
    c.container
      ? [
        `nobody answers ${c.container} who has ${c.address}${
          c.other ? `, which is container ${c.other}'s` : ""
        }`,
        c.other
          ? `look at it: mesos-cni diagnose ${c.other}`
          : `look whether anybody has ${c.address} on that wire`,
      ]
      : [
        `nobody on ${c.device} answers who has ${c.address}`,
        `look whether ${c.address} is there, and at the agent's route that leads by it: ip route get ${c.wanted}`,
      ],
  container_silent: (c) => [
    `${c.container} does not answer the agent who has ${c.address}`,
    `look at ${c.device} there: its address, and ip -d link show (NOARP)`,
  ],
  arp_ignore: (c) => [
    `${c.setting} is ${c.value}: ARP for ${c.address} is not answered on ${c.device}`,
  ],
  arp_filter: (c) => [
    `${c.setting} is 1, and the route to who asks does not lead by ${c.device}`,
  ],
  // Routes and policy rules.
  no_default_route: (c) => [
    `${c.container} has no default route${c.family === 6 ? " for IPv6" : ""}`,
    "nothing outside its own subnet is reached until then",
  ],
  route_lost: (c) => [
    `${c.container} has lost its route to ${c.route}`,
    "add it again, or restart the container",
  ],
  no_route: (c) => [
    `${c.container} has no route to ${c.address}`,
    c.network === undefined
      ? "add a route"
      : c.why === "given"
      ? `${c.network} gave it a default route: add it again`
      : `add "routes": [{ "dst": "0.0.0.0/0" }] to the "ipam" of ${c.network} (mesos-cni lint says ` +
        "so as CNI414), and restart the container",
  ],
  route_refuses: (c) => [`${c.container} refuses what is for ${c.address} itself: ${c.route}`],
  rule_refuses: (c) => [`${c.container} refuses what is for ${c.address} itself: ${c.route}`],
  route_elsewhere: (c) => [
    `${c.container} leads what is for ${c.address} by ${c.device}${c.route ? `: ${c.route}` : ""}`,
    c.route === undefined ? "correct that route" : undefined,
  ],
  rule_elsewhere: (c) => [
    c.why === "nobody there"
      ? `${c.container} is led to ${c.address}, where nobody is, by ${c.route}`
      : `${c.container} leads what is for ${c.address} by ${c.device}: ${c.route}`,
  ],
  wrong_source: (c) => [
    `${c.container} sends from ${c.address}, which is not the address that it was given on ${c.device} (${c.wanted})`,
  ],
  gateway_wrong: (c) =>
    c.other
      ? [
        `${
          c.container ?? "the agent"
        } has a route by ${c.gateway}, which is container ${c.other} and no gateway: ${c.route}`,
      ]
      : [
        `the route of ${c.container} to ${c.route} leads by ${c.address}, where nobody is; the network's gateway is ${c.gateway}`,
      ],
  main_rule_gone: (c) => [
    `${
      c.container ?? "the agent"
    } has lost the policy rule of the main table: its routes are not looked at`,
  ],
  connected_route_gone: (c) => [
    `the agent has lost its route to ${c.route} on ${c.device}, where ${c.address} is`,
  ],
  host_route: (c) => [
    `the agent leads ${
      c.container ? `answers to ${c.container} (${c.address})` : `what is for ${c.address}`
    } elsewhere: ${c.why}${c.route ? `, by ${c.route}` : ""}`,
    c.route === undefined
      ? "look for a route of another network, a VPN or a policy rule that covers the container's " +
        "subnet, and for two bridges with the same one"
      : undefined,
  ],
  host_rule: (c) => [
    `the agent leads what is for ${c.address} elsewhere${c.why ? ` (${c.why})` : ""}: ${c.route}`,
  ],
  no_host_route: (c) => [
    c.route
      ? `the agent leads what is for ${c.address} elsewhere (${c.why}): ${c.route}`
      : `the agent has no route to ${c.address}: ${c.why}`,
    c.route === undefined ? `add a route to ${c.address}` : undefined,
  ],
  // Settings of the agent.
  forwarding_off: (c) => [
    `the agent does not forward IPv${c.family}${
      c.device ? ` that comes in by ${c.device}` : ""
    }: ${c.setting} is 0`,
    "set it in /etc/sysctl.d as well, so that it stays; something turned it off after the plugin had turned it on",
  ],
  rp_filter: (c) => [
    `the reverse-path filter (rp_filter) of ${c.device}${
      c.container ? ` in ${c.container}` : ""
    } drops what comes from ${c.address}`,
    `or correct the route to ${c.address}, which leads ${c.why} (a VPN or another network may claim it)`,
  ],
  conntrack_full: (c) => [
    "the agent's connection tracking table is full: new connections are dropped",
    c.why === "another namespace's"
      ? `raise net.netfilter.nf_conntrack_max, now ${c.value}, in the machine's first network namespace`
      : "find who opens so many (conntrack -L), or make room",
  ],
  conntrack_timeout: (c) => [`connections are forgotten before an answer comes: ${c.value}`],
  // Rules.
  rule_drop: (c) => [
    `a rule of ${where(c)} drops ${c.why ?? "the packet"}: ${c.rule!.text}`,
    c.value ?? DELETE_IF_NOT_MEANT,
  ],
  policy_drop: (c) => [
    `the policy of ${where(c)} drops ${c.why ?? "the packet"}: no rule takes it`,
    c.value ?? 'let it pass there, or chain the plugin "firewall" to the network',
  ],
  rule_queues: (c) => [
    `a rule of ${where(c)} hands the packet to a queue of NFQUEUE${
      c.value ? ", and it does not come back from there" : ", which no program reads"
    }: ${c.rule!.text}`,
    "or start the program that should read it",
  ],
  rule_takes: (c) => [
    `a rule of ${where(c)} takes the packet away: ${c.rule!.text}`,
    DELETE_IF_NOT_MEANT,
  ],
  rule_ttl: (c) => [
    `a rule of ${where(c)} makes the packet too old to be forwarded: ${c.rule!.text}`,
    DELETE_IF_NOT_MEANT,
  ],
  bridge_nat: (c) => [
    `a rule of ${where(c)} gives frames another hardware address: ${c.rule!.text}`,
    DELETE_IF_NOT_MEANT,
  ],
  rule_rewrites: (c) => [
    `a rule of ${where(c)} writes the packet anew: ${c.rule!.text}`,
    DELETE_IF_NOT_MEANT,
  ],
  notrack: (c) => [
    `a rule of ${where(c)} keeps it out of connection tracking, and so out of NAT: ${c.rule!.text}`,
    DELETE_IF_NOT_MEANT,
  ],
  ct_zone: (c) => [
    `a rule of ${where(c)} puts it into a zone of connection tracking, and so out of NAT: ${
      c.rule!.text
    }`,
    DELETE_IF_NOT_MEANT,
  ],
  wrong_snat: (c) => [
    `what goes ${
      c.device ? `out by ${c.device}` : `to ${c.container}`
    } gets the source ${c.address}, which is no address of the agent${
      c.rule ? `: ${where(c)}: ${c.rule.text}` : ""
    }`,
    "correct the rule that translates it",
  ],
  masquerade_gone: (c) => [
    `nothing masquerades (MASQUERADE) what ${c.container} sends out${
      c.address ? ` from ${c.address} by ${c.device}` : ""
    }${near(c)}`,
    "somebody flushed the nat table (a firewall's reload does so)",
  ],
  passage_gone: (c) => [
    `nothing lets what ${c.container} sends through the host's filter any more`,
    "somebody flushed the filter, or reloaded firewalld",
  ],
  masquerade_shadowed: (c) => [
    `a rule of ${where(c)} takes what ${c.container} sends before it is masqueraded: ${
      c.rule!.text
    }`,
    DELETE_IF_NOT_MEANT,
  ],
  // Programs at a link.
  xdp_drop: (c) => [
    `a program of XDP on ${c.device}${c.value ? ` (${c.value})` : ""} drops the packet`,
    c.why ?? "see whose it is: bpftool net",
  ],
  tc_drop: (c) => [
    `tc's ${c.value} on ${c.device} drops the packet`,
    c.why ?? `look at it first: tc -s ${c.other ?? "filter"} show dev ${c.device}`,
  ],
  tcx_not_judged: (c) => [
    `${c.value} of tcx at the ${c.why} of ${c.device} stand where the packet is lost`,
    `what they do can't be read: see whose they are, bpftool net show dev ${c.device}`,
  ],
  qdisc_drop: (c) => [
    `the queue (qdisc${c.value ? ` ${c.value}` : ""}) of ${c.device} drops the packet`,
    `look at its limits first: tc -s qdisc show dev ${c.device}`,
  ],
  // Ports.
  no_port_mapper: (c) => [
    `${c.network} can't map ports, and ${c.device} asks for it`,
    "use a network whose config has mesos-cni-port-mapper (or portmap) in its chain",
  ],
  port_rules_missing: (c) => [
    `rules of ports of ${c.container} are missing: ${c.value}`,
    "somebody flushed the rules (a firewall's reload does so)",
  ],
  dnat_missing: (c) => [
    `no rule leads port ${c.port} to ${c.container}${c.why ? `: none of nat ${c.why}` : ""}${
      near(c)
    }`,
    "somebody flushed the rules (a firewall's reload does so)",
  ],
  dnat_elsewhere: (c) => [
    `port ${c.port} leads to ${c.address}, not to ${c.container}`,
    "a rule of a container that is gone, or of one that took the port over",
  ],
  port_taken_by_rule: (c) => [
    `a rule of ${where(c)} leads what is for ${c.address} port ${c.port} elsewhere: ${
      c.rule!.text
    }`,
    DELETE_IF_NOT_MEANT,
  ],
  port_passed_by: (c) => [
    `a rule of ${
      where(c)
    } takes port ${c.port} out before the rule that leads it to ${c.address}: ${c.rule!.text}`,
    DELETE_IF_NOT_MEANT,
  ],
  uplink_excluded: (c) => [
    `"excludeDevices" of ${c.network} names ${c.device}, by which strangers come`,
    `name there the container's own devices, such as ${c.other}, and restart it`,
  ],
  host_port_taken: (c) => [
    `a process of the agent listens on port ${c.port} as well`,
    "connections from outside go to the container, those from the agent itself to either: stop the " +
    "process, or give the container another port",
  ],
  nobody_listens: (c) => [
    c.why === "refused"
      ? `${c.container ?? c.address} refuses: nothing there listens on ${c.port}`
      : `nothing in ${c.container} listens on ${c.port}`,
    c.container
      ? `the task may not be ready, or listens on another port: mesos-cni netns inspect ${c.container}`
      : `see whether the service runs on ${c.address}`,
  ],
  listens_elsewhere: (c) =>
    c.why === "IPv6 alone"
      ? [
        `the listener on ${c.port} in ${c.container} is bound to :: and takes IPv6 alone (IPV6_V6ONLY)`,
        "let it listen on 0.0.0.0",
      ]
      : c.device
      ? [
        `the listener on ${c.port} in ${c.container} is bound to the device ${c.device} (SO_BINDTODEVICE)`,
        "let it listen on every device",
      ]
      : [
        `the listener on ${c.port} in ${c.container} is bound to ${c.address}, not to ${c.wanted}`,
        `let it listen on ${c.family === 6 ? "::" : "0.0.0.0"}`,
      ],
  backlog_full: (c) => [
    `the backlog of the listener on ${c.port} in ${
      c.container ?? "the agent"
    } is full: it takes no more connections`,
    "its process does not accept what waits: look at that process, or let it listen with a larger backlog",
  ],
  // The store of addresses.
  ipam_lost: (c) => [
    `the IPAM store has forgotten that ${c.address} is ${c.container}'s`,
    `host-local will give ${c.address} to the next container: write the container's id into ${c.file}, or restart the container`,
  ],
  ipam_conflict: (c) => [
    `the IPAM store says that ${c.address} of ${c.container} is another's`,
    `two containers may use ${c.address}: restart the one that came later`,
  ],
  // The agent.
  agent_gone: () => [
    "no Mesos agent runs, and containers of one are here",
    "look why it ended (journalctl -u mesos-slave); its containers go on and are cleaned up when it is back",
  ],
  agent_unreachable: (c) => [
    `nothing listens at ${c.address} port ${c.port}: the agent listens on another address, or is not running`,
    "see where it listens (ss -ltnp), and start it with an --ip and --port that containers reach. " +
    "The executor can't register until then",
  ],
  agent_listens_elsewhere: (c) => [
    `the agent listens on ${c.other} port ${c.port}, not on ${c.address}`,
    `start it with an --ip that containers reach, such as ${c.address}`,
  ],
  plugin_missing: (c) => [
    `${c.network} needs the plugin ${c.value}, which is not in ${c.file}`,
    "install it there: mesos-cni install --plugins=all, or Debian's containernetworking-plugins",
  ],
  addresses_used_up: (c) => [
    `${c.network} has no free address: ${c.value}`,
    "give it a larger range, or see what holds leases of containers that are gone: mesos-cni gc",
  ],
  disk_full: (c) => [
    `the disk of ${c.file} has no room: ${c.value}`,
    "checkpoints can't be written: free some",
  ],
  // Name resolution.
  resolv_conf_differs: (c) =>
    c.why === "seen"
      ? [
        `${c.container} sees another resolv.conf than the isolator made for it`,
        "it was replaced or unmounted inside the container; if that is not meant so, restart the container",
      ]
      : [
        `the resolv.conf of ${c.container} is not what its networks say`,
        "somebody changed it, from inside the container or on the agent: write it again, or restart the container",
      ],
  no_nameserver: (c) => [
    `the resolv.conf of ${c.container} names no server`,
    'give the network a server by its "dns", or all containers one by --default_container_dns',
  ],
  bad_nameserver: (c) => [
    `the resolv.conf of ${c.container} names ${JSON.stringify(c.value)}, which is no address`,
    "correct it; a resolver passes over such a line",
  ],
  no_dns_lookup: (c) => [
    `the nsswitch.conf of ${c.container} has no dns for hosts, so programs ask no server`,
    "add dns to that line",
  ],
  nameserver_absent: (c) => [
    `${c.container} is told to ask the DNS server ${c.address}, and nobody is there`,
    'look whether that server is up; else name another in resolv.conf: the network\'s "dns"',
  ],
  dns_refused: (c) =>
    c.why === "loopback"
      ? [
        `${c.container} is told to ask ${c.address}, where nothing listens in its own network`,
        `${c.address} is the agent's own resolver, which no other network namespace reaches: give ` +
        'the network a server by its "dns" or by --default_container_dns',
      ]
      : c.why === "agent"
      ? [
        `${c.container} is told to ask ${c.address}, an address of the agent, where no DNS server listens`,
        `name another server in ${c.file}`,
      ]
      : c.why === "REFUSED"
      ? [
        `the DNS server ${c.address} refuses ${c.container} (REFUSED)`,
        `look at ${c.address}: its access list must allow the container's or the agent's address`,
      ]
      : c.why === "ECONNREFUSED"
      ? [
        `nothing listens on port 53 of the DNS server ${c.address}`,
        "look whether the server runs",
      ]
      : [
        `the DNS server ${c.address} answers ${c.why} to every question`,
        `look at ${c.address}: what answers there, and what is between`,
      ],
  dns_servfail: (c) => [
    `the DNS server ${c.address} answers SERVFAIL: it can't resolve by itself`,
    `look at ${c.address}: its forwarders, or its way to the servers that know`,
  ],
  dns_wrong_answer: (c) => [
    `the DNS server ${c.address} ${c.why}`,
    `look at ${c.address}: its configuration, what answers there, and what is between`,
  ],
  dns_truncated: (c) => [
    `the DNS server ${c.address} truncates its answers over UDP and does not listen on TCP`,
    `look at ${c.address}: why it has no TCP, or its firewall`,
  ],
  dns_search_wildcard: (c) => [
    `${c.value} answers for every name, and ${c.container} tries names there first (search, ndots:${c.why})`,
    `take ${c.value} from "search" in ${c.file}, or lower ndots`,
  ],
  dns_search_silent: (c) => [
    `names under ${c.value}, which ${c.container} completes names with, are never answered: each costs a timeout`,
    `take ${c.value} from "search" in ${c.file}, or mend its servers`,
  ],
  dns_timeout_short: (c) => [
    `${c.container} waits ${c.value} s for an answer (options timeout:${c.value}), and ${c.address} takes ${c.why} ms`,
    `raise the timeout in ${c.file}, or find out why the server is slow`,
  ],
  dns_wrong_source: (c) => [
    `the DNS server ${c.address} answers from another address, ${c.other}`,
    `let it answer from ${c.address}: resolvers take no answer of another`,
  ],
  // Beyond the agent, and what nothing explains.
  outside_silent: (c) => [
    `${c.why === "dns" ? "the DNS server " : ""}${c.address} does not answer: the ${
      c.why === "dns" ? "question" : "packet"
    } leaves by ${c.device}, and nothing comes back`,
    `look at ${c.address}: whether it is up, its firewall, and its route back to ${c.other}`,
  ],
  lost: (c) => [
    `${c.container} fails: ${c.value}, and ${c.why}`,
    "nothing that was read explains it: look at what is between the last hop where it was seen and the next",
  ],
  no_time: (c) => [
    `${c.container} fails: ${c.value}, and there was no time to explain it`,
    "ask again, this container alone or when the machine has less to do",
  ],
} satisfies Record<string, Words>;

/** All codes that a cause can have. */
export type Code = keyof typeof WORDS;
export const CODES = Object.keys(WORDS) as Code[];

/** The sentence, and what to do where commands do not say it. */
export function wordsOf(code: Code, about: Values): ReturnType<Words> {
  return (WORDS[code] as Words)(about);
}

/** `iptables filter FORWARD`; of families that a program's name does not tell, with the family. */
export function chainText({ program, family, table, chain }: RuleRef): string {
  const of = program === "nft" && family !== "ip" && family !== "ip6" ? `${family} ` : "";
  return `${program} ${of}${table} ${chain}`;
}

/** A rule that does nearly what is missing. */
function near({ route }: Values): string {
  return route === undefined ? "" : `; one comes near: ${route}`;
}

function where({ rule, container }: Values): string {
  return `${chainText(rule!)}${container === undefined ? "" : ` in ${container}`}`;
}
