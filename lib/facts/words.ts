/**
 * The one table of causes: of each code its sentence, and behind a bar what to do where commands
 * do not say it (they stand before). `{field}` is a value of the cause; `{field|word}`
 * has a word for where there is none; what stands in brackets is left out where a value in it is
 * missing. A code whose sentences differ has `code/WHY` for a value of `why`, or `code+field` where
 * there is such a value.
 */
import type { RuleRef, Values } from "./values.ts";

const WORDS = {
  // The container and its checkpoints.
  namespace_gone:
    "the network namespace of {container} is gone | the container can't have a network any more: after a reboot its isolator cleans it up; else do so: mesos-cni cleanup {container}",
  "namespace_gone+why":
    "the network namespace of {container} is gone | its process {why} lives, and keeps its network: restart the container, once its task may be stopped",
  namespace_elsewhere:
    "the network namespace of {container} lives, or may, where this program can't look | run it in the mount and process namespaces of the agent: nsenter --target=AGENT --mount --pid",
  namespace_unreadable:
    "the network namespace of {container} can't be looked into: {why} | look as root, in the mount and process namespaces of the agent",
  process_gone:
    "no process is left in {container} | the container has ended and was not cleaned up: the task's own log says why; mesos-cni cleanup {container} releases its addresses and ports",
  not_started:
    "{container} was not started yet | its runtime is at work; one that stays so is cleaned up by mesos-cni cleanup",
  checkpoint_torn:
    "the checkpoint of {device} on {network} is damaged | the file was cut off by a crash or changed by hand: restart the container. Its cleanup works without a result, and with a config from a backup",
  attach_unfinished:
    "{device} was never attached to {network} | the plugin is at work, has failed, or its caller was killed: the agent's log has the plugin's error; a container that stays so must be cleaned up and started again",
  checkpoint_empty:
    "{container} has no network | its attachment has not begun, or all its networks were detached",
  // Links.
  lo_down: "lo is down in {container} | whatever talks to 127.0.0.1 fails until then",
  interface_gone:
    "{device} is gone from {container} | somebody removed it, or its veth's other end on the agent: restart the container",
  // The kernel drops an interface's routes with it, and does not bring them back.
  interface_down: "{device} is down in {container} | routes that went with it must be added again",
  no_carrier:
    "{device} has no carrier | look at the device below it, at its other end or its ports, or at who moved its other end away",
  "no_carrier/its other end is down": "{device}, the agent's end of {other}, is down",
  "no_carrier/no port":
    "{device}, the agent's way out, is a bridge without a port: no wire is on it | make the agent's own interface a port of it again: ip link set … master {device}",
  "no_carrier/no carrier at its ports":
    "no port of {device}, the agent's way out, has a carrier: the other end of {other} is down | look at {other}",
  "no_carrier/no port up":
    "no port of {device}, the agent's way out, is up: {other} | look at {other}",
  link_down: "{device} is down",
  uplink_down:
    "{device}, by which the agent reaches {address|others}, is down | routes that went with it must be added again",
  uplink_enslaved:
    "{device}, by which the agent reaches others, is a port of {other}: what comes in by it goes to {other}, and not to its address | give {other} the address instead, or take {device} off it: ip link set {device} nomaster",
  interface_enslaved:
    "{device} of {container} is a port of {other}, which the container has made: what comes in by it goes to {other}, and not to its address | or give {other} its addresses and routes",
  noarp:
    "ARP is off on {device}[ of {container}]: no hardware address is asked for, and none is told",
  ipv6_disabled: "IPv6 is switched off on {device}: {setting} is 1",
  mtu_too_small:
    'the MTU of {device} is {mtu}: it drops packets of {bytes} bytes, which {other} sends | or set a smaller "mtu" for the network',
  "mtu_too_small/IPv6":
    "the MTU of {device} is {mtu}, and IPv6 needs {bytes}: the kernel has taken its IPv6 addresses away",
  "mtu_too_small/port of a bridge":
    "{device}, a port of {other}, takes packets of at most {mtu} bytes, and the bridge drops larger ones without a word | or, if the wire takes no more: ip link set {other} mtu {mtu}",
  "mtu_too_small/the kernel's word":
    "{device} takes no packet of that size | compare the MTU of {device} with that of the container's interface",
  mtu_too_large:
    "the MTU of {device} is {value}, and that of {other} {mtu}: what is larger is dropped without a word",
  pmtu_black_hole:
    'packets of {bytes} bytes leave by {device} and get no answer, smaller ones do: a hop beyond takes less, and its word of that (ICMP) does not come back | give the network a smaller "mtu", or let ICMP "fragmentation needed" (IPv6: packet too big) pass on the way',
  // The bridge and its ports.
  bridge_gone:
    "the bridge {device} is gone | the next container on the network makes it again; those that are running must be restarted, since their veths were its ports",
  bridge_down: "the bridge {device} is down | every container on it is cut off until then",
  veth_off_bridge: "{device}, the agent's end of {other} in {container}, is not on {wanted}",
  port_state: "the port {device} of {other} is in the state {value}, not forwarding",
  "port_state/STP":
    "the port {device} of {other} is in the state {value}, not forwarding: the bridge speaks STP, which lets a port wait and learn before it forwards | wait for twice the forward_delay of {other}; where no other bridge leads back to it, it needs no STP: ip link set {other} type bridge stp_state 0, and then bridge link set dev {device} state 3",
  port_hairpin:
    "{device} sends nothing back by {other} to whom it came from (hairpin): the container does not reach its own ports by the agent's address",
  port_locked:
    "the port {device} of {other} is locked: it takes frames of known hardware addresses only",
  port_isolated:
    "the ports {device} and {wanted} of {other} are isolated: they do not talk to each other",
  port_flood:
    "the port {device} of {other} is not flooded ({value} off): broadcasts such as ARP, multicasts such as neighbour discovery, or frames to who has been silent do not reach it",
  neigh_suppress: "the port {device} of {other} suppresses ARP and neighbour discovery",
  fdb_wrong:
    "the forwarding table of {other} leads {mac}, which is {container}, to {device} instead of {wanted} | if the entry comes back, somebody else sends with that address",
  vlan_differs: "{other} filters VLANs: {device} is in {value}, and {other} itself in {wanted}",
  // Addresses.
  address_lost: "{device} of {container} has lost {address}",
  address_differs:
    "{device} of {container} has {address} instead of {wanted} | somebody changed it inside the container: what is not in the checkpoint may be given to another container. Put the old one back, or restart the container",
  "address_differs/mask":
    "{device} of {container} has {address} instead of {wanted} | with another mask some of its neighbours are asked of the gateway, or the other way: put the old one back if it is not meant so",
  "address_differs/source":
    "{container} sends from {address}, which is not the address that it was given on {device} ({wanted}) | see who gave {device} {address}, and take it off",
  duplicate_address:
    "{address} of the agent is also somebody else's on {device}: {mac} answers for it | find the machine by its hardware address in the tables of the switches, and give it another address",
  "duplicate_address/several":
    "several machines on {device} have {address}: {mac} answer for it | find them by their hardware addresses in the tables of the switches, and take the address from all but one",
  "duplicate_address/DNS server inside":
    "{container} has the address of its DNS server, {address}, itself, on {device}: it asks itself",
  "duplicate_address/DNS server":
    "{address}, the DNS server of {container}, is also an address of the agent, on {device}: what is for the server the agent takes itself | take it from the agent if nobody needs it there, or name another server",
  "duplicate_address/agent":
    "{address} of {container} is also the agent's, on {device}: what is for the container the agent takes itself | take {address} out of the range of the container's network if the agent needs it, and start the container anew",
  "duplicate_address+other":
    "{address} of {container} is also container {other}'s | restart one of the two, and look why the address was given twice: two networks with overlapping ranges, or an IPAM store that was emptied",
  "duplicate_address+container":
    "{address} of {container} is also somebody else's | find the machine by its hardware address, and keep the IPAM range to containers alone",
  duplicate_mac:
    "{device} of {container} and {other} have one hardware address, {mac}: the bridge takes what is for the container itself | give one of them another: ip link set {other} address …",
  address_absent:
    "{address} is no address of this agent, and of no container on record: what is sent to it is not for them | look who should have it: one that moves between machines (keepalived) may be on another, or on none; of one that a router translates, ask for what it becomes",
  "duplicate_mac/a container":
    "{device} of {container} and container {other} have one hardware address, {mac}: their bridge gives what is for one to the other | restart one of them, and look where the address is from: the config of a network (mac), or a template",
  gateway_moved: "the gateway's address {gateway} is on {device} instead of {wanted}",
  "gateway_moved+other":
    "the gateway's address {gateway} is on {device} instead of {wanted}: it is also the gateway of network {other} | give one of the two networks another range, and start its containers anew",
  gateway_mask:
    "{device} has the gateway's address as {address}, and its network is {wanted}: the containers are outside of it",
  gateway_address_lost:
    "{device} has lost the gateway's address {gateway} | every container on the network needs it",
  uplink_address_lost:
    "the agent has no route to {address}: {device} is up and has no address of IPv{family} | give {device} its address again; the routes that went with it must be added again",
  // Neighbours: ARP and neighbour discovery.
  wrong_mac:
    "{container|the agent} sends what is for {address} on {device} to {mac}, and not to {wanted}, which has it | if it comes back so, find who answers for {address} with {mac}",
  "wrong_mac+other":
    "what {other} sends to {address} comes in by {device} for another hardware address, {mac}, and not for {wanted}, which {device} has | whoever passes it on there has a wrong or an old ARP entry for {address}: clear it on that router",
  gateway_wrong_mac:
    "{container} sends what is for the gateway {gateway} to {mac} | the entry was made by hand, or is older than the gateway",
  "gateway_wrong_mac/another machine":
    "{mac} answers for the gateway {gateway} | another machine has the gateway's address, by mistake or on purpose: find it by {mac} in the tables of the switches, and take the address from it",
  "gateway_wrong_mac/a container":
    "{mac} answers for the gateway {gateway} | container {value} has the gateway's address or answers for it: stop it, or look at {other} there: mesos-cni netns exec {value} -- ip address show {other}",
  "gateway_wrong_mac/one wire":
    "{mac} answers for the gateway {gateway} | {other} of this agent is on the same wire as {wanted} and answers for its addresses too: take {other} off that wire",
  "gateway_wrong_mac/proxy ARP":
    "{mac} answers for the gateway {gateway} | {other} of this agent answers for an address that the agent does not have: sysctl -w net.ipv4.conf.{other}.proxy_arp=0, and look for {gateway} in ip neighbour show proxy",
  proxy_missing:
    "a router on {device} asks there who has {address}, which is {container}'s, and nobody answers: no answer comes back | let the agent answer for it, as long as it is {container}'s; or let that router know that {address} is behind the agent",
  gateway_silent:
    "the agent hears who has {address} on {device}, and does not answer | look at {other}: ip -d link show {other}, and its arp_ignore, arp_filter and rp_filter",
  next_hop_silent:
    "nobody on {device} answers who has {address}, a next hop of the agent's route {route} | look whether {address} is there; what takes that way is lost until the route is without it",
  next_hop_swallows:
    "{address} on {device}, a next hop of the agent's route {route}, passes nothing on to {other}, and {value} does | look whether {address} forwards; what takes that way is lost until the route is without it",
  neighbour_silent:
    "nobody on {device} answers who has {address} | look whether {address} is there, and at the agent's route that leads by it: ip route get {wanted}",
  "neighbour_silent+other":
    "nobody answers {container} who has {address}, which is container {other}'s | look at it: mesos-cni diagnose {other}",
  "neighbour_silent+network":
    "nobody answers {container} who has {address}, which lies in its own subnet {route} of {network} | where {address} is another machine's, beyond the gateway, give {network} a subnet that is nobody else's; else look whether it is there",
  "neighbour_silent+container":
    "nobody answers {container} who has {address} | look whether anybody has {address} on that wire",
  container_silent:
    "{container} does not answer the agent who has {address} | look at {device} there: its address, and ip -d link show (NOARP)",
  arp_ignore: "{setting} is {value}: ARP for {address} is not answered on {device}",
  arp_filter: "{setting} is 1, and the route to who asks does not lead by {device}",
  // Routes and policy rules.
  no_default_route:
    "{container} has no default route for IPv{family} | nothing outside its own subnet is reached until then",
  route_lost: "{container} has lost its route to {route} | add it again, or restart the container",
  no_route: "{container} has no route to {address} | add a route",
  "no_route/given":
    "{container} has no route to {address} | {network} gave it a default route: add it again",
  "no_route+network":
    '{container} has no route to {address} | add "routes": [{ "dst": "0.0.0.0/0" }] to the "ipam" of {network} (mesos-cni lint says so as CNI414), and restart the container',
  route_refuses: "{container} refuses what is for {address} itself: {route}",
  rule_refuses: "{container} refuses what is for {address} itself: {route}",
  route_elsewhere: "{container} leads what is for {address} by {device} | correct that route",
  "route_elsewhere+route": "{container} leads what is for {address} by {device}: {route}",
  rule_elsewhere: "{container} leads what is for {address} by {device}: {route}",
  "rule_elsewhere/nobody there": "{container} is led to {address}, where nobody is, by {route}",
  wrong_source:
    "{container} sends from {address}, which is not the address that it was given on {device} ({wanted})",
  gateway_wrong:
    "the route of {container} to {route} leads by {address}, where nobody is; the network's gateway is {gateway}",
  "gateway_wrong+other":
    "{container|the agent} has a route by {gateway}, which is {other} and no gateway: {route}",
  redirected:
    "an ICMP redirect leads what {container|the agent} sends to {address} by {gateway}[, which is container {other}] on {device} | find out why it is sent: whoever sends redirects can read that traffic",
  main_rule_gone:
    "{container|the agent} has lost the policy rule of the main table: its routes are not looked at",
  connected_route_gone:
    "the agent has lost its route to {route} on {device}, where {address|its container} is",
  subnet_taken:
    "{device} of the agent, a bridge without a port, has the subnet that {address} is in ({value}): what is for that goes nowhere | give {device} another subnet, or it comes back: of Docker's networks, default-address-pools in daemon.json",
  host_route:
    "the agent leads answers to {container} ({address}) elsewhere: {why} | look for a route of another network, a VPN or a policy rule that covers the container's subnet, and for two bridges with the same one",
  "host_route+route":
    "the agent leads answers to {container} ({address}) elsewhere: {why}, by {route}",
  host_rule: "the agent leads what is for {address} elsewhere[ ({why})]: {route}",
  answer_astray:
    "answers to {address}, who comes by {device}, leave by {other}, where nothing from {value} is passed on | let each leave by the link that its connection came by: a mark of the connection's (iptables -t mangle: CONNMARK --set-mark for what comes by {device}, --restore-mark for what comes from containers), and a policy rule by which that mark leads to {device} (ip rule add fwmark … lookup …)",
  no_host_route: "the agent has no route to {address}: {why} | add a route to {address}",
  "no_host_route/no default":
    "the agent has no default route for IPv{family}, and none to what is asked for beyond its own links | add it again (ip route add default via …)",
  "no_host_route/default":
    "the agent has no default route for IPv{family}, and {network} gives its containers one: whatever is beyond {device} is out of their reach | add it again; one that came by itself is kept, on an agent that forwards, by net.ipv6.conf.{device}.accept_ra=2",
  "no_host_route+route": "the agent leads what is for {address} elsewhere ({why}): {route}",
  // Settings of the agent.
  forwarding_off:
    "the agent does not forward IPv{family}[ that comes in by {device}]: {setting} is 0 | set it in /etc/sysctl.d as well, so that it stays; something turned it off after the plugin had turned it on",
  rp_filter:
    "the reverse-path filter (rp_filter) of {device}[ in {container}] drops what comes from {address} | or correct the route to {address}, which leads {why} (a VPN or another network may claim it)",
  conntrack_full:
    "the agent's connection tracking table is full: new connections are dropped | find who opens so many (conntrack -L), or make room",
  "conntrack_full/another namespace's":
    "the agent's connection tracking table is full: new connections are dropped | raise net.netfilter.nf_conntrack_max, now {value}, in the machine's first network namespace",
  payload_lost:
    "a connection to {address} is made, and what is sent on it does not arrive: lost between {device} and {other} | look for a rule that goes by the content, the size or the bytes of a connection, and for a hop that takes smaller packets",
  conntrack_timeout:
    "connections are forgotten before a slow answer comes: {value} | set it in /etc/sysctl.d as well, so that it stays",
  fragments_lost:
    "{container|the agent} gives up packets that come in pieces too early: {setting} is {value} | set it in /etc/sysctl.d as well, so that it stays",
  conntrack_stale:
    "what {other} sends to port {port} goes to {address}, and not to {container}: its connection is tracked since before the port was mapped, and never pauses",
  ttl_too_small: "what {container} sends dies on its way: {setting} is {value}",
  // Rules.
  rule_drop:
    "a rule of {chain}[ in {container}] drops {why|the packet}: {rule} | {value|delete it if it is not meant so}",
  "rule_drop+container":
    "a rule of {chain} in {container} drops {why|the packet}: {rule} | it was made inside, and the task may need it: ask who made it",
  "policy_drop+container":
    "the policy of {chain} in {container} drops {why|the packet}: no rule takes it | it was made inside, and the task may need it: ask who made it",
  "rule_drop+other":
    "{address} is in the set {other}, of which a rule of {chain} drops {why|the packet}: {rule} | see who put it there, such as fail2ban, which may do so again",
  "rule_takes_some/ICMP":
    'a rule of {chain} has dropped {value} packets of ICMP, by which a hop says that it takes smaller ones ("fragmentation needed") too: {rule} | where such a hop is on the way, large answers get stuck: let ICMP pass that belongs to a connection (--ctstate RELATED)',
  "rule_takes_some/within":
    "a rule of {chain} has dropped {value} packets of connections that may begin, by what is in them: {rule} | delete it if it is not meant so",
  rule_takes_some:
    "a rule of {chain} has dropped {value} packets, by what no probe of ours has: {rule} | see whether it takes the packets that are missed",
  policy_drop:
    'the policy of {chain}[ in {container}] drops {why|the packet}: no rule takes it | {value|let it pass there, or chain the plugin "firewall" to the network}',
  rule_queues:
    "a rule of {chain}[ in {container}] hands the packet to a queue of NFQUEUE, which no program reads: {rule} | or start the program that should read it",
  "rule_queues+value":
    "a rule of {chain}[ in {container}] hands the packet to a queue of NFQUEUE, and it does not come back from there: {rule} | or start the program that should read it",
  rule_takes:
    "a rule of {chain}[ in {container}] takes the packet away: {rule} | delete it if it is not meant so",
  rule_ttl:
    "a rule of {chain} makes the packet too old to be forwarded: {rule} | delete it if it is not meant so",
  bridge_nat:
    "a rule of {chain} gives frames another hardware address: {rule} | delete it if it is not meant so",
  rule_rewrites:
    "a rule of {chain} writes the packet anew: {rule} | delete it if it is not meant so",
  notrack:
    "a rule of {chain} keeps it out of connection tracking, and so out of NAT: {rule} | delete it if it is not meant so",
  ct_zone:
    "a rule of {chain} puts it into a zone of connection tracking, and so out of NAT: {rule} | delete it if it is not meant so",
  wrong_snat:
    "what goes to {container} gets the source {address}, which is no address of the agent[: {chain}: {rule}] | correct the rule that translates it",
  "wrong_snat+device":
    "what goes out by {device} gets the source {address}, which is no address of the agent[: {chain}: {rule}] | correct the rule that translates it",
  client_hidden:
    "what comes to {container} from outside seems to come from {address} of the agent: a rule of {chain} translates it, and no program in {container} sees who asks: {rule} | delete it if it is not meant so; what lets in, limits or logs by address takes all clients for one",
  not_masqueraded:
    '{container} sends what is for {address} from {other} by {network}, which does not masquerade it: it leaves by {device}, and nothing comes back | lead it by a network that does, such as {value}; or set "ipMasq" in the config of {network}, or let those beyond know the way to {other}',
  tunnel_silent:
    "{device} sends what is for {address} to the tunnel's end {other}, which does not answer | look whether {other} is the agent that has {address}: bridge fdb show dev {device}",
  masquerade_gone:
    "nothing masquerades (MASQUERADE) what {container} sends out[ from {address} by {device}] | somebody flushed the nat table (a firewall's reload does so)",
  passage_gone:
    "nothing lets what {container} sends through the host's filter any more | somebody flushed the filter, or reloaded firewalld",
  isolation_gone:
    "rules that keep {container} and others apart are gone | somebody flushed the filter (ingressPolicy), or nf_tables' table bridge nat (macspoofchk)",
  "masquerade_gone/renamed":
    "what {container} sends leaves by {device} from {address}, and nothing masquerades it: a rule of {chain} does for {other}, and there is no such link: {rule} | if {device} was called {other}, let whoever made that rule name {device}",
  masquerade_shadowed:
    "a rule of {chain} takes what {container} sends before it is masqueraded: {rule} | delete it if it is not meant so",
  // Programs at a link.
  xdp_drop:
    "a program of XDP on {device}[ ({value})] drops the packet | {why|see whose it is: bpftool net}",
  tc_drop:
    "tc's {value} on {device} drops the packet | look at it first: tc -s {other|filter} show dev {device}",
  "tc_drop+why": "tc's {value} on {device} drops the packet | {why}",
  cgroup_drop:
    "a program of bpf at the cgroup of {container|whoever answers} drops what it sends | see whose it is: bpftool cgroup tree; IPAddressDeny of systemd, in the unit of the agent too, is such a program",
  "cgroup_drop/what comes":
    "a program of bpf at the cgroup of {container|whoever is asked}, or a filter of its own socket, drops what comes to it | see whose it is: bpftool cgroup tree; IPAddressDeny of systemd, in the unit of the agent too, is such a program; a socket's own filter (SO_ATTACH_FILTER) is its program's",
  "cgroup_drop/asked":
    "a program of bpf at the cgroup that mesos-cni runs in, or above it, drops what it asks: whether the container's own packets pass, nothing tells | ask from another cgroup, as a shell of root's; see whose it is: bpftool cgroup tree; IPAddressDeny of systemd, in the unit that runs mesos-cni, is such a program",
  tcx_not_judged:
    "{value} of tcx at the {why} of {device} stand where the packet is lost | what they do can't be read: see whose they are, bpftool net show dev {device}",
  queue_holds:
    "the queue {value} of {device} lets out less than comes: {bytes} packets wait in it, this one among them | look at its limits and classes first: tc -s class show dev {device}",
  queue_slow:
    "the queue {value} of {device} slows down what {container} sends or gets: {why} | who made it has meant another rate (those of the plugin bandwidth are bits in a second), or has forgotten a trial",
  bad_checksum:
    "the kernel drops the packet on {device}: its checksum is wrong | what changed it before did not compute it: a filter of tc or XDP (tc filter show dev {device}), or the device itself (ethtool -K {device} rx off)",
  xfrm_drop:
    "a policy of IPsec selects the packet, and there is no state to protect it by: {route} | look at who made it (strongSwan, Libreswan), and whether its peer answers: ip xfrm state",
  "xfrm_drop/block":
    "a policy of IPsec blocks the packet: {route} | look at who made it (strongSwan, Libreswan): ip xfrm policy",
  nat_ports_used_up:
    "a rule of {chain} may give no other port, and all of its are in use: {rule} | give it more ports or addresses, or see who holds them: conntrack -L",
  // Ports.
  no_port_mapper:
    "{network} can't map ports, and {device} asks for it | use a network whose config has mesos-cni-port-mapper (or portmap) in its chain",
  ports_left:
    "rules still lead {value} to {container}, whose network is gone | nobody has detached it, or a plugin did that knows nothing of them",
  port_rules_missing:
    "what the ports of {container} need is missing: {value} | somebody flushed rules (a firewall's reload does so), or took a setting back (sysctl --system)",
  dnat_missing:
    "no rule leads port {port} to {container}: none of nat {why} | somebody flushed the rules (a firewall's reload does so)",
  dnat_elsewhere:
    "port {port} leads to {address} port {value}, not to {container} port {wanted} | a rule of a container that is gone, or of one that took the port over",
  port_taken_by_rule:
    "a rule of {chain} leads what is for {address} port {port} elsewhere: {rule} | delete it if it is not meant so",
  "port_taken_by_rule+container":
    "a rule of {chain} in {container} leads what it sends to {address} port {port} elsewhere, where nobody answers: {rule} | look whether what it leads to runs in {container}, such as the proxy of a service mesh",
  "port_taken_by_rule/what comes":
    "a rule of {chain} in {container} leads what comes to its port {port} elsewhere, where nobody listens: {rule} | look whether what it leads to runs in {container}, such as the proxy of a service mesh",
  port_passed_by:
    "a rule of {chain} takes port {port} out before the rule that leads it to {address}: {rule} | delete it if it is not meant so",
  uplink_excluded:
    '"excludeDevices" of {network} names {device}, by which strangers come | name there the container\'s own devices, such as {other}, and restart it',
  "uplink_excluded+container":
    '"excludeDevices" of {network} names {device}, by which {container} asks: port {port} of the agent is led on for others alone | ask {address} itself; or take {device} out of it, and set "snat": true',
  host_port_taken:
    "a process of the agent listens on port {port} as well | connections from outside go to the container, those from the agent itself to either: stop the process, or give the container another port",
  nobody_listens:
    "nothing in {container} listens on {port} | the task may not be ready, or listens on another port: mesos-cni netns inspect {container}",
  "nobody_listens+setting":
    "{address} refuses: nothing there listens on {port}, which {setting} in the environment names as a proxy | if programs are to ask a proxy there, see whether it runs; else take it from {setting}",
  "nobody_listens/nested":
    "nothing in the network of {container} listens on {port}: {value} does, a process of its, in another network namespace | start it without a network namespace of its own (unshare --net, PrivateNetwork=, a runtime within the container)",
  "nobody_listens/refused":
    "{container} refuses: nothing there listens on {port} | the task may not be ready, or listens on another port: mesos-cni netns inspect {container}",
  "nobody_listens/refused by a host":
    "{address} refuses: nothing there listens on {port} | see whether the service runs on {address}",
  "nobody_listens/the agent":
    "{address}, which refuses, is the agent's own address on {device}: nothing there listens on {port} | let the service listen on the agent; if another machine is meant by {address}, take it from {device}: ip address del {address} dev {device}",
  listens_elsewhere:
    "the listener on {port} in {container|the agent} is bound to {address}, not to {wanted} | let it listen on {value}",
  "listens_elsewhere/IPv6 alone":
    "the listener on {port} in {container|the agent} is bound to :: and takes IPv6 alone (IPV6_V6ONLY) | let it listen on {value}",
  "listens_elsewhere+device":
    "the listener on {port} in {container|the agent} is bound to the device {device} (SO_BINDTODEVICE) | let it listen on every device",
  backlog_full:
    "the backlog of the listener on {port} in {container|the agent} is full: it takes no more connections | its process does not accept what waits: look at that process, or let it listen with a larger backlog",
  listener_deaf:
    "{value}, which listens on {port} in {container|the agent}, accepts no connection | look at what it does meanwhile: its log, and the stacks of its threads",
  "listener_deaf/unread":
    "{value}, which listens on {port} in {container|the agent}, reads nothing of what is sent to it | look at what it does meanwhile: its log, and the stacks of its threads",
  "listener_deaf/stopped":
    "{value}, which listens on {port} in {container|the agent}, is stopped, by SIGSTOP or by a debugger | look who stopped it; kill -CONT lets it go on",
  "listener_deaf/frozen":
    "{value}, which listens on {port} in {container|the agent}, is frozen by its cgroup | look who froze it: it goes on once its cgroup is thawed",
  "listener_deaf/memory":
    "{value}, which listens on {port} in {container|the agent}, waits for memory: its cgroup has no more | raise the limit, or look what uses it up",
  "listener_deaf/processes":
    "{value}, which listens on {port} in {container|the agent}, can start no process or thread: its cgroup has as many as may be | raise the limit, or look what does not end",
  "listener_deaf/blocked":
    "{value}, which listens on {port} in {container|the agent}, waits in the kernel (state D) | look at what it waits for: a disk, or a file system of the network",
  "listener_deaf/descriptors":
    "{value}, which listens on {port} in {container|the agent}, has no file descriptor left for a connection | raise its limit (ulimit -n), or look what it leaves open",
  listener_resets:
    "{value|the process} that listens on {port} takes what comes by {address} and resets it before anything is said: no rule does | look at its log, and at whom it lets in",
  "listener_resets/HTTP":
    "{address} takes a connection to {port} and resets it when it is sent a request of HTTP | if it speaks HTTP, look at its log and at what is between that resets; if not, that may be its answer",
  listener_silent:
    "{address} takes a connection to {port} and a request of HTTP, and says nothing: no answer | if it speaks HTTP, look at its log and at what is between that may take connections for it; if not, that may be its answer",
  cgroup_limit:
    "programs of {container} get no more {why}: the limit of their cgroup is reached | raise the limit, or look what uses it up",
  connection_stalled:
    "{container} has sent {value} again and again to {address} port {port}, and nothing acknowledges it: the connection is dead, and its program waits | where a new one is answered, a table of connections on the way has forgotten this one, or drops what is large: let the program make it anew (keepalives find that out by themselves), and see what was restarted or flushed on the way",
  connection_half_open:
    "{address} asks {container} for connections to {port}, and acknowledges no answer | its answers are lost on the way back, or it asks in another's name (SYN flood): look for both at {address}, and between",
  socket_overflow:
    "{container} throws away what is sent to it, since its programs do not take it as fast: {value} | look what they do meanwhile, and give them a larger backlog or buffer (net.core.somaxconn, SO_RCVBUF)",
  // The store of addresses.
  ipam_lost:
    "the IPAM store has forgotten that {address} is {container}'s | host-local will give {address} to the next container: write the container's id into {file}, or restart the container",
  ipam_conflict:
    "the IPAM store says that {address} of {container} is another's | two containers may use {address}: restart the one that came later",
  // The agent.
  agent_gone:
    "no Mesos agent runs, and containers of one are here | look why it ended (journalctl -u mesos-slave); its containers go on and are cleaned up when it is back",
  agent_unreachable:
    "nothing listens at {address} port {port}: the agent listens on another address, or is not running | see where it listens (ss -ltnp), and start it with an --ip and --port that containers reach. The executor can't register until then",
  agent_listens_elsewhere:
    "the agent listens on {other} port {port}, not on {address} | start it with an --ip that containers reach, such as {address}",
  plugin_missing:
    "{network} needs the plugin {value}, which is not in {file} | install it there: mesos-cni install --plugins=all, or Debian's containernetworking-plugins",
  plugin_stale:
    "the launcher of {value} in {file} is another release's, and answers VERSION as that one did | write it anew: mesos-cni install",
  config_errors:
    "{file} has errors by its rules: {value} | what is wrong, and where: mesos-cni lint {file}",
  addresses_used_up:
    "{network} has no free address: {value} | give it a larger range, or see what holds leases of containers that are gone: mesos-cni gc",
  disk_full: "the disk of {file} has no room: {value} | checkpoints can't be written: free some",
  // Name resolution.
  resolv_conf_differs:
    "the resolv.conf of {container} is not what its networks say | somebody changed it, from inside the container or on the agent: write it again, or restart the container",
  "resolv_conf_differs/seen":
    "{container} sees another resolv.conf than the isolator made for it | it was replaced or unmounted inside the container; if that is not meant so, restart the container",
  file_unreadable:
    "{file} of {container} can't be read by user {value}, as whom its programs run | let everybody read it (chmod a+r): by it names are resolved",
  no_nameserver:
    'the resolv.conf of {container} names no server | give the network a server by its "dns", or all containers one by --default_container_dns',
  bad_nameserver:
    "the resolv.conf of {container} names {value}, which is no address | correct it; a resolver passes over such a line",
  no_dns_lookup:
    "the nsswitch.conf of {container} has no dns for hosts, so programs ask no server | add dns to that line",
  nameserver_absent:
    '{container} is told to ask the DNS server {address}, and nobody is there | look whether that server is up; else name another in resolv.conf: the network\'s "dns"',
  dns_refused:
    "the DNS server {address} answers {why} to every question | look at {address}: what answers there, and what is between",
  "dns_refused/loopback":
    '{container} is told to ask {address}, where nothing listens in its own network | {address} is the agent\'s own resolver, which no other network namespace reaches: give the network a server by its "dns" or by --default_container_dns',
  "dns_refused/agent":
    "{container} is told to ask {address}, an address of the agent, where no DNS server listens | name another server in {file}",
  "dns_refused/REFUSED":
    "the DNS server {address} refuses {container} (REFUSED) | look at {address}: its access list must allow the container's or the agent's address",
  "dns_refused/ECONNREFUSED":
    "nothing listens on port 53 of the DNS server {address} | look whether the server runs",
  dns_no_tcp:
    "{container} asks its DNS server {address} over TCP alone (use-vc in {file}), and it does not listen on TCP | take use-vc out of {file}, or let the server listen on TCP",
  "dns_no_tcp/lost":
    "the DNS server {address} answers over UDP, and what asks it over TCP is lost beyond the agent: answers that are too long for UDP do not come | let 53/tcp pass to {address} as well",
  dns_servfail:
    "the DNS server {address} answers SERVFAIL: it can't resolve by itself | look at {address}: its forwarders, or its way to the servers that know",
  dns_wrong_answer:
    "the DNS server {address} {why} | look at {address}: its configuration, what answers there, and what is between",
  "dns_wrong_answer/agent":
    "the DNS server {address} says that {value}, this agent, is {other}, which is none of its addresses and takes no connection on port 5051 | correct that record: an executor that looks up its agent by name can't register",
  "dns_truncated/lost":
    "the DNS server {address} truncates its answer for {value} over UDP, and over TCP none comes ({other}) | look at {address}, and at what is before it: TCP to port 53 must pass",
  dns_no_aaaa:
    "the DNS server {address} never answers questions for addresses of IPv6 (AAAA): each name costs a timeout | look at {address}, and at what is before it",
  dns_truncated:
    "the DNS server {address} truncates its answers over UDP and does not listen on TCP | look at {address}: why it has no TCP, or its firewall",
  name_half_dead:
    "{value} has several addresses: {address} does not answer {container}, {other} does | programs that take the first one hang: look at {address}, or take it from the records of {value}",
  name_without_address:
    "{container} finds no address for {value}: {address} knows the name, and none of its addresses | let whoever keeps that zone add an A or AAAA record, or correct the name",
  "name_without_address/NXDOMAIN":
    "{container} finds no address for {value}: {address} says that there is no such name (NXDOMAIN) | correct the name, or let {container} ask a server that knows it",
  "name_without_address/alias":
    "{container} finds no address for {value}: {address} says that it is an alias (CNAME) of a name that has none | correct the alias, or the name that it leads to, with whoever keeps that zone",
  dns_search_wildcard:
    '{value} answers for every name, and {container} tries names there first (search, ndots:{why}) | take {value} from "search" in {file}, or lower ndots',
  dns_search_silent:
    'names under {value}, which {container} completes names with, are never answered: each costs a timeout | take {value} from "search" in {file}, or mend its servers',
  dns_timeout_short:
    "{container} waits {value} s for an answer (options timeout:{value}), and {address} takes {why} ms | raise the timeout in {file}, or find out why the server is slow",
  "dns_servfail/silent":
    "the DNS server {address} of the agent, {value}, takes the question and gives no answer: the servers that it asks in turn are silent | look at its forwarders, and at the agent's own way to them",
  dns_wrong_source:
    "the DNS server {address} answers from another address, {other} | let it answer from {address}: resolvers take no answer of another",
  // Beyond the agent, and what nothing explains.
  outside_silent:
    "{address} does not answer: the packet leaves by {device}, and nothing comes back | look at {address}: whether it is up, its firewall, and its route back to {other}",
  "outside_silent+setting":
    "{address} does not answer, which {setting} in the environment names as a proxy: the packet leaves by {device}, and nothing comes back | look whether the proxy is up; else take it from {setting}",
  "outside_silent/tunnel":
    "{address} does not answer: {device} sends what is for it to the tunnel's end {value}, which answers no echo of the agent's either | look whether {value} is still the machine that has {address}, is up, and lets the tunnel in",
  "outside_silent/dns":
    "the DNS server {address} does not answer: the question leaves by {device}, and nothing comes back | look at {address}: whether it is up, its firewall, and its route back to {other}",
  "outside_silent/the agent alone":
    "{address} answers the agent and not {container}: its packet leaves by {device} as {other}, and nothing comes back | look at {address} and what is before it: which addresses, ports and paths its firewall lets through, and its route back to {other}",
  "outside_silent/its own hardware address":
    "{address} answers the agent and not {container}: its packet leaves by {device} as {other} from a hardware address of its own ({mac}), and nothing comes back | look whether the switch or the hypervisor behind {device} lets more than one hardware address pass (port security, forged transmits); then at {address}: its firewall, and its route back to {other}",
  answer_from_another:
    "what {container} sends to {address} is answered from {other}, and a connection takes no answer of another: it is dropped here | let {other} answer from {address}: a balancer that rewrites the destination needs the answers back, or servers that have {address} themselves",
  hop_refuses:
    "{other} refuses what is for {address}: {value} | look at {other}: its firewall, and its routes to {address}",
  answer_late:
    "{address} answers {container|the agent} only after {value}, which pass between {device} and {other} | look there for a queue that holds packets, a link that is slow, or a detour: TCP sends its SYN again after 1 s, and resolvers of names give up after 5 s",
  ecn_lost:
    "{address} answers the agent and not {container}, whose SYNs ask for ECN ({setting} is {value}): something beyond drops those | or let pass on the way what asks for it (RFC 3168)",
  local_ports_used_up:
    "{container|the agent} has no local port left[ to {address}]: {setting} is {value}[, of which {why} are reserved (ip_local_reserved_ports)][, and its connections have {other}] | give it a larger range[, reserve fewer than {why}], or find what leaves so many connections open",
  ephemeral_ports_lost:
    "connections of {container|the agent} to {address} are lost if they come from the ports that the kernel gives out ({setting} is {value}), and others are not | look for a rule, or an access list beyond, that goes by the port that a connection comes from",
  macvlan_parent:
    "{address} is on {other}, the device below {device} of {container}: a {value} never reaches it | give the agent a {value} of its own there, or the container another network",
  hosts_differ:
    "{file} of {container} has {address} for {value}, which does not answer, and DNS has {other}, which does | correct {file}",
  "hosts_differ/lacks":
    "the hosts file of {container} has no line for {value}, which the isolator wrote into it: programs that ask for that fail | add one to {file}: {address} {value}",
  "packets_lost/beyond":
    "some connections of {container} to {address} are answered, and some are not ({value}): all leave by {device}, each from a source port of its own | where {address} is a balancer's, one of its backends may be dead; or one of several paths beyond is, which is chosen by the ports",
  packets_lost:
    "of the packets of {container} to {address}, {value}, between {device} and {other} | a link, a queue or a limit on the way that takes some and lets others pass: look at its counters (ip -s link, tc -s qdisc), and at what is between",
  lost:
    "{container} fails: {value}, and {why} | nothing that was read explains it: look at what is between the last hop where it was seen and the next",
  no_time:
    "{container} fails: {value}, and there was no time to explain it | ask again, this container alone or when the machine has less to do",
} as const;

type Key = keyof typeof WORDS;
/** A code that a cause can have; every one has a row of its own. */
export type Code = Exclude<Key, `${string}/${string}` | `${string}+${string}`>;
export const CODES = Object.keys(WORDS).filter((key) => !/[/+]/.test(key)) as Code[];
/** Whose sentences differ by a value, as `code/WHY` and `code+field`. */
export const VARIANTS = Object.keys(WORDS).filter((key) => /[/+]/.test(key));

/** Keys of a code that ask for a value, such as `no_route+network`. */
const BY_FIELD = Map.groupBy(
  VARIANTS.filter((key) => key.includes("+")),
  (key) => key.split("+")[0]!,
);

/** The sentence of a cause, and what to do where commands do not say it. */
export function wordsOf(code: Code, about: Values): string[] {
  const rows: Partial<Record<string, string>> = WORDS;
  const field = BY_FIELD.get(code)?.find((key) =>
    about[key.slice(code.length + 1) as keyof Values] !== undefined
  );
  const row = rows[`${code}/${about.why}`] ?? rows[field ?? code]!;
  return row.split(" | ").map((one) => filled(one, about));
}

function filled(sentence: string, about: Values): string {
  const { rule } = about;
  const values = { ...about, ...rule ? { chain: chainText(rule), rule: rule.text } : {} };
  const value = (name: string) => (values as Record<string, unknown>)[name];
  return sentence.replaceAll(
    /\[([^[\]]*\{\w+\}[^[\]]*)\]/g,
    (_, part: string) =>
      [...part.matchAll(/\{(\w+)\}/g)].every(([, name]) => value(name!) !== undefined) ? part : "",
  )
    .replaceAll(
      /\{(\w+)(?:\|([^}]*))?\}/g,
      (_, name: string, other?: string) => String(value(name) ?? other),
    );
}

/** `iptables filter FORWARD`; of families that a program's name does not tell, with the family. */
export function chainText({ program, family, table, chain }: RuleRef): string {
  const of = program === "nft" && family !== "ip" && family !== "ip6" ? `${family} ` : "";
  return `${program} ${of}${table} ${chain}`;
}
