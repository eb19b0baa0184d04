/**
 * The first process of a container that `run` starts: a copy of this program, born in the
 * container's namespaces, that waits there while its networks are made and then becomes the
 * command.
 */
import { messageOf } from "../base/error.ts";
import { plain } from "../base/printable.ts";
import { writeErrorOutput } from "../base/streams.ts";
import { clearEnvironment, execute, exitCodeOfFailedExec, heedChildren } from "../kernel/exec.ts";
import { Handle, pipe, readAll, setInherited, write } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import { inNewNamespaces, type NamespaceKind } from "../kernel/namespaces.ts";
import { closeOthersOnExec } from "../kernel/privileges.ts";
import { dieWithParent, parentPid } from "../kernel/process.ts";
import { enterImage } from "./image.ts";

/**
 * The variables that a command has of whoever called `run`: where programs are, who calls, how the
 * terminal wants to be spoken to, and the address that an executor of Mesos binds to. The others may hold what is nobody else's business.
 */
const INHERITED = /^(PATH|HOME|USER|LOGNAME|SHELL|TERM|COLORTERM|LANG|LC_[A-Z]+|TZ|LIBPROCESS_IP)$/;

/** What the launcher is to become. */
export interface Order {
  argv: [string, ...string[]];
  /** On top of the few variables that it has of the environment of `run`. */
  env: Record<string, string>;
  rootfs?: string;
}

/** A launcher that waits for its order. */
export class Launcher {
  readonly pid: number;
  /** The launcher's exit code, and later the command's; 128 + n if signal n ended it. */
  readonly exitCode: Promise<number>;
  readonly #process: Deno.ChildProcess;
  readonly #order: Handle;

  private constructor(process: Deno.ChildProcess, order: Handle) {
    this.#process = process;
    this.#order = order;
    this.pid = process.pid;
    this.exitCode = process.status.then(({ code }) => code);
  }

  /** Starts one in new namespaces. It dies with this process. */
  static start(namespaces: readonly NamespaceKind[]): Launcher {
    heedChildren();
    const { readEnd, writeEnd } = pipe();
    using _ = readEnd;
    setInherited(readEnd, true);
    const command = new Deno.Command(Deno.execPath(), {
      args: ["launch", String(readEnd.fd), String(Deno.pid)],
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    });
    return new Launcher(inNewNamespaces(namespaces, () => command.spawn()), writeEnd);
  }

  /** Lets the launcher become the command. */
  go(order: Order): void {
    using handle = this.#order;
    write(handle, JSON.stringify(order), "the launcher's order");
  }

  /** Passes a signal on; a process that is gone takes none. */
  signal(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) && !(error instanceof TypeError)) throw error;
    }
  }
}

/**
 * The launcher's own side: waits for the order on a descriptor, and becomes the command.
 *
 * @returns only when that is not possible: the exit code that a shell would give
 */
export function launch(descriptor: number, parent: number): number {
  dieWithParent();
  // A parent that died before the line above will never write.
  if (parentPid() !== parent) return 1;
  let text: string;
  {
    using handle = new Handle(descriptor);
    text = readAll(handle, "the launcher's order");
  }
  if (text === "") return 1;
  const { argv, env, rootfs }: Order = JSON.parse(text);
  try {
    if (rootfs !== undefined) enterImage(rootfs);
    const own = Object.entries(Deno.env.toObject()).filter(([name]) => INHERITED.test(name));
    clearEnvironment();
    for (const [name, value] of [...own, ...Object.entries(env)]) Deno.env.set(name, value);
    closeOthersOnExec();
    return execute(argv);
  } catch (error) {
    const code = error instanceof SystemError ? exitCodeOfFailedExec(error) : 126;
    const why = code === 127 ? `there is no program ${argv[0]} here` : messageOf(error);
    writeErrorOutput(`mesos-cni run: ${plain(why)}\n`);
    return code;
  }
}
