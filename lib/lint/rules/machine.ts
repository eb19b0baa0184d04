/** CNI8xx: what the configs need of the machine they are on (`--probe`). */
import { lookup } from "../../base/json.ts";
import { bitsOf, contains, overlap, showAddress, showNetwork } from "../../base/prefix.ts";
import { addressingOf, prefixesOf } from "../addressing.ts";
import { type PluginNode, PORT_MAPPER } from "../document.ts";
import type { Machine } from "../machine.ts";
import type { PluginsDir } from "../plugins_dir.ts";
import type { Found, WrittenRule } from "../rule.ts";
import { LEAST_VERSION } from "../../firewall/tool.ts";
import { entries, field, quote, text } from "../tree.ts";
import { attached, bridge, network, portMapper } from "./example.ts";

const OLDEST_IPTABLES = "1.8";
const isOlder = (version: string) =>
  version.localeCompare(OLDEST_IPTABLES, undefined, { numeric: true }) < 0;

/** Sockets and files that a plugin's daemon leaves, with the daemon's name. */
const DAEMONS: Record<string, { daemon: string; file: string; field?: string }> = {
  flannel: { daemon: "flanneld", file: "/run/flannel/subnet.env", field: "subnetFile" },
  "cilium-cni": { daemon: "cilium-agent", file: "/var/run/cilium/cilium.sock" },
  calico: { daemon: "calico-node", file: "/var/lib/calico/nodename" },
};

/** The kind of interface that a plugin makes. */
const KIND_OF: Readonly<Record<string, string>> = {
  ...{ macvlan: "macvlan", ipvlan: "ipvlan", vlan: "vlan", bridge: "bridge", ptp: "veth" },
  ...{ dummy: "dummy", vrf: "vrf" },
};

export const MACHINE: readonly WrittenRule[] = [
  {
    code: "CNI801",
    name: "missing-here",
    title: "a device, file, chain or sysctl that the plugin needs is not on this machine",
    why:
      "macvlan, ipvlan and vlan make their interface on top of a device of the host (without a " +
      '"master", of the default route), and host-device moves it into the container. host-local opens ' +
      '"resolvConf" for each container. "externalSetMarkChain" of portmap is a chain that another program ' +
      "keeps, such as kube-proxy. tuning writes to a file below /proc/sys in the container's network, " +
      "which lacks those of the host alone, and of modules that are not loaded.",
    bad: attached({ type: "macvlan", master: "nosuchdev0" }),
    needs: "--probe",
    *ofPlugin(plugin, { machine }) {
      if (!machine) return;
      yield* missingDevice(plugin, machine);
      yield* missingFile(plugin, machine);
      yield* missingChain(plugin, machine);
      yield* missingSysctls(plugin, machine);
    },
  },
  {
    code: "CNI802",
    name: "not-a-bridge",
    title: "the bridge's name belongs to a device that is no bridge",
    why:
      "The bridge plugin makes the bridge if there is no device of that name, and fails if there is " +
      "one of another kind.",
    bad: bridge({ bridge: "lo" }),
    needs: "--probe",
    *ofPlugin(plugin, { machine }) {
      if (!machine || plugin.type !== "bridge") return;
      const name = plugin.text("bridge") || "cni0";
      const device = machine.devices().find((device) => device.name === name);
      if (!device || device.kind === "bridge") return;
      yield {
        at: plugin.place("bridge"),
        message: `${quote(name)} is a device of this machine, and no bridge`,
        help: "choose another name for the bridge",
      };
    },
  },
  {
    code: "CNI803",
    name: "mtu-above-device",
    title: "the MTU is larger than that of the device below",
    why: "macvlan and vlan refuse it: what doesn't fit through the device can't be sent.",
    bad: attached({ type: "macvlan", master: "eth0", mtu: 9000 }),
    needs: "--probe, on a machine where eth0 has an MTU of less",
    good: attached({ type: "macvlan", master: "eth0", mtu: 1500 }),
    *ofPlugin(plugin, { machine }) {
      if (!machine || (plugin.type !== "macvlan" && plugin.type !== "vlan")) return;
      const master = plugin.text("master");
      const device = machine.devices().find((device) => device.name === master);
      const mtu = plugin.field("mtu");
      if (!device || mtu?.type !== "number" || mtu.value <= device.mtu) return;
      yield {
        at: mtu,
        message: `${quote(device.name)} has an MTU of ${device.mtu}`,
        help: `write at most ${device.mtu}, or leave "mtu" out`,
      };
    },
  },
  {
    code: "CNI804",
    name: "overlaps-host",
    severity: "warning",
    title: "the subnet overlaps with the machine's own addresses or routes",
    why:
      "The host sends traffic for those addresses to the containers' bridge from then on, and what was " +
      "there before is cut off: another network, a VPN, or the agent's master.",
    bad: bridge({}, { subnet: "127.0.0.0/8" }),
    needs: "--probe",
    *ofPlugin(plugin, { machine }) {
      // Containers on macvlan, ipvlan or vlan are meant to be in the host's network.
      if (!machine || (plugin.type !== "bridge" && plugin.type !== "ptp")) return;
      const own = plugin.type === "bridge" ? plugin.text("bridge") || "cni0" : undefined;
      for (const { subnet } of addressingOf(plugin).ranges) {
        const span = subnet?.value;
        if (!span) continue;
        const device = machine.devices().find((device) =>
          device.name !== own && device.addresses.some((address) =>
            isForeign(plugin, address) &&
            contains(span, address)
          )
        );
        const route = machine.routes().find(({ prefix, device }) =>
          device !== own && isForeign(plugin, prefix) && overlap(span, prefix)
        );
        const what = device
          ? `the address of ${quote(device.name)}`
          : route && `the route to ${showNetwork(route.prefix)} through ${quote(route.device)}`;
        if (!what) continue;
        yield {
          at: subnet.node,
          message: `${showNetwork(span)} takes in ${what} of this machine`,
          help: "choose a subnet that nothing else uses",
        };
      }
    },
  },
  {
    code: "CNI805",
    name: "iptables-missing",
    title: "there is no iptables, or one that is too old or lacks the comment match",
    why:
      "ipMasq, portmap, firewall and the port mapper write the rules of iptables. The plugins of " +
      "mesos-cni take nftables where there is none, unless the config names iptables; others fail. " +
      `The port mapper needs ${OLDEST_IPTABLES}, which says of which kind it is; ${LEAST_VERSION} is the ` +
      "oldest that it is tested with. It finds a container's rules by their comments.",
    bad: portMapper(),
    needs: "--probe, on a machine without iptables",
    good: portMapper(),
    *ofPlugin(plugin, { machine, plugins }) {
      const at = machine && usesIptables(plugin);
      if (!at) return;
      const version = machine.iptablesVersion();
      if (!version) {
        if (doesWithoutIptables(plugin, machine, plugins)) return;
        yield {
          at,
          message: `${plugin.type} needs iptables, which is not on this machine`,
          help: plugin.type === PORT_MAPPER
            ? 'install iptables, or write "backend": "nftables"'
            : "install iptables",
        };
      } else if (plugin.type === PORT_MAPPER && isOlder(version)) {
        yield {
          at,
          message:
            `this machine has iptables ${version}, and the port mapper needs ${OLDEST_IPTABLES}`,
          help: "update iptables",
        };
      } else if (plugin.type === PORT_MAPPER && !machine.hasCommentMatch()) {
        yield {
          at,
          message: "the iptables of this machine doesn't know the comment match",
          help: "install the iptables extensions and the kernel module xt_comment",
        };
      }
    },
  },
  {
    code: "CNI807",
    name: "kernel-lacks-link",
    title: "the kernel can't make interfaces of this kind",
    why:
      "Small kernels, such as those of virtual machines, are built without macvlan, ipvlan, vlan, dummy or vrf.",
    bad: attached({ type: "ipvlan", master: "eth0" }),
    needs: "--probe, on a kernel without ipvlan",
    *ofPlugin(plugin, { machine }) {
      const kind = lookup(KIND_OF, plugin.type ?? "");
      if (!machine || !kind || machine.canMake(kind) !== false) return;
      yield {
        at: plugin.typeNode,
        message: `this machine's kernel can't make ${kind} interfaces`,
        help: `load the module (modprobe ${
          kind === "vlan" ? "8021q" : kind
        }), or use another network`,
      };
    },
  },
  {
    code: "CNI808",
    name: "daemon-missing",
    severity: "warning",
    title: "the plugin's daemon doesn't run on this machine",
    why:
      "flannel, Calico and Cilium need their own daemon on each agent, dhcp needs its plugin as a " +
      "daemon: Mesos starts none of them. Looked for by the file or socket that the daemon leaves.",
    bad: network({ type: "flannel", subnetFile: "/run/nowhere/subnet.env" }),
    needs: "--probe",
    *ofPlugin(plugin, { machine }) {
      if (!machine) return;
      const main = lookup(DAEMONS, plugin.type ?? "");
      if (main && !plugin.isTrue("nodename_file_optional") && !plugin.field("nodename")) {
        const file = (main.field && plugin.text(main.field)) || main.file;
        yield* missingDaemon(machine, file, main.daemon, plugin.typeNode);
      }
      if (plugin.ipamType === "dhcp") {
        const socket = text(field(plugin.ipam, "daemonSocketPath")) || "/run/cni/dhcp.sock";
        yield* missingDaemon(machine, socket, "dhcp daemon", field(plugin.ipam, "type"));
      }
    },
  },
  {
    code: "CNI809",
    name: "agent-out-of-reach",
    severity: "warning",
    title: "the routes lead to none of this machine's addresses",
    why:
      "The executor in the container must reach the agent. The network has routes, but no default one, " +
      "and none of them, nor the subnet itself, takes in an address of this machine.",
    bad: bridge({ isGateway: false, ipMasq: false }, { routes: [{ dst: "198.51.100.0/24" }] }),
    needs: "--probe",
    *ofPlugin(plugin, { machine }) {
      const { routes } = addressingOf(plugin);
      if (!machine || routes.length === 0) return;
      // On its own gateway address, the bridge is the agent's machine.
      if (plugin.isGateway || plugin.type === "ptp" || plugin.isChained) return;
      if (plugin.role === "partial" || plugin.role === "network") return;
      const reached = [
        ...routes.map(({ dst }) => dst?.value),
        ...prefixesOf(plugin).map(({ prefix }) => prefix?.value),
      ];
      if (reached.some((prefix) => prefix === undefined)) return;
      const hosts = machine.devices().filter((device) => device.name !== "lo")
        .flatMap((device) => device.addresses);
      if (
        hosts.length === 0 ||
        hosts.some((host) => reached.some((prefix) => contains(prefix!, host)))
      ) {
        return;
      }
      yield {
        at: field(plugin.ipam, "routes"),
        message: `the routes lead to none of this machine's addresses (${
          hosts.slice(0, 3).map(showAddress).join(", ")
        })`,
        help: "add a route to the agent's address, or a default route",
      };
    },
  },
];

function* missingDevice(plugin: PluginNode, machine: Machine): Generator<Found> {
  if (plugin.isTrue("linkInContainer") || plugin.isChained) return;
  const key = { macvlan: "master", ipvlan: "master", vlan: "master", "host-device": "device" }[
    plugin.type ?? ""
  ];
  const name = key && plugin.text(key);
  if (name && !machine.devices().some((device) => device.name === name)) {
    yield {
      at: plugin.field(key),
      message: `there is no device ${quote(name)} on this machine`,
      help: `use one of ${deviceNames(machine)}`,
    };
  } else if (!name && key === "master" && plugin.type !== "vlan" && !machine.hasDefaultRoute()) {
    yield {
      at: plugin.typeNode,
      message: `${plugin.type} has no "master", and this machine no default route to take it from`,
      help: `add "master", one of ${deviceNames(machine)}`,
    };
  }
}

function* missingFile({ ipam, ipamType }: PluginNode, machine: Machine): Generator<Found> {
  const node = ipamType === "host-local" ? field(ipam, "resolvConf") : undefined;
  const path = text(node);
  if (!path || machine.mode(path) !== undefined) return;
  yield {
    at: node,
    message: `there is no file ${quote(path)} on this machine`,
    help: "name a file in the form of resolv.conf, or delete the key",
  };
}

function* missingChain(plugin: PluginNode, machine: Machine): Generator<Found> {
  const node = plugin.type === "portmap" ? plugin.field("externalSetMarkChain") : undefined;
  const chain = text(node);
  if (!chain || !machine.iptablesVersion() || machine.hasNatChain(chain) !== false) return;
  yield {
    at: node,
    message: `there is no chain ${quote(chain)} in the nat table of this machine`,
    help: 'delete it, or use "markMasqBit"',
  };
}

function* missingSysctls(plugin: PluginNode, machine: Machine): Generator<Found> {
  for (const { key, name } of plugin.type === "tuning" ? entries(plugin.field("sysctl")) : []) {
    // The name of the interface is that of the container's, which is made first.
    if (!/^net[./]/.test(name) || /IFNAME|\.\./.test(name)) continue;
    if (machine.hasSysctl(name.replaceAll(".", "/")) !== false) continue;
    yield {
      at: key,
      message: `this machine's kernel knows no ${quote(name)} in a container's network`,
      help: "look for its name below /proc/sys/net, or load the module that it belongs to",
    };
  }
}

function deviceNames(machine: Machine): string {
  const names = machine.devices().map((device) => device.name).filter((name) => name !== "lo");
  return names.slice(0, 8).join(", ") || "… (this machine has none but lo)";
}

/** ptp routes each of its containers by a route of its own. */
function isForeign(plugin: PluginNode, prefix: { family: 4 | 6; length: number }): boolean {
  return plugin.type !== "ptp" || prefix.length < bitsOf(prefix.family);
}

/** Where the config says that iptables will be run, if it does. */
function usesIptables(plugin: PluginNode): Found["at"] {
  const type = plugin.typeNode;
  switch (plugin.type) {
    case "bridge":
    case "ptp":
      return plugin.isTrue("ipMasq") && plugin.text("ipMasqBackend") !== "nftables"
        ? plugin.field("ipMasq")
        : undefined;
    case "portmap":
    case PORT_MAPPER:
      return plugin.text("backend") === "nftables" ? undefined : type;
    case "firewall":
      return plugin.text("backend") === "iptables" ? type : undefined;
  }
}

/** What is in no directory is part of this program as well. */
function doesWithoutIptables(plugin: PluginNode, machine: Machine, plugins?: PluginsDir): boolean {
  if (!plugins) return false;
  const file = plugins.find(plugin.type ?? "");
  const named = plugin.text("backend") === "iptables";
  const isMapper = plugin.type === "portmap" || plugin.type === PORT_MAPPER;
  return (file === undefined || machine.isThisProgram(file.path)) && !(named && isMapper);
}

function* missingDaemon(
  machine: Machine,
  file: string,
  daemon: string,
  at: Found["at"],
): Generator<Found> {
  if (machine.mode(file) !== undefined) return;
  yield { at, message: `${daemon} doesn't run here: there is no ${file}`, help: `start ${daemon}` };
}
