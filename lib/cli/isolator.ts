/** The isolator's operations as commands: JSON on standard input and output. */
import { OperatorError } from "../base/error.ts";
import { nearest } from "../base/nearest.ts";
import { plainLine } from "../base/printable.ts";
import type { Attachment, Layout } from "../containers/layout.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { checkAttachment } from "../isolator/attach.ts";
import { cleanup } from "../isolator/cleanup.ts";
import { readContainer } from "../containers/inventory.ts";
import { findContainer, knownContainers } from "../containers/ids.ts";
import { isolate } from "../isolator/isolate.ts";
import { prepare } from "../isolator/prepare.ts";
import { recover } from "../isolator/recover.ts";
import { status } from "../isolator/status.ts";
import { usage } from "../isolator/usage.ts";
import { type ContainerId, parseContainerId } from "../mesos/container_id.ts";
import { LONGEST_RECOVERY, parseContainerConfig, parseRecovery } from "../mesos/messages.ts";
import { NETWORK_FLAGS } from "./agent_flags.ts";
import { type Call, type Command, type Example, flag, onlyOperand, UsageError } from "./command.ts";
import { command as gc } from "./isolator_gc.ts";
import { isolatorOf } from "./isolator_of.ts";
import { command as ociHook } from "./isolator_oci_hook.ts";
import { command as serve } from "./isolator_serve.ts";
import { print, printError, printJson } from "./output.ts";
import { networks } from "./networks.ts";
import { readJson } from "./stdin.ts";

const DIRS = "--network_cni_config_dir=/etc/mesos/cni --network_cni_plugins_dir=/usr/lib/cni";

function example(call: string, what: string): readonly [Example] {
  return [[call.replace("DIRS", DIRS), what]];
}

const prepareCommand: Command = {
  name: "isolator prepare",
  operands: "ID",
  flags: NETWORK_FLAGS,
  examples: example(
    `echo '{"container_info":{"type":"MESOS","network_infos":[{"name":"cni-test"}]}}' | mesos-cni isolator prepare web-1 DIRS`,
    "the namespaces that the container's first process is to be made in",
  ),
  async run(call) {
    const id = newContainer(call);
    const message = await readJson();
    if (message === undefined) {
      throw new UsageError("a ContainerConfig is missing on standard input");
    }
    const isolator = isolatorOf(call);
    const config = parseContainerConfig(message, "standard input");
    printJson(
      await isolator.locks.hold(id, () => prepare(isolator, id, config)),
    );
  },
};

const isolateCommand: Command = {
  name: "isolator isolate",
  operands: "ID PID",
  flags: NETWORK_FLAGS,
  examples: example(
    "mesos-cni isolator isolate web-1 4711 DIRS",
    "makes the interfaces, and mounts hosts, hostname and resolv.conf; prints the status",
  ),
  async run(call) {
    const id = newContainer(call, 2);
    const pid = Number(call.operands[1]);
    if (!Number.isSafeInteger(pid) || pid < 1) {
      throw new UsageError(`${call.operands[1]} is no process id`);
    }
    const isolator = isolatorOf(call);
    await isolator.locks.hold(id, () => isolate(isolator, id, pid));
    printJson(status(isolator, id));
  },
};

const statusCommand: Command = {
  name: "isolator status",
  operands: "[ID]",
  flags: NETWORK_FLAGS,
  examples: example("mesos-cni isolator status web-1", "a ContainerStatus"),
  complete: "container",
  run(call) {
    const isolator = isolatorOf(call);
    const text = onlyOperand(call, "container");
    const { layout } = isolator.settings;
    printJson(
      text === undefined
        ? Object.fromEntries(knownContainers(layout).map((id) => [id, status(isolator, id)]))
        : status(isolator, findContainer(layout, text)),
    );
  },
};

const usageCommand: Command = {
  name: "isolator usage",
  operands: "ID",
  flags: NETWORK_FLAGS,
  examples: example("mesos-cni isolator usage web-1", "ResourceStatistics: bytes and packets"),
  complete: "container",
  run(call) {
    const isolator = isolatorOf(call);
    printJson(usage(isolator, knownContainer(call, isolator.settings.layout)));
  },
};

const NOT_CHECKED = {
  outcome: "not checked",
  why: 'it takes a "cniVersion" of 0.4.0 or newer, and no "disableCheck"',
};

async function checked(isolator: Isolator, id: ContainerId, attachment: Attachment) {
  try {
    return await checkAttachment(isolator, id, attachment) ? { outcome: "intact" } : NOT_CHECKED;
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    return { outcome: "damaged", error: error.message };
  }
}

const checkCommand: Command = {
  name: "isolator check",
  operands: "ID",
  flags: NETWORK_FLAGS,
  examples: example(
    "mesos-cni isolator check web-1 DIRS",
    "an outcome for each interface, and what is wrong with it; exit code 1 if anything is",
  ),
  complete: "container",
  async run(call) {
    const isolator = isolatorOf(call);
    const { layout } = isolator.settings;
    const id = knownContainer(call, layout);
    const { Agent } = await import("../facts/agent.ts");
    const { healthOf } = await import("../facts/facts.ts");
    const { remedyOf, textOf } = await import("../facts/sentences.ts");
    using agent = new Agent({ layout, plugins: call.plugins });
    const { causes } = await healthOf(agent, readContainer(layout, id, agent.sight));
    const attachments = layout.listAttachments(id);
    const answers = [];
    for (const attachment of attachments) {
      const others = attachments.flatMap(({ ifName }) =>
        ifName === attachment.ifName ? [] : ifName
      );
      const own = causes.filter((one) =>
        one.level === "problem" && !others.includes(one.device ?? "")
      );
      const told = own.map((one) => ({ code: one.code, text: textOf(one), remedy: remedyOf(one) }));
      answers.push({ ...attachment, ...await checked(isolator, id, attachment), causes: told });
    }
    printJson(answers);
    const objections = answers.flatMap((answer) => "error" in answer && answer.error || []);
    const wrong = answers.flatMap((answer) => answer.causes.map(({ text }) => text));
    for (const one of new Set([...objections, ...wrong])) printError("isolator check", one);
    return objections.length + wrong.length > 0 ? 1 : 0;
  },
};

/** For who mistyped the id. A runtime, which may repeat a cleanup, asks by its hook or the service. */
function nothingThere(id: ContainerId, known: readonly ContainerId[]): OperatorError {
  // A beginning of an id would, at the second call, be that of another container.
  const longer = known.find((one) => one.startsWith(id));
  const guess = nearest(id, known);
  const hint = longer
    ? `: cleanup takes the whole id, such as ${longer}`
    : guess
    ? `: did you mean ${guess}?`
    : `: there is no such container; mesos-cni list shows those there are`;
  return new OperatorError("unknown_container", `nothing to clean up of ${id}${hint}`);
}

const cleanupCommand: Command = {
  name: "isolator cleanup",
  operands: "ID",
  flags: [
    ...NETWORK_FLAGS,
    flag(
      "--force",
      "also clean up a container that lives, and what is left where plugins are gone or fail",
    ),
  ],
  examples: example(
    "mesos-cni isolator cleanup web-1 DIRS",
    "says what it removed; exit code 1 if there is no such container",
  ),
  notes:
    `Nothing is changed while the container lives, or while a plugin that is needed can't be found. With
--force, a container that lives is cut off; its links, its leases of host-local, its mapped ports
and the rules of iptables that carry its name are removed all the same; what other plugins have made
stays.`,
  complete: "container",
  async run(call) {
    const id = newContainer(call);
    const isolator = isolatorOf(call);
    const { layout } = isolator.settings;
    const force = call.has("force");
    const isThere = layout.has(id);
    const removed = await isolator.locks.hold(
      id,
      () => cleanup(isolator, id, { force, alive: force }),
    );
    if (!isThere) throw nothingThere(id, knownContainers(layout));
    for (const line of removed) print(`removed ${plainLine(line)}`);
  },
};

const recoverCommand: Command = {
  name: "isolator recover",
  flags: NETWORK_FLAGS,
  examples: example(
    `echo '{"states":[{"container_id":{"value":"web-1"}}],"orphans":[]}' | mesos-cni isolator recover DIRS`,
    "web-1 goes on, every other container is cleaned up",
  ),
  notes:
    `Standard input may name the containers that go on (states) and those that the containerizer
cleans up itself (orphans). Without it, the containers that have a process go on.`,
  async run(call) {
    const message = await readJson(LONGEST_RECOVERY);
    const isolator = isolatorOf(call);
    const known = message === undefined ? undefined : parseRecovery(message, "standard input");
    const recovered = await recover(isolator, known);
    printJson(recovered);
    const errors = recovered.flatMap(({ error }) => error ?? []);
    for (const error of errors) printError("isolator recover", error);
    return errors.length > 0 ? 1 : 0;
  },
};

function operandOf(call: Call, operands = 1): string {
  if (call.operands.length === operands) return call.operands[0]!;
  throw new UsageError(
    operands === 1
      ? "one container id is needed (mesos-cni list shows them)"
      : "an ID and a PID are needed",
  );
}

/** The id of a container that may be new, so it is taken as it is. */
function newContainer(call: Call, operands?: number): ContainerId {
  return parseContainerId(operandOf(call, operands));
}

function knownContainer(call: Call, layout: Layout): ContainerId {
  return findContainer(layout, operandOf(call));
}

export const commands: readonly Command[] = [
  networks,
  prepareCommand,
  isolateCommand,
  statusCommand,
  usageCommand,
  checkCommand,
  cleanupCommand,
  recoverCommand,
  gc,
  serve,
  ociHook,
];
