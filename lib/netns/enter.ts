/** Programs in a container's namespaces: this process enters them and becomes the program. */
import { OperatorError } from "../error.ts";
import { execute, exitCodeOfFailedExec } from "../linux/exec.ts";
import { SystemError } from "../linux/libc.ts";
import { enterNamespaces, type NamespaceKind } from "../linux/namespaces.ts";
import { requireAlive, type Target } from "./target.ts";

/** Which namespaces to enter besides the network's. */
export interface EnterOptions {
  /** The container's files, so that its own /etc, root and programs are seen. */
  mount?: boolean;
  /** The container's hostname. */
  uts?: boolean;
}

/**
 * Becomes the command, in the target's namespaces. Returns only when that is not possible.
 *
 * @returns the exit code that a shell gives for a command it can't execute, having said why
 * @throws {OperatorError} when a namespace can't be entered
 */
export function become(
  target: Target,
  argv: readonly [string, ...string[]],
  options: EnterOptions,
  complain: (message: string) => void,
): number {
  requireAlive(target);
  enterNamespaces(namespacesOf(target, options));
  try {
    return execute(argv);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    complain(error.message);
    return exitCodeOfFailedExec(error);
  }
}

function namespacesOf(
  target: Target,
  options: EnterOptions,
): Partial<Record<NamespaceKind, string>> {
  const { pid, netns } = target;
  if (!options.mount && !options.uts) return { net: netns };
  if (pid === undefined || target.container?.processAlive === false) {
    throw new OperatorError(
      "no_process",
      `${target.name} has no process (any more), and only a process keeps mount and UTS ` +
        "namespaces: try it without --mount and --uts",
    );
  }
  return {
    net: netns,
    ...options.uts ? { uts: `/proc/${pid}/ns/uts` } : {},
    ...options.mount ? { mnt: `/proc/${pid}/ns/mnt` } : {},
  };
}

/**
 * An interactive shell, and what it needs in the environment to say where it is: bash sets its
 * prompt from its own files, so it is told anew before each; other shells take PS1.
 */
export function shellCommand(
  target: Target,
  options: EnterOptions,
): { argv: [string]; env: Record<string, string> } {
  const wanted = Deno.env.get("SHELL");
  // With the container's files, the shell is its own.
  const shell = options.mount ? "/bin/sh" : wanted?.startsWith("/") ? wanted : "/bin/sh";
  const mark = `[netns ${shortName(target.name)}]`;
  return {
    argv: [shell],
    env: {
      PS1: `${mark} \\w \\$ `.replace(/\\[w$]/g, shell.endsWith("/bash") ? "$&" : "$"),
      PROMPT_COMMAND: `case $PS1 in "${mark}"*) ;; *) PS1="${mark} $PS1" ;; esac`,
    },
  };
}

/** A name that fits a prompt, of letters that mean nothing to a shell. */
function shortName(name: string): string {
  const safe = name.replaceAll(/[^\w./ -]/g, "_");
  return safe.length > 24 ? `${safe.slice(0, 23)}…` : safe;
}
