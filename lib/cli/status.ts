/** This agent on one screen. */
import { checkMachine } from "../install/machine.ts";
import { configureLog } from "../base/log.ts";
import { messageOf } from "../base/error.ts";
import { plainLine } from "../base/printable.ts";
import { VERSION } from "../base/version.ts";
import { isBuiltIn } from "../cni/plugin_type.ts";
import { type Decision, tellKind } from "../firewall/kind.ts";
import { readProcFile } from "../kernel/files.ts";
import { Agent } from "../facts/agent.ts";
import { type Cause, isProblem } from "../facts/cause.ts";
import { agentHealth, type Health, healthOf, isHealthy } from "../facts/facts.ts";
import { briefOf, remedyOf, textOf } from "../facts/sentences.ts";
import type { Layout } from "../containers/layout.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Call, type Command, JSON_FLAG } from "./command.ts";
import { ofAgent, runningAgent } from "./found_values.ts";
import { isolatorOf } from "./isolator_of.ts";
import { SOCKET } from "./isolator_serve.ts";
import { bold, print, printJson } from "./output.ts";

export const command: Command = {
  name: "status",
  summary: "this agent on one screen: what runs, what is wrong, what to do",
  flags: [JSON_FLAG, ...NETWORK_FLAGS],
  examples: [{ command: "mesos-cni status", what: "the agent, its networks and its containers" }],
  notes: "Nothing is sent and nothing is changed. Exit code 1 if anything is wrong.",
  async run(call) {
    // What the log would say of skipped files stands in the answer.
    if (call.given("log-level") === undefined) configureLog({ level: "error" });
    const isolator = isolatorOf(call);
    const { cni, layout, path } = isolator.settings;
    const networks = networksOf(() => isolator.networks);
    using facts = new Agent({
      layout,
      plugins: call.plugins,
      pluginsDir: cni?.pluginsDir,
      catalog: cni && (() => isolator.networks),
      // What an agent's own isolator calls is in its directory, whatever this program contains.
      isStock: runningAgent() !== undefined && !listens(SOCKET),
    });
    const containers = await containersOf(facts);
    const own = await agentHealth(facts);
    const problems = own.causes.filter(isProblem);
    const missing = checkMachine(
      path,
      cni?.pluginsDir ?? "",
      (type) => isBuiltIn(call.plugins, type),
    ).filter(({ found }) => !found);
    const answer = {
      version: VERSION,
      agent: agent(),
      service: listens(SOCKET) ? { socket: SOCKET } : null,
      configDir: cni ? { path: cni.configDir, from: sourceOf(call) } : null,
      firewall: await tellKind(path),
      networks,
      containers,
      causes: problems.map(toldCause),
      unread: [...own.unread, ...containers.unread],
      missing: missing.map(({ what, remedy }) => ({ what, remedy })),
      healthy: problems.length === 0 && networks.problem === undefined &&
        networks.skipped.length === 0 &&
        containers.unwell.length === 0 && missing.length === 0,
    };
    if (call.has("json")) printJson(answer);
    else print(screen(answer, layout));
    return Promise.resolve(answer.healthy ? 0 : 1);
  },
};

interface Status {
  version: string;
  agent: { pid: number; address: string | null } | null;
  service: { socket: string } | null;
  configDir: { path: string; from: string } | null;
  firewall: Decision | { problem: string };
  networks: ReturnType<typeof networksOf>;
  containers: Awaited<ReturnType<typeof containersOf>>;
  /** What is wrong with the agent itself. */
  causes: ReturnType<typeof toldCause>[];
  /** What could not be read, and why: of it nothing is said. */
  unread: string[];
  missing: { what: string; remedy: string }[];
  healthy: boolean;
}

function screen(status: Status, layout: Layout): string {
  const { agent, service, configDir, firewall, networks, containers, causes, unread, missing } =
    status;
  const unwell = containers.unwell.map(({ id, health }) => `${id}: ${plainLine(health)}`);
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
    : networks.skipped[0] && configDir
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

function agent(): Status["agent"] {
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

async function containersOf(facts: Agent) {
  const all: [id: string, health: Health][] = [];
  for (const one of facts.containers) all.push([one.id, await healthOf(facts, one)]);
  const unwell = all.filter(([, health]) => !isHealthy(health)).map(([id, { causes }]) => {
    const problems = causes.filter(isProblem);
    return { id, health: briefOf(problems[0]!), causes: problems.map(toldCause) };
  });
  const unread = all.flatMap(([id, { unread }]) => unread.map((why) => `${id}: ${why}`));
  return { count: all.length, unwell, unread };
}

function toldCause(cause: Cause) {
  return { code: cause.code, text: textOf(cause), remedy: remedyOf(cause) };
}

/** All is well where all was read. */
function verdictOf({ healthy, unread }: Status): string {
  if (!healthy) return "something is wrong";
  return unread.length === 0 ? "all is well" : "nothing wrong was found, and not all could be read";
}

function sourceOf(call: Call): string {
  const name = "network_cni_config_dir";
  return call.given(name) === undefined ? call.found(name)?.from ?? "default" : `--${name}`;
}

/** Whether something listens at a unix socket, which its file alone does not say. */
function listens(path: string): boolean {
  // Of unix sockets, the kernel flags those that listen with __SO_ACCEPTCON.
  return readProcFile("/proc/net/unix").split("\n")
    .some((line) => line.endsWith(` ${path}`) && line.split(" ")[3] === "00010000");
}
