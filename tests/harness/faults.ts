/** Faults to make a healthy container ill with, each with the cause that must be named first. */
import { fromFileUrl } from "@std/path";
import {
  BRIDGE,
  CHAIN,
  type Clinic,
  end,
  NEIGHBOUR_PORT,
  NETWORK,
  type NETWORKS,
  PORT,
} from "./clinic.ts";

export interface Fault {
  /** What was done. */
  name: string;
  cause: string;
  inject(clinic: Clinic): Promise<unknown>;
  /** A container other than the patient that is made ill. */
  patient?: string;
  network?: keyof typeof NETWORKS;
}

const GATEWAY = "10.1.0.1";

const agent = (...argv: string[]) => (clinic: Clinic) => clinic.agent.ok(argv);
const patient = (...argv: string[]) => (clinic: Clinic) => clinic.patient.ok(argv);
const neighbour = (...argv: string[]) => (clinic: Clinic) => clinic.neighbour.ok(argv);
const words = (text: string) => text.split(" ");
const refuseRegistration = (verdict: "DROP" | "REJECT") =>
  agent(...words(`iptables -I INPUT -i ${BRIDGE} -p tcp --dport 5051 -j ${verdict}`));

export const FAULTS: readonly Fault[] = [
  {
    name: "the handle of the namespace is unmounted",
    cause: "namespace_gone",
    inject: (clinic) => clinic.agent.ok(["umount", `${clinic.patient.dir}/ns`]),
  },
  {
    name: "the container's last process has ended",
    cause: "process_gone",
    inject: (clinic) => clinic.patient[Symbol.asyncDispose](),
  },
  {
    name: "the result's checkpoint is cut off",
    cause: "checkpoint_torn",
    inject: ({ agent, patient }) =>
      agent.ok(["truncate", "-s20", patient.checkpoint(NETWORK, "eth0")]),
  },
  {
    name: "the config's checkpoint is empty",
    cause: "checkpoint_torn",
    inject: ({ agent, patient }) => agent.ok(["truncate", "-s0", patient.checkpoint(NETWORK)]),
  },
  {
    name: "no result was ever written",
    cause: "attach_unfinished",
    inject: ({ agent, patient }) => agent.ok(["rm", patient.checkpoint(NETWORK, "eth0")]),
  },
  { name: "lo is down", cause: "lo_down", inject: patient(...words("ip link set lo down")) },
  {
    name: "eth0 is down",
    cause: "interface_down",
    inject: patient(...words("ip link set eth0 down")),
  },
  {
    name: "the veth was deleted",
    cause: "interface_gone",
    inject: async (clinic) => clinic.agent.ok(["ip", "link", "del", await clinic.veth()]),
  },
  {
    name: "the agent's end of the veth is down",
    cause: "no_carrier",
    inject: async (clinic) => clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "down"]),
  },
  {
    name: "the agent's end of the veth was moved to another namespace",
    cause: "no_carrier",
    inject: async (clinic) =>
      clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "netns", `${clinic.outside.pid}`]),
  },
  {
    name: "the veth is off its bridge",
    cause: "veth_off_bridge",
    inject: async (clinic) =>
      clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "nomaster"]),
  },
  {
    name: "the veth is on another bridge",
    cause: "veth_off_bridge",
    inject: async (clinic) => {
      await clinic.agent.ok(words("ip link add other0 type bridge"));
      await clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "master", "other0"]);
    },
  },
  {
    name: "the bridge is down",
    cause: "bridge_down",
    inject: agent("ip", "link", "set", BRIDGE, "down"),
  },
  {
    name: "the bridge was deleted",
    cause: "bridge_gone",
    inject: agent("ip", "link", "del", BRIDGE),
  },
  {
    name: "the container's address was flushed",
    cause: "address_lost",
    inject: patient(...words("ip -4 address flush dev eth0")),
  },
  {
    name: "the container took another address",
    cause: "address_differs",
    inject: ({ patient, address }) =>
      patient.ok([
        "sh",
        "-ec",
        `ip address del ${address}/16 dev eth0; ip address add 10.1.77.77/16 dev eth0
        ip route replace default via ${GATEWAY}`,
      ]),
  },
  {
    name: "another container has the same address",
    cause: "duplicate_address",
    inject: (clinic) =>
      clinic.neighbour.ok(["ip", "address", "add", `${clinic.address}/16`, "dev", "eth0"]),
  },
  {
    name: "the default route was deleted",
    cause: "no_default_route",
    inject: patient(...words("ip route del default")),
  },
  {
    name: "the bridge has lost the gateway's address",
    cause: "gateway_address_lost",
    inject: agent("ip", "-4", "address", "flush", "dev", BRIDGE),
  },
  {
    name: "the gateway answers no ARP",
    cause: "gateway_silent",
    inject: agent("ip", "link", "set", BRIDGE, "arp", "off"),
  },
  {
    name: "a filter on the agent's end of the veth drops everything",
    cause: "gateway_silent",
    inject: async (clinic) => {
      const device = await clinic.veth();
      await clinic.agent.ok(["nft", "-f", "-"], {
        stdin: `table netdev guard {
          chain everything { type filter hook ingress device "${device}" priority 0; policy drop; }
        }\n`,
      });
    },
  },
  {
    name: "another container answers for the gateway",
    cause: "gateway_wrong_mac",
    inject: neighbour(...words(`ip address add ${GATEWAY}/16 dev eth0`)),
  },
  {
    name: "the container's neighbour table has a wrong address of the gateway",
    cause: "gateway_wrong_mac",
    inject: patient(
      ...words(`ip neighbour replace ${GATEWAY} lladdr 02:00:00:00:00:99 dev eth0 nud permanent`),
    ),
  },
  {
    name: "IP forwarding is off",
    cause: "forwarding_off",
    inject: agent(...words("sysctl -w net.ipv4.ip_forward=0")),
  },
  {
    name: "forwarding is off for the bridge alone",
    cause: "forwarding_off",
    inject: agent("sysctl", "-w", `net.ipv4.conf.${BRIDGE}.forwarding=0`),
  },
  {
    name: "the reverse-path filter is strict and the way back leads elsewhere",
    cause: "rp_filter",
    inject: async ({ agent, address }) => {
      await agent.ok(["sysctl", "-w", `net.ipv4.conf.${BRIDGE}.rp_filter=1`]);
      await agent.ok(["ip", "route", "add", `${address}/32`, "dev", "wan0"]);
    },
  },
  {
    name: "a route of the agent claims the container's address",
    cause: "host_route",
    inject: async ({ agent, address }) => {
      await agent.ok(words("sysctl -w net.ipv4.conf.all.rp_filter=0"));
      await agent.ok(["sysctl", "-w", `net.ipv4.conf.${BRIDGE}.rp_filter=0`]);
      await agent.ok(["ip", "route", "add", `${address}/32`, "dev", "wan0"]);
    },
  },
  {
    name: "the policy of FORWARD is DROP",
    cause: "forward_drop",
    inject: agent(...words("iptables -P FORWARD DROP")),
  },
  {
    name: "a rule rejects what the container sends",
    cause: "forward_drop",
    inject: ({ agent, address }) =>
      agent.ok(["iptables", "-I", "FORWARD", "-s", address, "-j", "REJECT"]),
  },
  {
    name: "a rule in a chain of its own drops the answers",
    cause: "forward_drop",
    inject: ({ agent }) =>
      agent.ok([
        "sh",
        "-ec",
        `iptables -N GUARD; iptables -A FORWARD -j GUARD
        iptables -A GUARD -o ${BRIDGE} -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j DROP`,
      ]),
  },
  {
    name: "POSTROUTING was flushed",
    cause: "masquerade_gone",
    inject: agent(...words("iptables -t nat -F POSTROUTING")),
  },
  {
    name: "the container's masquerading chain was flushed",
    cause: "masquerade_gone",
    inject: async ({ agent, address }) => {
      const rules = await agent.ok(words("iptables -t nat -S POSTROUTING"));
      const chain = new RegExp(`-s ${address}/32 .*-j (CNI-\\w+)`).exec(rules)![1]!;
      await agent.ok(["iptables", "-t", "nat", "-F", chain]);
    },
  },
  {
    name: "the chain of port mappings was flushed",
    cause: "dnat_missing",
    inject: agent("iptables", "-t", "nat", "-F", CHAIN),
  },
  {
    name: "the container's DNAT rule alone was removed",
    cause: "dnat_missing",
    inject: async ({ agent }) => {
      const rule = (await agent.ok(["iptables", "-t", "nat", "-S", CHAIN])).split("\n")
        .find((line) => line.includes(`--dport ${PORT} `))!;
      const script = rule.replace("-A", "iptables -t nat -D");
      await agent.ok(["sh", "-ec", script]);
    },
  },
  {
    name: "nothing jumps to the chain of port mappings",
    cause: "dnat_jump_missing",
    inject: agent(...words("iptables -t nat -F PREROUTING")),
  },
  {
    name: "an earlier rule takes the port",
    cause: "dnat_shadowed",
    inject: agent(
      ...words(
        `iptables -t nat -I PREROUTING -p tcp --dport ${PORT} -j DNAT --to-destination 192.0.2.9:80`,
      ),
    ),
  },
  {
    name: "a rule in the chain returns before the container's",
    cause: "dnat_shadowed",
    inject: agent(
      ...words(`iptables -t nat -I ${CHAIN} -p tcp -m multiport --dports 8000:8999 -j ACCEPT`),
    ),
  },
  {
    name: "the port leads to another container",
    cause: "dnat_elsewhere",
    inject: async ({ agent, neighbour, address }) => {
      const rule = (await agent.ok(["iptables", "-t", "nat", "-S", CHAIN])).split("\n")
        .find((line) => line.includes(`--dport ${PORT} `))!;
      const other = rule.replace(address, neighbour.addresses[0]!);
      await agent.ok(["sh", "-ec", rule.replace("-A", "iptables -t nat -D")]);
      await agent.ok(["sh", "-ec", other.replace("-A", "iptables -t nat -A")]);
    },
  },
  {
    name: "the table of nftables was deleted",
    cause: "dnat_missing",
    network: "nftables",
    inject: agent(...words("nft delete table inet mesos-cni")),
  },
  {
    name: "the element of nftables leads to another container",
    cause: "dnat_elsewhere",
    network: "nftables",
    inject: async ({ agent, neighbour }) => {
      const map = "inet mesos-cni ports4";
      const to = neighbour.addresses[0];
      await agent.ok(["nft", "-f", "-"], {
        stdin: `delete element ${map} { tcp . ${PORT} }
          add element ${map} { tcp . ${PORT} : ${to} . 80 }\n`,
      });
    },
  },
  {
    name: "the default route for IPv6 was deleted",
    cause: "no_default_route",
    network: "dualStack",
    inject: patient(...words("ip -6 route del default")),
  },
  {
    name: "the IPv6 address was removed",
    cause: "address_lost",
    network: "dualStack",
    inject: ({ patient }) =>
      patient.ok(["ip", "-6", "address", "flush", "dev", "eth0", "scope", "global"]),
  },
  {
    name: "another container has the same IPv6 address",
    cause: "duplicate_address",
    network: "dualStack",
    inject: async ({ patient, neighbour }) => {
      const address = patient.addresses.find((one) => one.includes(":"));
      // The bridge plugin turns detection off; other plugins leave it on.
      await patient.ok(words("sysctl -w net.ipv6.conf.eth0.accept_dad=1"));
      await patient.ok(["ip", "address", "del", `${address}/64`, "dev", "eth0"]);
      await neighbour.ok(["ip", "address", "add", `${address}/64`, "dev", "eth0", "nodad"]);
      await patient.ok(["ip", "address", "add", `${address}/64`, "dev", "eth0"]);
      await patient.ok([
        "sh",
        "-c",
        "sleep 2.5; ip address show eth0",
      ]);
    },
  },
  {
    name: "the bridge has lost the gateway's IPv6 address",
    cause: "gateway_address_lost",
    network: "dualStack",
    inject: agent("ip", "-6", "address", "flush", "dev", BRIDGE, "scope", "global"),
  },
  {
    name: "the agent's firewall drops neighbour discovery",
    cause: "gateway_silent",
    network: "dualStack",
    inject: async (clinic) => {
      await clinic.patient.ok(words("ip -6 neighbour flush dev eth0"));
      await clinic.agent.ok(words("ip6tables -A INPUT -p icmpv6 -j DROP"));
    },
  },
  {
    name: "IPv6 forwarding is off",
    cause: "forwarding_off",
    network: "dualStack",
    inject: agent(...words("sysctl -w net.ipv6.conf.all.forwarding=0")),
  },
  {
    name: "the policy of ip6tables' FORWARD is DROP",
    cause: "forward_drop",
    network: "dualStack",
    inject: agent(...words("ip6tables -P FORWARD DROP")),
  },
  {
    name: "ip6tables' chain of port mappings was flushed",
    cause: "dnat_missing",
    network: "dualStack",
    inject: agent("ip6tables", "-t", "nat", "-F", CHAIN),
  },
  {
    name: "a process of the agent listens on the port",
    cause: "host_port_taken",
    inject: async ({ agent }) => {
      await agent.ok(["sh", "-c", `busybox httpd -p ${PORT} -h /`]);
    },
  },
  {
    name: "a network without a port mapper was asked for a port",
    cause: "no_port_mapper",
    patient: "plain",
    inject: (clinic) =>
      clinic.admit("plain", [{
        name: "plain",
        type: "bridge",
        bridge: "plain0",
        isGateway: true,
        ipMasq: true,
        ipam: { type: "host-local", subnet: "10.3.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
      }], NEIGHBOUR_PORT + 1),
  },
  {
    name: "the way out has a smaller MTU",
    cause: "mtu_too_large",
    inject: agent(...words("ip link set wan0 mtu 1400")),
  },
  {
    name: "the bridge has a smaller MTU",
    cause: "mtu_too_large",
    inject: agent("ip", "link", "set", BRIDGE, "mtu", "1300"),
  },
  {
    name: "the DNS server drops questions",
    cause: "dns_unreachable",
    inject: ({ outside }) => outside.ok(words("iptables -A INPUT -p udp --dport 53 -j DROP")),
  },
  {
    name: "the DNS server's machine is gone",
    cause: "dns_unreachable",
    inject: ({ outside }) => outside.ok(words("ip link set eth0 down")),
  },
  {
    name: "the DNS server has stopped",
    cause: "dns_refused",
    inject: (clinic) => end(clinic.dns),
  },
  {
    name: "the DNS server refuses this client",
    cause: "dns_refused",
    inject: ({ refuseFile }) => Deno.writeTextFile(refuseFile, ""),
  },
  {
    name: "resolv.conf names a loopback address",
    cause: "dns_refused",
    patient: "plain",
    inject: async (clinic) => {
      const plain = await clinic.admit("plain", [{
        name: "plain",
        type: "bridge",
        bridge: "plain0",
        isGateway: true,
        ipMasq: true,
        ipam: { type: "host-local", subnet: "10.3.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
      }]);
      await clinic.agent.ok(["tee", `${plain.dir}/resolv.conf`], {
        stdin: "nameserver 127.0.0.53\n",
      });
    },
  },
  {
    name: "resolv.conf was unmounted in the container",
    cause: "resolv_conf_differs",
    inject: patient("umount", "/etc/resolv.conf"),
  },
  {
    name: "resolv.conf was written over",
    cause: "resolv_conf_differs",
    inject: ({ patient }) =>
      patient.ok(["tee", "/etc/resolv.conf"], { stdin: "nameserver 192.0.2.53\n" }),
  },
  {
    name: "the agent's firewall drops the executor's registration",
    cause: "agent_unreachable",
    inject: refuseRegistration("DROP"),
  },
  {
    name: "the agent's firewall rejects the executor's registration",
    cause: "agent_unreachable",
    inject: refuseRegistration("REJECT"),
  },
  {
    name: "the table of connections is full",
    cause: "conntrack_full",
    inject: async ({ agent }) => {
      await agent.ok(words("sysctl -w net.netfilter.nf_conntrack_udp_timeout=600"));
      // Packets that are sent off at once, since their neighbour is known, to nobody.
      await agent.ok(
        words("ip neighbour add 203.0.113.99 lladdr 02:00:00:00:00:99 dev wan0 nud permanent"),
      );
      const script = fromFileUrl(new URL("flood.ts", import.meta.url));
      const flags = words("run --quiet --no-check --allow-all");
      const map = fromFileUrl(
        new URL("../../tools/closed_network/import_map.json", import.meta.url),
      );
      await agent.ok([Deno.execPath(), ...flags, `--import-map=${map}`, script, "203.0.113.99"]);
    },
  },
  {
    name: "the IPAM store has forgotten the container",
    cause: "ipam_lost",
    inject: ({ agent, address }) => agent.ok(["rm", `/var/lib/cni/networks/${NETWORK}/${address}`]),
  },
  {
    name: "the IPAM store names another container",
    cause: "ipam_conflict",
    inject: ({ agent, address }) =>
      agent.ok(["tee", `/var/lib/cni/networks/${NETWORK}/${address}`], { stdin: "other\r\neth0" }),
  },
];
