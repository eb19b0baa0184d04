/**
 * The shell of `netns shell`, which says in its prompt where it is. Each kind has a way of its own to
 * put that before the prompt that its user has:
 *
 * - bash: PROMPT_COMMAND, run before each prompt
 * - zsh: a .zshrc that reads the user's own first, then adds a function to run before each prompt
 * - fish: a command at the start, which wraps the function that prints the prompt
 * - others take PS1 as it is
 */
import { wish } from "../base/environment.ts";
import { basename, join } from "@std/path";
import { makeDirectory, writeCheckpoint } from "../kernel/atomic_file.ts";
import { isRoot } from "../kernel/process.ts";
import type { Companions } from "./enter.ts";
import type { Target } from "../containers/target.ts";

/** Where zsh finds its .zshrc; gone with a reboot. */
const ZSH_DIR = "/run/mesos-cni/zsh";

const ZSHRC =
  `# Written by mesos-cni netns shell: the user's own settings, and a mark before the prompt.
ZDOTDIR=\${MESOS_CNI_ZDOTDIR:-$HOME}
[ ! -r "$ZDOTDIR/.zshrc" ] || . "$ZDOTDIR/.zshrc"
_mesos_cni_mark() { [[ "$PS1" == "$MESOS_CNI_MARK"* ]] || PS1="$MESOS_CNI_MARK $PS1" }
precmd_functions+=(_mesos_cni_mark)
`;

const FISH_INIT = `functions --copy fish_prompt _mesos_cni_prompt
function fish_prompt
  echo -n "$MESOS_CNI_MARK "
  _mesos_cni_prompt
end`;

/**
 * An interactive shell, and what its environment needs.
 *
 * @throws {OperatorError} `file` where zsh's .zshrc can't be written
 */
export function shellCommand(
  target: Target,
  options: Companions,
): { argv: [string, ...string[]]; env: Record<string, string> } {
  const wanted = wish("SHELL");
  // With the container's files, the shell is its own.
  const shell = options.mount ? "/bin/sh" : wanted?.startsWith("/") ? wanted : "/bin/sh";
  const mark = `[netns ${shortName(target.name)}]`;
  const env = { MESOS_CNI_MARK: mark };
  switch (basename(shell)) {
    case "bash":
      return {
        argv: [shell],
        env: {
          PS1: `${mark} \\w \\$ `,
          PROMPT_COMMAND: `case $PS1 in "${mark}"*) ;; *) PS1="${mark} $PS1" ;; esac`,
        },
      };
    case "zsh":
      makeDirectory(ZSH_DIR);
      writeCheckpoint(join(ZSH_DIR, ".zshrc"), ZSHRC, 0o644);
      return {
        argv: [shell],
        env: { ...env, ZDOTDIR: ZSH_DIR, MESOS_CNI_ZDOTDIR: wish("ZDOTDIR") ?? "" },
      };
    case "fish":
      return { argv: [shell, `--init-command=${FISH_INIT}`], env };
    default:
      return { argv: [shell], env: { PS1: `${mark} ${isRoot() ? "#" : "$"} ` } };
  }
}

/** A name that fits a prompt, of letters that mean nothing to a shell. */
function shortName(name: string): string {
  const safe = name.replaceAll(/[^\w./ -]/g, "_");
  return safe.length > 24 ? `${safe.slice(0, 23)}…` : safe;
}
