/** This agent on one screen. */
import { missingHere } from "../install/machine.ts";
import { configureLog } from "../base/log.ts";
import { messageOf } from "../base/error.ts";
import { jsonText, plainLine } from "../base/printable.ts";
import { VERSION } from "../base/version.ts";
import { isBuiltIn } from "../cni/plugin_type.ts";
import { tellKind } from "../firewall/kind.ts";
import { Agent } from "../facts/agent.ts";
import { isProblem } from "../facts/cause.ts";
import { agentHealth } from "../facts/facts.ts";
import { forwardingOf } from "../facts/readers/agent.ts";
import {
  type AgentStatus,
  configsOf,
  containersOf,
  historyOf,
  pluginsOf,
  toldCause,
} from "../fleet/agent_status.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { getHostname } from "../kernel/uts.ts";
import type { Layout } from "../containers/layout.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Call, type Command, flag, formatOf, JSON_FLAG } from "./command.ts";
import { writeOutputFile } from "./file_output.ts";
import { ofAgent, runningAgent } from "./found_values.ts";
import { isolatorOf } from "./isolator_of.ts";
import { SOCKET } from "./isolator_serve.ts";
import { isServed, networkSources } from "./agent_sources.ts";
import { bold, print } from "./output.ts";

const FORMATS = ["text", "json", "prometheus"] as const;

export const command: Command = {
  name: "status",
  flags: [
    JSON_FLAG,
    flag("--format=FORMAT", "text, json, or prometheus: the same as metrics", {
      default: "text",
      complete: FORMATS,
    }),
    flag("--output=FILE", "write it there in one step, as a collector of text files needs it"),
    ...NETWORK_FLAGS,
  ],
  examples: [
    ["mesos-cni status", "the agent, its networks and its containers"],
    [
      "mesos-cni status --format=prometheus " +
      "--output=/var/lib/prometheus/node-exporter/mesos-cni.prom",
      "for Prometheus' node exporter, as mesos-cni-metrics.timer calls it",
    ],
  ],
  notes: "Nothing is sent and nothing is changed. Exit code 1 if anything is wrong.",
  async run(call) {
    const format = formatOf(call, FORMATS);
    // What the log would say of skipped files stands in the answer.
    if (call.given("log-level") === undefined) configureLog({ level: "error" });
    const isolator = isolatorOf(call);
    const status = await statusOf(call, isolator, format !== "text");
    const text = format === "prometheus"
      ? (await import("../fleet/status_metrics.ts")).statusMetrics(status).trimEnd()
      : format === "json"
      ? jsonText(status, 2)
      : screen(status, isolator.settings.layout);
    const output = call.value("output");
    if (output === undefined) print(text);
    else writeOutputFile(output, text + "\n");
    return status.healthy ? 0 : 1;
  },
};

/** @param isWhole also what a screen has no room for, and takes longer: versions of others' plugins */
async function statusOf(call: Call, isolator: Isolator, isWhole: boolean): Promise<AgentStatus> {
  const { cni, layout, path } = isolator.settings;
  const catalog = networksOf(() => isolator.networks);
  using facts = new Agent({
    layout,
    plugins: call.plugins,
    ...networkSources(call, cni, () => isolator.networks),
  });
  const containers = await containersOf(facts, call.value("work_dir")!);
  const own = await agentHealth(facts);
  const problems = own.causes.filter(isProblem);
  const missing = missingHere(
    path,
    cni?.pluginsDir ?? "",
    (type) => isBuiltIn(call.plugins, type),
  );
  return {
    version: VERSION,
    host: getHostname(),
    time: new Date().toISOString(),
    agent: agent(),
    service: isServed() ? { socket: SOCKET } : null,
    configDir: cni ? { path: cni.configDir, from: sourceOf(call) } : null,
    firewall: await tellKind(path),
    forwarding: forwardingOf(facts),
    networks: { ...catalog, ...configsOf(isolator, facts, catalog.names) },
    plugins: await pluginsOf(isolator, catalog.names, isWhole),
    lint: problems.filter(({ code }) => code === "config_errors")
      .map(({ file, value }) => ({ file: file!, errors: Number(value) })),
    containers,
    causes: problems.map(toldCause),
    unread: [...own.unread, ...containers.unread],
    missing,
    history: historyOf(),
    healthy: problems.length === 0 && catalog.problem === undefined &&
      catalog.skipped.length === 0 &&
      containers.unwell.length === 0 && missing.length === 0,
  };
}

function screen(status: AgentStatus, layout: Layout): string {
  const { agent, service, configDir, firewall, networks, plugins, containers, causes } = status;
  const { unread, missing } = status;
  const unwell = containers.unwell.map(({ id, task, framework, health }) =>
    plainLine(`${id}: ${health}${task === undefined ? "" : ` (task ${task} of ${framework})`}`)
  );
  const own = plugins.filter(({ program }) => program === "built in").map(({ type }) => type);
  const others = plugins.filter(({ program }) => program !== "built in")
    .map(({ type, program }) => plainLine(`${type}: ${program}`));
  const lines: [what: string, ...lines: string[]][] = [
    [
      "agent",
      agent ? `process ${agent.pid}${agent.address ? `, at ${agent.address}` : ""}` : "none runs",
    ],
    [
      "isolator",
      service
        ? `the service listens at ${service.socket}`
        : "no service runs; a stock agent needs none",
    ],
    [
      "firewall",
      "kind" in firewall
        ? `iptables of the kind ${firewall.kind} (${plainLine(firewall.by)})`
        : plainLine(firewall.problem),
    ],
    [
      "networks",
      configDir
        ? `${networks.names.length} in ${plainLine(configDir.path)} (from ${configDir.from})`
        : "no directory of configs is known: mesos-cni config",
      ...networks.names.length > 0 ? [networks.names.join(", ")] : [],
      ...networks.skipped.map(({ file, reason }) =>
        `skipped ${plainLine(file)}: ${plainLine(reason)}`
      ),
      ...networks.problem === undefined ? [] : [plainLine(networks.problem)],
    ],
    ["plugins", ...own.length > 0 ? [`${own.join(", ")}: this program's own`] : [], ...others],
    [
      "containers",
      `${containers.count} under ${layout.containers}` +
      (containers.count > 0 ? `, ${containers.count - unwell.length} ok` : ""),
      ...unwell,
    ],
    ...causes.map(({ text, remedy }): [string, string] => [
      "wrong",
      plainLine(`${text}: ${remedy}`),
    ]),
    ...missing.map(({ what, remedy }): [string, string] => ["missing", `${what}: ${remedy}`]),
    ["not read", ...unread.map(plainLine)],
  ];
  const next = containers.unwell[0]
    ? `mesos-cni diagnose ${containers.unwell[0].id}`
    : configDir && (networks.skipped[0] || status.lint[0])
    ? `mesos-cni lint ${plainLine(configDir.path)}`
    : undefined;
  return [
    bold(`mesos-cni ${status.version}: ${verdictOf(status)}`),
    ...lines.flatMap(([what, ...texts]) =>
      texts.map((text, i) => `${(i === 0 ? what : "").padEnd(11)} ${text}`)
    ),
    ...next ? [`\nnext: ${next}`] : [],
  ].join("\n");
}

function agent(): AgentStatus["agent"] {
  const running = runningAgent();
  if (!running) return null;
  const ip = ofAgent("advertise_ip") ?? ofAgent("ip");
  const port = ofAgent("advertise_port") ?? ofAgent("port");
  return {
    pid: running.pid,
    address: ip ? `${ip.value}:${port?.value ?? 5051}` : port ? `port ${port.value}` : null,
  };
}

function networksOf(
  look: () => { names(): string[]; skipped: readonly { file: string; reason: string }[] },
) {
  try {
    const catalog = look();
    return { names: catalog.names(), skipped: catalog.skipped, problem: undefined };
  } catch (error) {
    return { names: [], skipped: [], problem: messageOf(error) };
  }
}

/** All is well where all was read. */
function verdictOf({ healthy, unread }: AgentStatus): string {
  if (!healthy) return "something is wrong";
  return unread.length === 0 ? "all is well" : "nothing wrong was found, and not all could be read";
}

function sourceOf(call: Call): string {
  const name = "network_cni_config_dir";
  return call.given(name) === undefined ? call.found(name)?.from ?? "default" : `--${name}`;
}
