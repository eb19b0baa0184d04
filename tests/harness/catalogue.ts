/**
 * Runs faults and healthy set-ups that are described as data: each in a clinic of its own, a few at
 * a time. A step is a shell script in the agent, the patient, the neighbour, or the host outside.
 */
import { MESOS_CNI, PYTHON } from "./binary.ts";
import { Clinic, end } from "./clinic.ts";
import type { Diagnosis, Mending, Outcome, Setup, Step } from "./diagnosis_judge.ts";
import { isWaiting } from "./processes.ts";
import type { Namespace } from "./sandbox.ts";

/** They wait more than they work. */
const AT_A_TIME = Number(Deno.env.get("MESOS_CNI_TEST_CLINICS") ?? 6);

/** A pair takes two, and what is hidden behind another one more. */
const MOST_MENDINGS = 4;

/** @param each told of each as soon as it is done */
export async function runSetups<S extends Setup>(
  setups: readonly S[],
  each?: (outcome: Outcome<S>) => void,
  atATime = AT_A_TIME,
): Promise<Outcome<S>[]> {
  const outcomes: Outcome<S>[] = [];
  const waiting = [...setups.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const outcome = await trySetup(next[1]);
      outcomes[next[0]] = outcome;
      each?.(outcome);
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return outcomes;
}

export async function readSetups<S extends Setup>(list: string): Promise<S[]> {
  const file = new URL(`../fixtures/diagnosis/${list}.json`, import.meta.url);
  return JSON.parse(await Deno.readTextFile(file));
}

async function trySetup<S extends Setup>(setup: S): Promise<Outcome<S>> {
  const outcome: Outcome<S> = {
    setup,
    variables: {},
    diagnosis: { code: -1, findings: [], asked: [], stderr: "" },
    mendings: [],
    ms: 0,
  };
  try {
    await make(outcome);
  } catch (error) {
    outcome.unmade = error instanceof Error ? error.message : `${error}`;
  }
  return outcome;
}

async function make(outcome: Outcome): Promise<void> {
  const { setup } = outcome;
  await using clinic = await Clinic.open(setup.network);
  outcome.variables = await variablesOf(clinic);
  if (!setup.network?.startsWith("services")) {
    for (const container of [clinic.patient, clinic.neighbour]) await serve(container, setup);
  }
  // A first packet, so that tables of neighbours are filled as they are on a running agent.
  if (setup.network !== "noGateway" && setup.network !== "v6only") {
    await clinic.patient.run(["ping", "-c1", "-W1", clinic.outside.address]);
  }
  await using background = new AsyncDisposableStack();
  for (const step of setup.steps) {
    const stderr = await take(clinic, step, outcome.variables, background);
    if (stderr !== undefined) throw new Error(stderr);
  }
  const start = performance.now();
  outcome.diagnosis = await diagnose(clinic);
  outcome.ms = performance.now() - start;
  let now = outcome.diagnosis;
  for (let i = 0; i < MOST_MENDINGS; i++) {
    const mending = await mend(clinic, now);
    if (mending === undefined) return;
    outcome.mendings.push(mending);
    now = mending.after;
  }
}

async function diagnose(clinic: Clinic): Promise<Diagnosis> {
  const { code, stdout, stderr } = await clinic.netns("diagnose", "patient", "--json");
  const { findings = [], asked = [] } = stdout === "" ? {} : JSON.parse(stdout);
  return { code, findings, asked, stderr };
}

/** Runs the commands that the first finding prints; undefined where there are none. */
async function mend(clinic: Clinic, { findings }: Diagnosis): Promise<Mending | undefined> {
  const [finding] = findings;
  if (finding?.level !== "problem" || !finding.fix?.commands.length) return undefined;
  const commands: Mending["commands"] = [];
  for (const argv of finding.fix.commands) {
    const [program, ...args] = argv;
    const own = program === "mesos-cni" ? MESOS_CNI : program!;
    const { code, stderr } = await clinic.agent.run([own, ...args]);
    commands.push({ argv, code, stderr });
  }
  return { finding, commands, after: await diagnose(clinic) };
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
    OUTPID: `${clinic.outside.pid}`,
    REFUSE: clinic.refuseFile,
    DIR: clinic.patient.dir,
  };
}
