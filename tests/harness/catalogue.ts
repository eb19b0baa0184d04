/**
 * Runs faults and healthy set-ups that are described as data: each in a clinic of its own, a few at
 * a time. A step is a shell script in the agent, the patient, the neighbour, or the host outside.
 */
import { Clinic, end, type NETWORKS, PYTHON } from "./clinic.ts";
import { MESOS_CNI } from "./binary.ts";
import { isWaiting } from "./processes.ts";
import type { Namespace } from "./sandbox.ts";

type Where = "agent" | "patient" | "neighbour" | "outside";

/** A shell script; or a command, a file that is written, or a service that is stopped. */
export type Step =
  | [where: Where, script: string]
  | { in: Where; argv: string[]; background?: boolean }
  | { in: Where; file: string; text: string }
  | { in: Where; stop: string };

export interface Setup {
  name: string;
  network?: keyof typeof NETWORKS;
  steps: Step[];
  /** Why more than one answer is right, or why it is made otherwise than its author meant. */
  why?: string;
}

export interface Fault extends Setup {
  /** What the first finding must say; several where it is a matter of view. */
  mechanism: string | string[];
  place: string | string[];
  /** What its text must hold; `$NAME` is a variable of the steps. */
  names?: string;
  /** Of a pair, the other one; either may be named first. */
  second?: { mechanism: string; place: string; detail?: string };
}

export interface NamedFinding {
  code: string;
  mechanism: string;
  place: string;
  text: string;
  remedy: string;
  evidence: string[];
  level: string;
}

export interface Outcome<S extends Setup> {
  setup: S;
  code: number;
  findings: NamedFinding[];
  asked: { text: string; outcome: string; detail: string }[];
  stderr: string;
  variables: Record<string, string>;
  /** How long the diagnosis took. */
  ms: number;
  /** Whether the questions pass once `--fix`'s commands have run; absent where there were none, or not tried. */
  mended?: boolean;
  afterwards?: string;
  /** Why it can't be made here; then nothing was diagnosed. */
  impossible?: string;
}

/** They wait more than they work. */
const AT_A_TIME = Number(Deno.env.get("MESOS_CNI_TEST_CLINICS") ?? 6);

export async function runSetups<S extends Setup>(
  setups: readonly S[],
  { mend = false, each }: { mend?: boolean; each?: (outcome: Outcome<S>) => void } = {},
): Promise<Outcome<S>[]> {
  const outcomes: Outcome<S>[] = [];
  const waiting = [...setups.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const outcome = await trySetup(next[1], mend);
      outcomes[next[0]] = outcome;
      each?.(outcome);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  return outcomes;
}

export async function readSetups<S extends Setup>(name: string): Promise<S[]> {
  const file = new URL(`../fixtures/diagnosis/${name}.json`, import.meta.url);
  return JSON.parse(await Deno.readTextFile(file));
}

async function trySetup<S extends Setup>(setup: S, mend: boolean): Promise<Outcome<S>> {
  await using clinic = await Clinic.open(setup.network);
  const variables = await variablesOf(clinic);
  if (!setup.network?.startsWith("services")) {
    for (const container of [clinic.patient, clinic.neighbour]) await serve(container, setup);
  }
  // A first packet, so that tables of neighbours are filled as they are on a running agent.
  if (setup.network !== "noGateway" && setup.network !== "v6only") {
    await clinic.patient.run(["ping", "-c1", "-W1", clinic.outside.address]);
  }
  await using background = new AsyncDisposableStack();
  for (const step of setup.steps) {
    const stderr = await take(clinic, step, variables, background);
    if (stderr !== undefined) {
      // Not every kernel has every mechanism.
      return {
        setup,
        code: -1,
        findings: [],
        asked: [],
        stderr,
        variables,
        ms: 0,
        impossible: stderr,
      };
    }
  }
  const start = performance.now();
  const output = await clinic.netns("diagnose", "patient", "--json");
  const ms = performance.now() - start;
  const { findings = [], asked = [] } = output.stdout === "" ? {} : JSON.parse(output.stdout);
  const outcome: Outcome<S> = {
    setup,
    code: output.code,
    findings,
    asked,
    stderr: output.stderr,
    variables,
    ms,
  };
  const commands: string[][] = findings[0]?.fix?.commands ?? [];
  if (mend && commands.length > 0) {
    for (const [program, ...args] of commands) {
      await clinic.agent.run([program === "mesos-cni" ? MESOS_CNI : program!, ...args]);
    }
    const after = await clinic.netns("diagnose", "patient", "--json");
    const left: NamedFinding[] = after.stdout === "" ? [] : JSON.parse(after.stdout).findings;
    const again: Outcome<S>["asked"] = after.stdout === "" ? [] : JSON.parse(after.stdout).asked;
    const failing = again.filter(({ outcome, text }) =>
      outcome === "failed" &&
      findings[0].evidence.some((line: string) => line.startsWith(`asked: it ${text};`))
    );
    const isThere = left.some(({ code, text, level }) =>
      level === "problem" && code === findings[0].code && text === findings[0].text
    );
    // Of a pair, the other one may still be in the way of the question.
    outcome.mended = !isThere && ("second" in setup || failing.length === 0);
    outcome.afterwards = [left[0]?.text, ...failing.map(({ text }) => text)].join("; ");
  }
  return outcome;
}

/** Answers each datagram with itself. */
const ECHO =
  'use IO::Socket::INET; $s=IO::Socket::INET->new(LocalPort=>53,Proto=>"udp"); while($s->recv($b,2000)){$s->send($b)}';

/** @returns what a step that failed said */
export async function take(
  clinic: Clinic,
  step: Step,
  variables: Record<string, string>,
  background: AsyncDisposableStack,
): Promise<string | undefined> {
  const [where, argv] = "in" in step
    ? [step.in, "argv" in step ? step.argv : []]
    : [step[0], ["sh", "-ec", step[1]]];
  const space: Namespace = clinic[where];
  if ("stop" in step) {
    const name = `${where} ${step.stop}`;
    await end(clinic.services.get(name)!);
    clinic.services.delete(name);
    return undefined;
  }
  if ("file" in step) {
    // Over the machine's own file, which the namespace shares, and never into it.
    const copy = `${clinic.agent.dir}/${where}${step.file.replaceAll("/", "-")}`;
    await Deno.writeTextFile(copy, step.text);
    const { code, stderr } = await space.run(["mount", "--bind", copy, step.file]);
    return code === 0 ? undefined : stderr;
  }
  const command = [argv[0] === "python3" ? PYTHON : argv[0]!, ...argv.slice(1)].map((word) =>
    word.replaceAll(/\bN?VETH\b/g, (name) => variables[name]!)
  );
  if ("in" in step && "argv" in step && step.background) {
    const child = space.spawn(command);
    background.defer(() => end(child));
    await isWaiting(child.pid);
    return undefined;
  }
  const { code, stderr } = await space.run("in" in step ? command : argv, { env: variables });
  return code === 0 ? undefined : stderr || `exit ${code}`;
}

async function serve(container: Namespace, { network }: Setup): Promise<void> {
  const script = network === "udp"
    ? `perl -e '${ECHO}' >/dev/null 2>&1 </dev/null & echo $! >/run/udp.pid`
    : "busybox httpd -f -p 80 -h / >/dev/null 2>&1 </dev/null & echo $! >/run/httpd.pid";
  await container.ok(["sh", "-c", `mount -t tmpfs tmpfs /run; ${script}; sleep 0.05`]);
}

export async function variablesOf(clinic: Clinic): Promise<Record<string, string>> {
  const links: { ifindex: number; ifname: string }[] = JSON.parse(
    await clinic.agent.ok(["ip", "-j", "link"]),
  );
  const eth0 = async (space: Namespace) =>
    JSON.parse(await space.ok(["ip", "-j", "link", "show", "eth0"]))[0];
  const own = await eth0(clinic.patient);
  const other = await eth0(clinic.neighbour);
  const endOf = (index: number) => links.find(({ ifindex }) => ifindex === index)?.ifname ?? "";
  return {
    VETH: endOf(own.link_index),
    NVETH: endOf(other.link_index),
    MAC: own.address,
    ADDR: clinic.address,
    NADDR: clinic.neighbour.addresses[0]!,
    BR: "mesos-cni0",
    CHAIN: "MESOS-TEST-PORT-MAPPER",
    OUT: clinic.outside.address,
    OUT6: clinic.outside.address6,
    REFUSE: clinic.refuseFile,
    DIR: clinic.patient.dir,
  };
}

/** Rules of packet filters, which stand at hooks of a machine and not at a link of it. */
const FILTERS = new Set(["iptables", "iptables-legacy", "nftables", "ebtables", "arptables"]);
/** One machine: where on it a hook is, is a matter of view. */
const AGENT_SIDE = new Set(["agent", "uplink", "bridge", "host-veth"]);

function isPlace(found: NamedFinding, place: string | string[]): boolean {
  return [place].flat().some((one) =>
    one === found.place ||
    (FILTERS.has(found.mechanism) && AGENT_SIDE.has(one) && AGENT_SIDE.has(found.place))
  );
}

/** Whether the first finding is the fault; of a pair, either. */
export function isRight({ setup, findings, code, variables }: Outcome<Fault>): boolean {
  const [first] = findings;
  if (code !== 1 || first === undefined || first.level !== "problem") return false;
  const one = (mechanism: string | string[], place: string | string[], names?: string) => {
    const wanted = names?.replaceAll(/\$([A-Z]+)/g, (_, name) => variables[name] ?? name)
      .replaceAll(/\bN?VETH\b/g, (name) => variables[name]!).toLowerCase();
    const said = `${first.text} ${first.evidence.join(" ")} ${first.remedy}`.toLowerCase();
    return [mechanism].flat().includes(first.mechanism) && isPlace(first, place) &&
      (wanted === undefined || said.includes(wanted));
  };
  return one(setup.mechanism, setup.place, setup.names) ||
    (setup.second !== undefined &&
      one(setup.second.mechanism, setup.second.place, setup.second.detail));
}
