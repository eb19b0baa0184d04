/** Starting a plugin: its environment, and what the kernel may say against it. */
import { messageOf } from "../base/error.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { Invocation } from "./invocation.ts";

/** Pauses, in ms, before a file that is just being replaced (ETXTBSY) is tried again. */
const BUSY_PAUSES = [20, 80, 300, 600];

/**
 * Whether to give plugins a session of their own, so that a Ctrl-C in the terminal does not tear
 * them apart. Without a terminal it would only cost: Deno then forks, which copies the page
 * tables of all our memory, instead of a posix_spawn (some ms instead of 0.3 in a large process).
 */
const inTerminal = [Deno.stdin, Deno.stdout, Deno.stderr].some((stream) => stream.isTerminal());

/**
 * Starts a plugin.
 *
 * @param start calls the function that it is given, at the moment that suits it
 * @throws {CniError} `ioFailure` if it cannot be started
 */
export async function spawnPlugin(
  file: string,
  invocation: Omit<Invocation, "locate">,
  start: (spawn: () => Deno.ChildProcess) => Deno.ChildProcess,
): Promise<Deno.ChildProcess> {
  const command = new Deno.Command(file, {
    clearEnv: true,
    env: environment(invocation),
    detached: inTerminal,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  for (let attempt = 0;; attempt++) {
    try {
      requireProgram(file);
      return start(() => command.spawn());
    } catch (error) {
      const pause = BUSY_PAUSES[attempt];
      if (pause === undefined || !messageOf(error).includes("(os error 26)")) {
        throw new CniError(
          CNI_CODES.ioFailure,
          `plugin ${file} could not be started: ${messageOf(error)}; ` +
            "check that it is an executable for this machine",
          undefined,
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** Exactly the protocol's variables: nothing of our own environment reaches a plugin. */
function environment(invocation: Omit<Invocation, "locate">): Record<string, string> {
  const { command, containerId, netns, ifName, args, path, searchPath } = invocation;
  return {
    CNI_COMMAND: command,
    ...(containerId === "" ? {} : { CNI_CONTAINERID: containerId }),
    ...(netns === undefined ? {} : { CNI_NETNS: netns }),
    ...(ifName === "" ? {} : { CNI_IFNAME: ifName }),
    ...(args === undefined ? {} : { CNI_ARGS: args }),
    CNI_PATH: searchPath,
    PATH: path,
  };
}

/**
 * Refuses what execvp(3) would pass to a shell, because the kernel does not know its format: an
 * empty file, say, would then "succeed" without doing anything.
 */
function requireProgram(file: string): void {
  using opened = Deno.openSync(file);
  const start = new Uint8Array(4);
  opened.readSync(start);
  const [a, b, c, d] = start;
  const script = a === 0x23 && b === 0x21; // "#!"
  const elf = a === 0x7f && b === 0x45 && c === 0x4c && d === 0x46; // "\x7fELF"
  if (!script && !elf) throw new Error("it is neither an ELF program nor a script with #!");
}
