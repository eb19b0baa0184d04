/**
 * The step into a container, for `--mount`: a process of its own, which has of the agent no more than
 * it needs to get there, and none of it when the command is born. The container may watch its pid
 * namespace and seize what appears there before that has executed anything (ptrace(2)): so what is
 * born there has the identity of the container's own process, three descriptors and one that only
 * tells an error, a session and a keyring of its own, and of memory what is in this file.
 */
import { variable } from "../base/environment.ts";
import { joinCgroupsOf } from "../kernel/cgroups.ts";
import { execute, resetSignals } from "../kernel/exec.ts";
import { Handle, isExecutable, readAll, readProcFile, renumber } from "../kernel/files.ts";
import {
  bindMount,
  mount,
  MS_BIND,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SLAVE,
} from "../kernel/mount.ts";
import { enterNamespaces, makeNamespaces, type NamespaceKind } from "../kernel/namespaces.ts";
import { readyToLimit } from "../kernel/limits.ts";
import { closeFrom, parseIdentity, readyToAssume } from "../kernel/privileges.ts";
import { inodeOf } from "../kernel/proc.ts";
import { dieWithParent, parentPid } from "../kernel/process.ts";
import { endAs, EXEC_STATUS, readyToStart } from "../kernel/start_child.ts";

/** What the step gets told, on a pipe. */
export interface Step {
  argv: [string, ...string[]];
  env: Record<string, string>;
  /** Descriptor of the directory under /proc of the container's process. */
  process: number;
  /** Descriptors for standard input, output, error, and for {@link EXEC_STATUS}. */
  streams: [number, number, number, number];
}

/** The container's mounts come last but one: they may hide the handles of the others. */
const KINDS: readonly NamespaceKind[] = ["net", "uts", "ipc", "cgroup", "pid", "mnt"];

/** Set in the second start, from a file that nobody can write to. */
const SEALED = "MESOS_CNI_SEALED";

/**
 * Starts this program again from a read-only mount of its own. For a moment the command's process is
 * this program, inside of the container, and its /proc/PID/exe leads to the file on the agent: a
 * container that waits for that moment could write to it.
 *
 * @returns only in the second start
 */
function seal(argv: readonly string[]): void {
  if (variable(SEALED) !== undefined) return;
  const file = Deno.execPath();
  makeNamespaces(["mnt"]);
  mount(null, "/", null, MS_SLAVE | MS_REC, "separate the mounts of this program");
  bindMount(file, file);
  mount(null, file, null, MS_REMOUNT | MS_BIND | MS_RDONLY, `make ${file} read-only`);
  Deno.env.set(SEALED, "1");
  execute([file, ...argv]);
}

/**
 * Takes the step: this process ends as the command does.
 *
 * @param descriptor where the {@link Step} is told
 * @param parent who started this one
 * @throws {OperatorError} when the container can't be entered
 */
export function stepInside(descriptor: number, parent: number): never {
  dieWithParent();
  // A parent that died before the line above has nobody to wait for.
  if (parentPid() !== parent) Deno.exit(1);
  seal(Deno.args);
  let step: Step;
  {
    using told = new Handle(descriptor);
    step = JSON.parse(readAll(told, "the step"));
  }
  const container = `/proc/self/fd/${step.process}`;
  const assume = readyToAssume(parseIdentity(readProcFile(`${container}/status`)));
  const start = readyToStart(step.argv, step.env);
  const limit = readyToLimit(container);
  // As late as can be: what this program has taken of memory until here is not the container's.
  joinCgroupsOf(container);
  const isOther = (kind: NamespaceKind) =>
    inodeOf(`${container}/ns/${kind}`) !== inodeOf(`/proc/self/ns/${kind}`);
  enterNamespaces(
    Object.fromEntries(KINDS.filter(isOther).map((kind) => [kind, `${container}/ns/${kind}`])),
  );
  assume();
  const program = find(step.argv[0], step.env.PATH ?? "");
  step.streams.forEach((fd, i) => renumber(new Handle(fd), i, i < EXEC_STATUS));
  closeFrom(EXEC_STATUS + 1);
  resetSignals();
  limit();
  // A path that was not found is refused by the kernel, whose error then is told.
  const child = start(program);
  closeFrom(EXEC_STATUS);
  return endAs(child);
}

/** The file of a command; where there is none, a path that says why. */
function find(command: string, path: string): string {
  if (command.includes("/")) return command;
  const files = path.split(":").map((directory) => `${directory}/${command}`);
  return files.find(isExecutable) ?? files[0] ?? command;
}
