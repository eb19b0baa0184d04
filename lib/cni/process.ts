/**
 * Plugins as processes. A plugin is somebody else's program that runs as root: it gets exactly
 * the protocol's environment, and neither a hang nor a flood of output reaches the caller.
 */
import { log } from "../base/log.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { CniCommand, Invocation, StartOptions } from "./invocation.ts";
import { isObject, type JsonObject, parseJson, quote } from "../base/json.ts";
import { OperatorError } from "../base/error.ts";
import { plain } from "../base/printable.ts";
import { type ProgramRun, runProgram } from "../program/run.ts";
import { tried } from "../base/unless.ts";

export interface ProcessOptions extends StartOptions {
  /** Milliseconds until the plugin, with all that it started, is killed. Default: 60,000. */
  timeoutMs?: number;
  /** Bytes of standard output that are too many for a result. Default: 4 MiB. */
  outputLimit?: number;
  /** Ends the plugin, with all that it started, when the caller gives up. */
  signal?: AbortSignal;
}

/** Of standard error the end is kept, where programs say why they gave up. */
const STDERR_KEPT = 16 << 10;
/** What a plugin's own message may add to ours. */
const MESSAGE_KEPT = 4 << 10;
const TIMEOUT_MS = 60_000;
const OUTPUT_LIMIT = 4 << 20;

/** A {@link Plugin} that finds its own delegates. */
export type ProcessPlugin = (
  invocation: Omit<Invocation, "locate">,
) => Promise<JsonObject | undefined>;

/** The plugin that a file is. Its errors carry the plugin's own code, message and details. */
export function processPlugin(file: string, options: ProcessOptions = {}): ProcessPlugin {
  return async (invocation) => {
    const run = await execute(file, invocation, options);
    if (run.stderr !== "") log.info("plugin's standard error", { file, text: run.stderr });
    return outcome(run, invocation.command, options);
  };
}

interface Run extends ProgramRun {
  file: string;
}

async function execute(
  file: string,
  invocation: Omit<Invocation, "locate">,
  { timeoutMs = TIMEOUT_MS, outputLimit = OUTPUT_LIMIT, signal, start }: ProcessOptions,
): Promise<Run> {
  if (signal?.aborted) throw interrupted(file);
  // Another program looks for what the plugins before it made.
  await invocation.firewall?.commit();
  try {
    const run = await runProgram(file, {
      env: environment(invocation),
      stdin: JSON.stringify(invocation.config),
      timeoutMs,
      outputLimit,
      stderrKept: STDERR_KEPT,
      signal,
      start,
    });
    return { ...run, file };
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    throw new CniError(CNI_CODES.ioFailure, `plugin ${error.message}`, undefined, { cause: error });
  }
}

/** What a plugin that was not even started, since its caller has given up, ends with. */
function interrupted(file: string): CniError {
  return new CniError(CNI_CODES.tryAgainLater, `plugin ${file} was not started: interrupted`);
}

/** The calls that have no result (specification section 2): what they print is no answer. */
const SILENT: readonly CniCommand[] = ["DEL", "CHECK", "GC", "STATUS"];

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

function outcome(run: Run, command: CniCommand, options: ProcessOptions): JsonObject | undefined {
  const { file, stopped, stdout } = run;
  const exit = run.signal === undefined ? `exit code ${run.code}` : `signal ${run.signal}`;
  // Calico's CHECK prints "OK", and scripts echo what they like.
  if (!stopped && exit === "exit code 0" && SILENT.includes(command)) return undefined;
  if (stopped) {
    throw failure(
      STOPPED[stopped],
      `plugin ${file} ${whyStopped(run, options)} and was killed`,
      run,
    );
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
        (last === "" ? "" : `; the last line of its standard error: ${quote(last)}`),
      run,
    );
  }
  if (printed || stdout.trim() === "") return printed;
  throw failure(
    CNI_CODES.undecodable,
    `plugin ${file} printed something else than a JSON object: ${quote(stdout.slice(0, 200))}`,
    run,
  );
}

/** The code of our error for a plugin that we killed. */
const STOPPED = {
  timeout: CNI_CODES.tryAgainLater,
  interrupted: CNI_CODES.tryAgainLater,
  output: CNI_CODES.undecodable,
} as const;

function whyStopped({ stopped }: Run, options: ProcessOptions): string {
  if (stopped === "interrupted") return "was interrupted";
  const { timeoutMs = TIMEOUT_MS, outputLimit = OUTPUT_LIMIT } = options;
  return stopped === "output"
    ? `printed more than ${outputLimit} bytes`
    : `did not finish within ${timeoutMs / 1000} s`;
}

function parse(stdout: string): JsonObject | undefined {
  const value = tried(() => parseJson(stdout), undefined); // outcome() says so where it matters
  return isObject(value) ? value : undefined;
}

/** The plugin's own error (specification, section "Error"), kept as it is but for its length. */
function reported({ code, msg, details }: JsonObject, run: Run): CniError {
  const number = typeof code === "number" && code !== 0 ? code : CNI_CODES.internal;
  const own = typeof details === "string" ? details.slice(0, STDERR_KEPT) : "";
  return failure(number, String(msg).slice(0, MESSAGE_KEPT), run, own);
}

function failure(code: number, message: string, { stderr }: Run, details = ""): CniError {
  const story = [details, stderr.trim() && `standard error: ${stderr.trim()}`]
    .filter((part) => part !== "").join("\n");
  return new CniError(code, plain(message), plain(story) || undefined);
}
