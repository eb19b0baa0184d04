/**
 * Plugins as processes. A plugin is somebody else's program that runs as root: it gets exactly
 * the protocol's environment, and neither a hang nor a flood of output reaches the caller.
 */
import { killTree } from "../kernel/kill_tree.ts";
import { log } from "../base/log.ts";
import { CNI_CODES, CniError } from "./error.ts";
import type { CniCommand, Invocation, StartOptions } from "./invocation.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import { quote } from "../base/json.ts";
import { plain } from "../base/printable.ts";
import { collect, feed } from "../program/pipe.ts";
import { spawnPlugin } from "./spawn.ts";

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
/** How long, in ms, pipes may stay open after the plugin's exit: a daemon it left may hold them. */
const PIPE_GRACE_MS = 200;

/** A {@link Plugin} that finds its own delegates. */
export type ProcessPlugin = (
  invocation: Omit<Invocation, "locate">,
) => Promise<JsonObject | undefined>;

/** The plugin that a file is. Its errors carry the plugin's own code, message and details. */
export function processPlugin(file: string, options: ProcessOptions = {}): ProcessPlugin {
  return async (invocation) => {
    const run = await execute(file, invocation, options);
    if (run.stderr !== "") log.info("plugin's standard error", { file, text: run.stderr });
    return outcome(run, invocation.command);
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
  invocation: Omit<Invocation, "locate">,
  { timeoutMs = 60_000, outputLimit = 4 << 20, signal, start = (spawn) => spawn() }: ProcessOptions,
): Promise<Run> {
  if (signal?.aborted) throw interrupted(file);
  const child = await spawnPlugin(file, invocation, start);
  const run: Run = { file, exit: "", stdout: "", stderr: "" };
  const stop = (code: number, why: string) => {
    run.stopped ??= { code, why };
    if (run.exit === "") killTree(child.pid);
  };
  const timer = setTimeout(
    () => stop(CNI_CODES.tryAgainLater, `did not finish within ${timeoutMs / 1000} s`),
    timeoutMs,
  );
  const giveUp = () => stop(CNI_CODES.tryAgainLater, "was interrupted");
  signal?.addEventListener("abort", giveUp);
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
  signal?.removeEventListener("abort", giveUp);
  const grace = setTimeout(() => [stdout, stderr].forEach((it) => it.abandon()), PIPE_GRACE_MS);
  [run.stdout, run.stderr] = await Promise.all([stdout.text, stderr.text]);
  clearTimeout(grace);
  return run;
}

/** What a plugin that was not even started, since its caller has given up, ends with. */
function interrupted(file: string): CniError {
  return new CniError(CNI_CODES.tryAgainLater, `plugin ${file} was not started: interrupted`);
}

/** The calls that have no result (specification section 2): what they print is no answer. */
const SILENT: readonly CniCommand[] = ["DEL", "CHECK", "GC", "STATUS"];

function outcome(run: Run, command: CniCommand): JsonObject | undefined {
  const { file, stopped, exit, stdout } = run;
  // Calico's CHECK prints "OK", and scripts echo what they like.
  if (!stopped && exit === "exit code 0" && SILENT.includes(command)) return undefined;
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
  const story = [details, stderr.trim() && `standard error: ${stderr.trim()}`]
    .filter((part) => part !== "").join("\n");
  return new CniError(code, plain(message), plain(story) || undefined);
}
