/**
 * A container's own programs, for `--mount`. They are the framework's, and started by root: so they
 * get the container's namespaces and no more rights than its processes have, an environment that is
 * made, and three descriptors.
 */
import { inodeOf } from "../kernel/proc.ts";
import { variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { log } from "../base/log.ts";
import {
  type Handle,
  O_DIRECTORY,
  O_PATH,
  open,
  readProcFile,
  setInherited,
} from "../kernel/files.ts";
import {
  bindMount,
  mount,
  MS_BIND,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SLAVE,
} from "../kernel/mount.ts";
import { execute } from "../kernel/exec.ts";
import {
  Birthplace,
  enterNamespaces,
  makeNamespaces,
  type NamespaceKind,
} from "../kernel/namespaces.ts";
import { closeOthersOnExec, hideFromOthers, Limit, parsePrivileges } from "../kernel/privileges.ts";
import type { Layout } from "../containers/layout.ts";
import { requireProcess } from "./enter.ts";
import type { Target } from "../containers/target.ts";

/** In the second start of {@link sealProgram}: the descriptor of the agent's mount namespace. */
const SEALED = "MESOS_CNI_SEALED";

/** The container's mounts come last: they may hide the handles of the others. */
const KINDS: readonly NamespaceKind[] = ["net", "uts", "ipc", "cgroup", "pid", "mnt"];

/** What the command's environment has of the operator's: how the terminal wants to be spoken to. */
const OF_THE_TERMINAL = /^(TERM|COLORTERM|LANG|LC_[A-Z]+|TZ)$/;

const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Signals that are for the command, and not for the one who waits for it. */
const PASSED_ON = ["SIGHUP", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGINT"] as const;

/**
 * Makes the file of this program read-only to whoever gets hold of it, by starting the program
 * again from a read-only mount of its own. For a moment the command's process is this program,
 * inside of the container, and its /proc/PID/exe leads to the file on the agent: a container that
 * waits for that moment could write to it.
 *
 * @returns only in the second start
 * @throws {OperatorError}
 */
export function sealProgram(argv: readonly string[]): void {
  const sealed = variable(SEALED);
  if (sealed !== undefined) {
    // The running file stays read-only; handles of containers lie among the agent's mounts alone.
    enterNamespaces({ mnt: `/proc/self/fd/${Number(sealed)}` });
    return;
  }
  const file = Deno.execPath();
  const agents = open("/proc/self/ns/mnt");
  setInherited(agents, true);
  makeNamespaces(["mnt"]);
  mount(null, "/", null, MS_SLAVE | MS_REC, "separate the mounts of this program");
  bindMount(file, file);
  mount(null, file, null, MS_REMOUNT | MS_BIND | MS_RDONLY, `make ${file} read-only`);
  Deno.env.set(SEALED, String(agents.fd));
  execute([file, ...argv]);
}

/**
 * Runs a command of the container to its end.
 *
 * @param env what its environment has besides
 * @param complain says why the command could not be executed
 * @returns its exit code; 128 + n if signal n ended it; 126 or 127 if it could not be executed
 * @throws {OperatorError} when the container can't be entered
 */
export async function runContained(
  argv: readonly [string, ...string[]],
  layout: Layout,
  target: Target,
  env: Record<string, string>,
  complain: (message: string) => void,
): Promise<number> {
  // Before there is a command: a signal that comes as it starts is for it too.
  using signals = new PassedSignals();
  using process = await openProcess(layout, target);
  const privileges = parsePrivileges(readProcFile(`${process.path}/status`));
  if (privileges.isFiltered) {
    log.warning(
      "the container's processes run under a seccomp filter, and the command will not",
      { container: target.name },
    );
  }
  hideFromOthers();
  closeOthersOnExec();
  const limit = new Limit(privileges);
  const { pid, ...others } = namespacesOf(process, target);
  using birthplace = pid === undefined ? undefined : new Birthplace(pid);
  enterNamespaces(others);
  limit.limitPrograms();
  const made = environment(env);
  // A child, since only what is started now is born in the container's pid namespace.
  const spawn = () => start(argv, made, complain);
  const child = birthplace ? birthplace.start(spawn) : spawn();
  limit.limitThread();
  if (typeof child === "number") return child;
  signals.passTo(child);
  return (await child.status).code;
}

/** A process of the target, which stays this process, whatever its number is given to. */
async function openProcess(layout: Layout, target: Target): Promise<Handle> {
  const pid = await requireProcess(layout, target);
  const process = open(`/proc/${pid}`, O_PATH | O_DIRECTORY);
  if (inodeOf(`${process.path}/ns/net`) === inodeOf(target.netns)) return process;
  process.close();
  throw new OperatorError(
    "no_process",
    `process ${pid} is not in the network of ${target.name} (any more)`,
  );
}

/** Those of the process's namespaces that are not this one's already. */
function namespacesOf(process: Handle, { name }: Target): Partial<Record<NamespaceKind, string>> {
  const isOwn = (kind: string) =>
    inodeOf(`${process.path}/ns/${kind}`) === inodeOf(`/proc/self/ns/${kind}`);
  if (!isOwn("user")) {
    throw new OperatorError(
      "user_namespace",
      `${name} has a user namespace of its own, which this program can't enter: leave --mount ` +
        `away, or use nsenter(1) with --user`,
    );
  }
  return Object.fromEntries(
    KINDS.filter((kind) => !isOwn(kind)).map((kind) => [kind, `${process.path}/ns/${kind}`]),
  );
}

function environment(more: Record<string, string>): Record<string, string> {
  const terminal = Object.entries(Deno.env.toObject())
    .filter(([name]) => OF_THE_TERMINAL.test(name));
  return { PATH, HOME: "/root", ...Object.fromEntries(terminal), ...more };
}

/** @returns the exit code that a shell gives for a command it can't execute, having said why */
function start(
  [command, ...args]: readonly [string, ...string[]],
  env: Record<string, string>,
  complain: (message: string) => void,
): Deno.ChildProcess | 126 | 127 {
  try {
    return new Deno.Command(command, {
      args,
      env,
      clearEnv: true,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      complain(
        `${command}: there is no such program in the container; without --mount, the agent's are run`,
      );
      return 127;
    }
    complain(`${command} can't be executed in the container: ${(error as Error).message}`);
    return 126;
  }
}

/** Signals that are for the command, while this process waits for its end. */
class PassedSignals implements Disposable {
  #child?: Deno.ChildProcess;
  /** Those that came before there was a command. */
  readonly #early: Deno.Signal[] = [];
  readonly #listeners = PASSED_ON.map((signal) => [signal, () => this.#pass(signal)] as const);

  constructor() {
    for (const [signal, listener] of this.#listeners) Deno.addSignalListener(signal, listener);
  }

  passTo(child: Deno.ChildProcess): void {
    this.#child = child;
    for (const signal of this.#early) this.#pass(signal);
  }

  #pass(signal: Deno.Signal): void {
    // The terminal has sent these to the command as well.
    if ((signal === "SIGINT" || signal === "SIGQUIT") && Deno.stdin.isTerminal()) return;
    if (!this.#child) {
      this.#early.push(signal);
      return;
    }
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended.
    }
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) Deno.removeSignalListener(signal, listener);
  }
}
