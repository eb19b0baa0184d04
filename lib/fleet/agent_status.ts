/**
 * An agent as `status --json` prints it: what `status` shows, what its metrics count, and what `fleet`
 * compares with other agents.
 */
import { isProblem } from "../facts/cause.ts";
import { rangesOfNetworks } from "../facts/readers/agent.ts";
import type { Agent } from "../facts/agent.ts";
import { type Health, healthOfEach, isHealthy } from "../facts/facts.ts";
import { briefOf, remedyOf, textOf } from "../facts/sentences.ts";
import type { Cause } from "../facts/cause.ts";
import { networkAddresses } from "../containers/network_address.ts";
import type { Container } from "../containers/inventory.ts";
import type { Decision } from "../firewall/kind.ts";
import { countFailures, readHistory } from "../cni/history.ts";
import { networkView } from "../netns/network.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { readOwners } from "../mesos/agent_checkpoints.ts";
import { runProgram } from "../program/run.ts";
import { VERSION } from "../base/version.ts";
import { sha256 } from "../install/files.ts";

export interface AgentStatus {
  version: string;
  /** The agent's hostname, and when it was looked at. */
  host: string;
  time: string;
  agent: { pid: number; address: string | null } | null;
  service: { socket: string } | null;
  configDir: { path: string; from: string } | null;
  firewall: Decision | { problem: string };
  /** By family, where a container needs it. */
  forwarding: Record<string, boolean>;
  networks: {
    names: string[];
    skipped: readonly { file: string; reason: string }[];
    problem?: string;
  } & ReturnType<typeof configsOf>;
  plugins: Awaited<ReturnType<typeof pluginsOf>>;
  /** Errors of lint, by file; only those that have any, and not where none was linted. */
  lint: { file: string; errors: number }[];
  containers: Awaited<ReturnType<typeof containersOf>>;
  /** What is wrong with the agent itself. */
  causes: ReturnType<typeof toldCause>[];
  /** What could not be read, and why: nothing else here speaks of it. */
  unread: string[];
  missing: { what: string; remedy: string }[];
  history: ReturnType<typeof historyOf>;
  healthy: boolean;
}

export function toldCause(cause: Cause) {
  return { code: cause.code, text: textOf(cause), remedy: remedyOf(cause) };
}

export async function containersOf(facts: Agent, workDir: string) {
  const ownerOf = readOwners(workDir);
  const all: [container: Container, health: Health][] = [];
  for await (const one of healthOfEach(facts)) all.push(one);
  return {
    count: all.length,
    unwell: all.filter(([, health]) => !isHealthy(health)).map(([one, { causes }]) => {
      const problems = causes.filter(isProblem);
      return {
        id: one.id,
        ...ownerOf(one.id),
        health: briefOf(problems[0]!),
        causes: problems.map(toldCause),
      };
    }),
    unread: all.flatMap(([{ id }, { unread }]) => unread.map((why) => `${id}: ${why}`)),
    all: all.map(([one]) => ({
      id: one.id,
      ...ownerOf(one.id),
      networks: one.attachments.map(({ network }) => network),
      addresses: one.attachments.flatMap(networkAddresses).map(({ address }) => address),
      ports: one.attachments.flatMap(({ portMappings }) =>
        portMappings.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`)
      ),
    })),
  };
}

/** The configs that can be read, and their addresses. */
export function configsOf(isolator: Isolator, facts: Agent, names: readonly string[]) {
  const configs = names.map((network) => {
    const { file } = isolator.networks.read(network);
    return { network, file, sha256: sha256(Deno.readFileSync(file)).slice(0, 12) };
  });
  const ranges = rangesOfNetworks(facts).map((
    { network, subnet, size, used, free, isMasqueraded },
  ) => ({ network, subnet, size, used, free, isMasqueraded }));
  return { configs, ranges };
}

/** A foreign plugin says its version when it is called without a command, and does nothing else. */
const PATIENCE_MS = 2000;

/**
 * The plugins of networks, who runs as them, and which version that says it is.
 *
 * @param isAsked whether other programs are started for theirs, which takes longer; else they have none
 */
export async function pluginsOf(isolator: Isolator, names: readonly string[], isAsked: boolean) {
  const all = new Map(
    names.flatMap((name) => networkView(isolator, name).plugins)
      .map(({ type, implementation }) => [type, implementation]),
  );
  return await Promise.all([...all].map(async ([type, program]) => ({
    type,
    program,
    version: program === "built in" ? VERSION : isAsked ? await versionOf(program) : "",
  })));
}

async function versionOf(program: string): Promise<string> {
  if (!program.startsWith("/")) return "";
  const limits = { timeoutMs: PATIENCE_MS, outputLimit: 64 << 10, stderrKept: 64 << 10 };
  try {
    const { stdout, stderr } = await runProgram(program, { env: {}, ...limits });
    // As the reference's say it; the next line has versions of the protocol.
    return /^CNI .*? (v?\d\S*)$/m.exec(`${stdout}\n${stderr}`)?.[1] ?? "";
  } catch {
    return ""; // which is said of it where a container needs it
  }
}

export function historyOf() {
  const last = readHistory().findLast(({ command, outcome }) =>
    command === "ADD" && outcome === "done"
  );
  return {
    ...last ? { lastAttach: { time: last.time, ms: last.ms } } : {},
    failures: countFailures(),
  };
}
