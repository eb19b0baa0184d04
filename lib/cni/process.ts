/**
 * Plugins as processes. A plugin is somebody else's program that runs as root: it gets exactly
 * the protocol's environment, and neither a hang nor a flood of output reaches the caller.
 */
import { log } from "../log.ts";
import { messageOf } from "../error.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { Invocation, Plugin } from "./invocation.ts";
import { isObject, type JsonObject, show } from "./json.ts";
import { collect, feed } from "./pipe.ts";

export interface ProcessLimits {
  /** Milliseconds until the plugin, with all that it started, is killed. Default: 60,000. */
  timeoutMs?: number;
  /** Bytes of standard output that are too many for a result. Default: 4 MiB. */
  outputLimit?: number;
}

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_OUTPUT_LIMIT = 4 << 20;
/** Of standard error the end is kept, where programs say why they gave up. */
const STDERR_KEPT = 16 << 10;
/** What a plugin's own message may add to ours. */
const MESSAGE_KEPT = 4 << 10;
/** How long, in ms, pipes may stay open after the plugin's exit: a daemon it left may hold them. */
const PIPE_GRACE_MS = 200;
/** Pauses, in ms, before a file that is just being replaced (ETXTBSY) is tried again. */
const BUSY_PAUSES = [20, 80, 300, 600];

/** The plugin that a file is. Its errors carry the plugin's own code, message and details. */
export function processPlugin(file: string, limits: ProcessLimits = {}): Plugin {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, outputLimit = DEFAULT_OUTPUT_LIMIT } = limits;
  return async (invocation) => {
    const run = await execute(file, invocation, timeoutMs, outputLimit);
    if (run.stderr !== "") log.info("plugin's standard error", { file, text: run.stderr });
    return outcome(run);
  };
}

interface Run {
  file: string;
  /** Why we killed it, if we did. */
  stopped?: { code: number; why: string };
  /** `exit code 1`, `signal SIGSEGV`. */
  exit: string;
  stdout: string;
  stderr: string;
}

async function execute(
  file: string,
  invocation: Invocation,
  timeoutMs: number,
  outputLimit: number,
): Promise<Run> {
  const child = await spawn(file, environment(invocation));
  const run: Run = { file, exit: "", stdout: "", stderr: "" };
  const stop = (code: number, why: string) => {
    run.stopped ??= { code, why };
    if (run.exit === "") killGroup(child.pid);
  };
  const timer = setTimeout(
    () => stop(CNI_CODES.tryAgainLater, `did not finish within ${timeoutMs / 1000} s`),
    timeoutMs,
  );
  const stdout = collect(
    child.stdout,
    outputLimit,
    () => stop(CNI_CODES.undecodable, `printed more than ${outputLimit} bytes`),
  );
  const stderr = collect(child.stderr, STDERR_KEPT);
  // Not awaited: a child of the plugin that outlives it may hold the pipe without reading it.
  feed(child.stdin, JSON.stringify(invocation.config));

  const status = await child.status;
  run.exit = status.signal === null ? `exit code ${status.code}` : `signal ${status.signal}`;
  clearTimeout(timer);
  const grace = setTimeout(() => [stdout, stderr].forEach((it) => it.abandon()), PIPE_GRACE_MS);
  [run.stdout, run.stderr] = await Promise.all([stdout.text, stderr.text]);
  clearTimeout(grace);
  return run;
}

/** Exactly the protocol's variables: nothing of our own environment reaches a plugin. */
function environment(invocation: Invocation): Record<string, string> {
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
 * Starts the plugin as the leader of a session of its own: a Ctrl-C in the caller's terminal
 * does not tear it apart, and it can be killed with all that it started.
 */
async function spawn(file: string, env: Record<string, string>): Promise<Deno.ChildProcess> {
  const command = new Deno.Command(file, {
    clearEnv: true,
    env,
    detached: true,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  });
  for (const pause of [...BUSY_PAUSES, undefined]) {
    try {
      return command.spawn();
    } catch (error) {
      const busy = messageOf(error).includes("(os error 26)");
      if (!busy || pause === undefined) {
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
  throw new Error("unreachable");
}

/** Kills the plugin and its children: they are one process group, whose id is the plugin's. */
function killGroup(pid: number): void {
  try {
    Deno.kill(-pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error; // it has just ended by itself
  }
}

function outcome(run: Run): JsonObject | undefined {
  const { file, stopped, exit, stdout } = run;
  if (stopped) {
    throw failure(stopped.code, `plugin ${file} ${stopped.why} and was killed`, run);
  }
  const printed = parse(stdout);
  if (printed && typeof printed.msg === "string" && printed.code !== undefined) {
    throw reported(printed, run);
  }
  if (exit !== "exit code 0") {
    const last = run.stderr.trimEnd().split("\n").at(-1)!;
    throw failure(
      CNI_CODES.internal,
      `plugin ${file} ended with ${exit} and without an error object` +
        (last === "" ? "" : `; the last line of its standard error: ${show(last)}`),
      run,
    );
  }
  if (printed || stdout.trim() === "") return printed;
  throw failure(
    CNI_CODES.undecodable,
    `plugin ${file} printed something else than a JSON object: ${show(stdout.slice(0, 200))}`,
    run,
  );
}

function parse(stdout: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(stdout);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // outcome() says so where it matters
  }
}

/** The plugin's own error (specification, section "Error"), kept as it is but for its length. */
function reported({ code, msg, details }: JsonObject, run: Run): CniError {
  const number = typeof code === "number" && code !== 0 ? code : CNI_CODES.internal;
  const own = typeof details === "string" ? details.slice(0, STDERR_KEPT) : "";
  return failure(number, String(msg).slice(0, MESSAGE_KEPT), run, own);
}

function failure(code: number, message: string, { stderr }: Run, details = ""): CniError {
  const story = [details, stderr.trim() && `standard error: ${stderr.trim()}`];
  return new CniError(code, message, story.filter((part) => part !== "").join("\n") || undefined);
}
