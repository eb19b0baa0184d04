/** Port mappings: whether a port of the agent leads to the container, and to nobody else. */
import type { JsonObject } from "../../base/json.ts";
import { commentOf } from "../../ports/mapping.ts";
import { restoreMissing } from "../../ports/mod.ts";
import { listeners } from "../../netlink/sock_diag.ts";
import type { PortMapping } from "../../containers/checkpoint.ts";
import { type Finding, type Fix, problem } from "../finding.ts";
import { destinationAddress } from "../../netns/inspect.ts";
import type { NetworkAddress } from "../../containers/network_address.ts";
import { socketOwner } from "../../containers/processes.ts";
import type { FirewallRule, RuleTable } from "../../packetpath/parse.ts";
import { walk } from "../../packetpath/walk.ts";
import { type Attached, pluginOf, type Scene } from "../scene.ts";
import { doubt } from "./masquerade.ts";
import { accepts, listenersOf, type Mapped, MAPPERS } from "../mapped.ts";
import { outputIn } from "../observe/counters.ts";
import { fullBacklog } from "./backlog.ts";
import { nftablesMapping } from "../../packetpath/nftables.ts";

/** More mappings than that are not looked at. */
const MOST_MAPPINGS = 32;

/** What is wrong with a port without sending anything to it. */
export function probePortState(scene: Scene): Finding[] {
  return scene.interfaces.flatMap((attached) => {
    const { checkpoint } = attached;
    const mappings = checkpoint?.portMappings ?? [];
    if (mappings.length === 0) return [];
    if (!pluginOf(checkpoint, ...MAPPERS)) return [noMapper(attached)];
    return mappings.slice(0, MOST_MAPPINGS).flatMap((mapping) => taken(mapping));
  });
}

/** Why a port's question failed: what its rules say, and who listens behind it. */
export async function portReasons(
  scene: Scene,
  { attached, mapping, address, uplink }: Mapped,
  detail: string,
  stranger?: string,
): Promise<Finding[]> {
  const mapper = pluginOf(attached.checkpoint, ...MAPPERS)!;
  const listening = await listenerReasons(scene, mapping, address, detail);
  if (listening.length > 0) return listening;
  if (mapper.type !== MAPPERS[0]) return [];
  const excluded = Array.isArray(mapper.excludeDevices) ? mapper.excludeDevices : [];
  if (stranger !== undefined && excluded.includes(uplink.link.name)) {
    return [problem(
      "uplink_excluded",
      ["portmap", "uplink"],
      `"excludeDevices" of ${
        attached.checkpoint!.network
      } names ${uplink.link.name}, by which strangers come`,
      [`its rules pass by what comes in by ${excluded.join(", ")}`],
      `name there the container's own devices, such as ${
        attached.bridge?.name ?? "its bridge"
      }, and restart it`,
    )];
  }
  return mapper.backend === "nftables" ? nftables(scene, mapping, address) : await iptables(
    scene,
    mapper,
    mapping,
    address,
    stranger === undefined ? "OUTPUT" : "PREROUTING",
  );
}

async function listenerReasons(
  scene: Scene,
  mapping: PortMapping,
  address: NetworkAddress,
  detail: string,
): Promise<Finding[]> {
  if (
    detail !== "the container refuses the connection" &&
    detail !== "the container refuses the packet" && detail !== "the container does not answer" &&
    detail !== "ECONNREFUSED"
  ) {
    return [];
  }
  const port = `${mapping.containerPort}/${mapping.protocol}`;
  const listening = listenersOf(scene, mapping);
  const open = listening.filter((one) => accepts(one, address));
  if (detail === "the container does not answer") {
    const full = await fullBacklog(scene.inside.netns, mapping.containerPort);
    return full === undefined ? [] : [backlogFull(scene, port, full)];
  }
  if (listening.length === 0) {
    return detail === "ECONNREFUSED" ? [] : [problem(
      "nobody_listens",
      ["listener", "container"],
      `nothing in ${scene.name} listens on ${port}`,
      [`port ${mapping.hostPort} of the agent leads there, and the container refuses`],
      "the task may not be ready, or listens on another port",
    )];
  }
  const only6 = open.length > 0 && open.every(({ localAddress }) => localAddress === "::") &&
    address.family === 4;
  const full = open.length > 0 && !only6
    ? await fullBacklog(scene.inside.netns, mapping.containerPort)
    : undefined;
  if (full !== undefined) return [backlogFull(scene, port, full)];
  const bound = open.length > 0 && !only6 ? await boundDevice(scene, mapping) : undefined;
  if (bound !== undefined) {
    return [problem(
      "listens_elsewhere",
      ["listener", "container"],
      `the listener on ${port} in ${scene.name} is bound to the device ${bound} (SO_BINDTODEVICE)`,
      [`port ${mapping.hostPort} of the agent leads to ${address.address}:${mapping.containerPort}, which refuses`],
      "let it listen on every device",
    )];
  }
  if (open.length > 0 && !only6) return [];
  const where = [...new Set(listening.map(({ localAddress }) => localAddress))].join(", ");
  return [problem(
    "listens_elsewhere",
    ["listener", "container"],
    only6
      ? `the listener on ${port} in ${scene.name} is bound to :: and takes IPv6 alone (IPV6_V6ONLY)`
      : `the listener on ${port} in ${scene.name} is bound to ${where}, not to ${address.address}`,
    [`port ${mapping.hostPort} of the agent leads to ${address.address}:${mapping.containerPort}, which refuses`],
    `let it listen on ${address.family === 4 ? "0.0.0.0" : "::"}`,
  )];
}

function backlogFull({ name }: Scene, port: string, seen: string): Finding {
  return problem(
    "backlog_full",
    ["listener", "container"],
    `the backlog of the listener on ${port} in ${name} is full: it takes no more connections`,
    [seen],
    "its process does not accept what waits: look at that process, or let it listen with a larger backlog",
  );
}

/** The device that a listener is bound to. */
async function boundDevice(
  { inside }: Scene,
  { containerPort, protocol }: PortMapping,
): Promise<string | undefined> {
  const text = await outputIn(inside.netns, "ss", [
    protocol === "udp" ? "-Hlnu" : "-Hlnt",
    `sport = :${containerPort}`,
  ]);
  return /%([^:\s\]]+)[\]]?:\d+/.exec(text)?.[1];
}

function noMapper({ ifName, checkpoint }: Attached): Finding {
  return problem(
    "no_port_mapper",
    ["portmap", "agent"],
    `${checkpoint!.network} can't map ports, and ${ifName} asks for it`,
    [`its plugins are ${checkpoint!.plugins.map(({ type }) => type).join(", ")}`],
    "use a network whose config has mesos-cni-port-mapper (or portmap) in its chain",
  );
}

async function iptables(
  scene: Scene,
  mapper: JsonObject,
  mapping: PortMapping,
  given: NetworkAddress,
  hook: "PREROUTING" | "OUTPUT",
): Promise<Finding[]> {
  const { family, address } = given;
  const nat = await scene.rules("nat", family);
  if (!nat) {
    return family === 6 ? [] : [problem(
      "iptables_missing",
      ["portmap", "agent"],
      "iptables is not installed, and the network's ports are mapped by it",
      ["there is no iptables in PATH"],
      'install iptables, or map ports by nftables: "backend": "nftables"',
    )];
  }
  const uplink = scene.uplink(family);
  const own = ownRules(nat, scene, mapping, given);
  // The original mapper, and portmap without an IPv6 address, make rules for IPv4 alone.
  if (family === 6 && own.length === 0 && !chainOf(nat, mapper)) return [];
  const excluded = Array.isArray(mapper.excludeDevices) ? mapper.excludeDevices : [];
  const device = uplink?.link.name;
  const verdict = walk(nat, hook, {
    protocol: mapping.protocol,
    source: uplink?.somewhere ?? (family === 4 ? "192.0.2.1" : "2001:db8::1"),
    destination: uplink?.agentAddress ?? (family === 4 ? "192.0.2.2" : "2001:db8::2"),
    sourcePort: 40000,
    destinationPort: mapping.hostPort,
    // Any other device, if the way out is one of those that are left alone.
    input: hook === "OUTPUT"
      ? undefined
      : device === undefined || excluded.includes(device)
      ? "some0"
      : device,
    toHost: true,
    state: "NEW",
  });
  const { rule } = verdict;
  const leadsTo = rule?.toDestination;
  if (rule && leadsTo !== undefined && leadsHere(leadsTo, mapping, address)) return [];
  const fix = scene.container && restore(scene.container.id);
  const port = `${mapping.hostPort}/${mapping.protocol}`;
  const wanted = `${address}:${mapping.containerPort}`;
  if (rule && own.length > 0) {
    return [problem(
      "dnat_shadowed",
      ["portmap", "agent"],
      `an earlier rule takes port ${port} away from ${scene.name}`,
      [
        `the rule that decides: ${rule.text}`,
        `the container's own comes later: ${own[0]!.text}`,
        ...owners(scene, leadsTo),
      ],
      "remove the earlier rule, or give the container another port",
    )];
  }
  if (rule && leadsTo !== undefined) {
    return [problem(
      "dnat_elsewhere",
      ["portmap", "agent"],
      `port ${port} leads to ${leadsTo}, not to ${scene.name}`,
      [`the rule that decides: ${rule.text}`, ...owners(scene, leadsTo)],
      `a rule of a container that is gone, or of one that took the port over: remove it, and put ` +
        `back the one to ${wanted}`,
      fix,
    )];
  }
  if (own.length > 0) {
    return [problem(
      "dnat_jump_missing",
      ["portmap", "agent"],
      `nothing leads to the rule for port ${port} of ${scene.name}`,
      [`its rule: ${own[0]!.text}`, `no rule of nat ${hook} leads to it`, ...doubt(verdict)],
      `jump to the chain ${own[0]!.chain} again: somebody removed that rule`,
      fix,
    )];
  }
  return [problem(
    "dnat_missing",
    ["portmap", "agent"],
    `no rule leads port ${port} to ${scene.name}`,
    [
      `nat ${hook} ${rule ? `ends at: ${rule.text}` : "has no rule for it"}`,
      ...typeof mapper.chain === "string"
        ? [
          chainOf(nat, mapper)
            ? `nor has the chain ${mapper.chain}`
            : `there is no chain ${mapper.chain}`,
        ]
        : [],
      ...nearly(nat, mapper, mapping).map(({ text }) => `one that is nearly it: ${text}`),
      ...doubt(verdict),
    ],
    "somebody flushed the nat table (a firewall's reload does so): mesos-cni isolator recover " +
      "puts back the rules of live containers",
    fix,
  )];
}

/** Rules of the mapper's chain for the port that are for another protocol, or lead elsewhere. */
function nearly(nat: RuleTable, mapper: JsonObject, { hostPort }: PortMapping): FirewallRule[] {
  return (chainOf(nat, mapper) ?? []).filter(({ destinationPorts }) =>
    (destinationPorts?.value ?? "").split(",").includes(String(hostPort))
  ).slice(0, 2);
}

function chainOf(nat: RuleTable, mapper: JsonObject): FirewallRule[] | undefined {
  return typeof mapper.chain === "string" ? nat.chains.get(mapper.chain) : undefined;
}

/** The container's rules for a mapping, wherever they stand. */
function ownRules(
  nat: RuleTable,
  { container }: Scene,
  mapping: PortMapping,
  { address }: NetworkAddress,
): FirewallRule[] {
  const comment = container && commentOf(container.id);
  return [...nat.chains.values()].flat().filter((rule) =>
    rule.toDestination !== undefined && leadsHere(rule.toDestination, mapping, address) &&
    (rule.comment === undefined || rule.comment === comment || !isOwnerComment(rule.comment)) &&
    (rule.destinationPorts?.value ?? "").split(",").includes(String(mapping.hostPort)) &&
    (rule.protocol?.value ?? mapping.protocol) === mapping.protocol
  );
}

function isOwnerComment(comment: string): boolean {
  return comment.startsWith(commentOf(""));
}

function leadsHere(toDestination: string, mapping: PortMapping, address: string): boolean {
  return destinationAddress(toDestination) === address &&
    toDestination.endsWith(`:${mapping.containerPort}`);
}

function owners(scene: Scene, toDestination: string | undefined): string[] {
  if (toDestination === undefined) return [];
  const address = destinationAddress(toDestination);
  const owner = scene.ownerOf(address);
  return [
    owner ? `${address} is container ${owner.id}` : `${address} is no container's that is known`,
  ];
}

function restore(id: string): Fix {
  return {
    what: "put the container's port rules back",
    async apply() {
      await restoreMissing((record) => record.containerId === id);
    },
  };
}

function nftables(
  scene: Scene,
  mapping: PortMapping,
  { family, address }: NetworkAddress,
): Finding[] {
  const port = `${mapping.hostPort}/${mapping.protocol}`;
  const found = nftablesMapping(family, mapping.protocol, mapping.hostPort);
  const wanted = { address, port: mapping.containerPort };
  if (found?.address === wanted.address && found.port === wanted.port) return [];
  const fix = scene.container && restore(scene.container.id);
  if (found) {
    return [problem(
      "dnat_elsewhere",
      ["portmap", "agent"],
      `port ${port} leads to ${found.address}, not to ${scene.name}`,
      [
        `the table mesos-cni has it lead to ${found.address}:${found.port}`,
        ...owners(scene, found.address),
      ],
      "remove the element, and put back the container's",
      fix,
    )];
  }
  return [problem(
    "dnat_missing",
    ["portmap", "agent"],
    `no rule leads port ${port} to ${scene.name}`,
    ["the table mesos-cni of nftables has no element for it"],
    "somebody flushed the rules: mesos-cni isolator recover puts back those of live containers",
    fix,
  )];
}

/** A process of the agent that listens on the port gets no connections from outside any more. */
function taken({ protocol, hostPort }: PortMapping): Finding[] {
  if (protocol !== "tcp" && protocol !== "udp") return [];
  return listeners(protocol, hostPort).slice(0, 1).map(({ address, inode }) => {
    const owner = socketOwner(inode);
    return problem(
      "host_port_taken",
      ["listener", "agent"],
      `a process of the agent listens on port ${hostPort}/${protocol} as well`,
      [
        `socket ${address}:${hostPort}` +
        (owner ? ` of process ${owner.pid} (${owner.name})` : ""),
      ],
      "connections from outside go to the container, those from the agent itself to either: " +
        "stop the process, or give the container another port",
    );
  });
}
