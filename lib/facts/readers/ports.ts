/** Mapped ports and the other rules of plugins: whether they are there, and no process has the port. */
import { variable } from "../../base/environment.ts";
import { statOf } from "../../base/exists.ts";
import type { LostRules } from "../../cni/plugin_type.ts";
import type { PortMapping } from "../../cni/port_mappings.ts";
import { baseOf, Layout } from "../../containers/layout.ts";
import { socketOwner } from "../../containers/processes.ts";
import { flowsTo } from "../../nft/conntrack.ts";
import { unlessRefused } from "../../base/unless.ts";
import { describeMapping } from "../../ports/mapping.ts";
import type { Agent } from "../agent.ts";
import { type Cause, cause, type Mechanism, RECOVER, run } from "../cause.ts";
import { blind, type Look, nothing, saw } from "../look.ts";
import { type Attached, pluginOf, type Scene } from "../scene.ts";

/** The plugins that map ports. */
export const MAPPERS = ["mesos-cni-port-mapper", "portmap"];

export async function readPorts(scene: Scene): Promise<Look> {
  const mapping = scene.interfaces.filter(({ checkpoint }) => checkpoint?.portMappings.length);
  if (mapping.length === 0) return nothing("no port is mapped");
  const causes: Cause[] = [];
  const seen: string[] = [];
  for (const attached of mapping) {
    const { checkpoint } = attached;
    const mappings = checkpoint!.portMappings;
    const mapper = pluginOf(checkpoint, ...MAPPERS);
    if (!mapper) {
      causes.push(noMapper(attached));
      continue;
    }
    // Other mappers keep no record of ours: whether their rules are there, only a packet tells.
    if (scene.agent.recorded.has(scene.container?.id ?? "")) {
      seen.push(mappings.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`).join(", "));
    }
    causes.push(...mappings.flatMap((one) => taken(scene, one)));
    causes.push(...mappings.flatMap((one) => staleFlows(scene, attached, one)));
  }
  const missing = (await scene.agent.missingRules()).get(scene.container?.id ?? "") ?? [];
  if (missing.length > 0) {
    causes.unshift(cause(
      "port_rules_missing",
      ["portmap", "agent"],
      { container: scene.name, value: missing.slice(0, 4).join(", ") },
      [`of what is on its record, ${missing.length} are not there`],
      RECOVER,
    ));
  }
  if (seen.length === 0 && causes.length === 0) {
    return nothing("its mapper keeps no record of rules");
  }
  return saw(`the rules on record for ${seen.join("; ") || "none"}`, causes);
}

/**
 * Mappings on record whose container's network is gone, and that nobody has detached: by their rules,
 * the next container of another mapper gets no connection at the port.
 */
export function readLeftPorts(agent: Agent): Look {
  // What has a checkpoint is said of the container.
  const known = new Set<string>(agent.containers.map(({ id }) => id));
  const owners = agent.owners.filter(({ containerId, endpoints }) =>
    endpoints.length > 0 && !known.has(containerId)
  );
  if (owners.length === 0) return nothing("no port is mapped but to its containers");
  return saw(
    `${owners.length} attachments with ports on record`,
    owners.filter(({ fate }) => fate === "gone").map(({ containerId, mappings }) =>
      cause(
        "ports_left",
        ["portmap", "agent"],
        { container: containerId, value: mappings.map(describeMapping).join(", ") },
        ["the record of its mappings is there, and its network namespace is not"],
        run(["mesos-cni", "gc", "--apply"]),
      )
    ),
  );
}

/** Live containers on record whose checkpoints are in a directory that this call was not told of. */
export function readOtherDirectories({ sources, owners }: Agent): Look {
  const here = statOf(sources.layout.containers);
  const others = Map.groupBy(
    owners.filter(({ fate }) => fate !== "gone"),
    ({ netns, containerId }) => baseOf(netns, containerId),
  );
  const unseen = [...others].flatMap(([base, owners]): string[] => {
    if (base === undefined) return [];
    const there = statOf(new Layout(base).containers);
    if (here && there?.dev === here.dev && there.ino === here.ino) return [];
    return [`${owners.map(({ containerId }) => containerId).join(", ")} (--runtime_dir=${base})`];
  });
  return unseen.length > 0
    ? blind(`containers live whose checkpoints are in another directory: ${unseen.join("; ")}`)
    : saw("records of mapped ports", []);
}

/** What each is of, and what of it was looked for. */
const LOST: Readonly<Record<LostRules, [Mechanism, string]>> = {
  masquerade_gone: ["masquerade", '"ipMasq", and the rules of it are not there'],
  passage_gone: ["iptables", "the plugin firewall, whose rules or zone it is not in"],
  isolation_gone: ["iptables", '"ingressPolicy" or "macspoofchk", and rules of it are not there'],
};

/** What other plugins know to be missing of theirs, such as masquerading. */
export async function readPluginRules(scene: Scene): Promise<Look> {
  const path = variable("PATH") ?? "";
  const causes: Cause[] = [];
  const seen: string[] = [];
  for (const { checkpoint, ifName } of scene.interfaces) {
    if (!checkpoint?.result || !scene.container) continue;
    const attachment = {
      network: checkpoint.network,
      containerId: scene.container.id,
      ifName,
      result: checkpoint.result,
      path,
    };
    for (const config of checkpoint.plugins) {
      const missing = scene.agent.sources.plugins.get(String(config.type))?.missing;
      if (!missing) continue;
      const asked = ["ipMasq", "macspoofchk", "ingressPolicy"].filter((key) => config[key]);
      seen.push(`${[config.type, ...asked].join(" ")} of ${checkpoint.network}`);
      const lost = await missing(config, attachment, scene.agent.rules);
      if (lost === undefined) continue;
      const values = { container: scene.name, network: checkpoint.network };
      const [mechanism, of] = LOST[lost];
      const evidence = [`${checkpoint.network} has ${of}`];
      causes.push(cause(lost, [mechanism, "agent"], values, evidence, RECOVER));
    }
  }
  return seen.length === 0
    ? nothing("its plugins keep no other rules")
    : saw(seen.join(", "), causes);
}

/** A client that never pauses keeps the translation that it began with, to who had the port before. */
function staleFlows(
  { agent, name: container }: Scene,
  { expected }: Attached,
  { protocol, hostPort }: PortMapping,
): Cause[] {
  if (protocol !== "udp") return [];
  const stale = ([4, 6] as const).flatMap((family) =>
    (unlessRefused(() => flowsTo(family, protocol, [hostPort])) ?? []).filter((flow) =>
      agent.host.ownerOf(flow.destination) !== undefined &&
      expected.some((one) => one.family === family) &&
      expected.every(({ address }) => address !== flow.answerer) &&
      !agent.holdersOf(flow.answerer).some(({ namespaceAlive }) => namespaceAlive)
    )
  );
  return [...Map.groupBy(stale, ({ answerer }) => answerer)].map(([answerer, all]) =>
    cause(
      "conntrack_stale",
      ["conntrack", "agent"],
      { container, port: `${hostPort}/${protocol}`, address: answerer, other: all[0]!.source },
      [`${all.length} connections to port ${hostPort} are tracked as answered by ${answerer}`],
      run([
        ...["conntrack", "-D", "-p", protocol, "--orig-port-dst", String(hostPort)],
        ...["--reply-src", answerer],
      ]),
    )
  );
}

function noMapper({ ifName, checkpoint }: Attached): Cause {
  return cause("no_port_mapper", ["portmap", "agent"], {
    network: checkpoint!.network,
    device: ifName,
  }, [`its plugins are ${checkpoint!.plugins.map(({ type }) => type).join(", ")}`]);
}

/** A process of the agent that listens on the port gets no connections from outside any more. */
function taken({ agent }: Scene, { protocol, hostPort }: PortMapping): Cause[] {
  if (protocol !== "tcp" && protocol !== "udp") return [];
  return agent.listenersAt(protocol, hostPort).slice(0, 1).map(({ address, inode }) => {
    const owner = socketOwner(inode);
    return cause("host_port_taken", ["listener", "agent"], {
      port: `${hostPort}/${protocol}`,
      address,
    }, [`socket ${address}:${hostPort}${owner ? ` of process ${owner.pid} (${owner.name})` : ""}`]);
  });
}
