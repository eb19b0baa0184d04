/**
 * What each call of a plugin, and each attach of the isolator, leaves behind: a line, which is there when
 * the container is gone. Nothing waits for it and nothing fails by it; what a framework says in labels and
 * arguments is not in it.
 *
 * A line is one write(2) to a file that is open for appending, so that writers need no lock. Killed in the
 * midst of it, a writer leaves a part of a line, to which the next one adds: see {@link readHistory}.
 */
import { isObject, type JsonObject } from "../base/json.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import { makeDirectory } from "../kernel/atomic_file.ts";
import { portMappingsOf } from "./port_mappings.ts";
import { errno, isA, unless } from "../base/unless.ts";
import { namesIn, statOf } from "../base/exists.ts";

/** As rules and namespaces, it is of this boot. Only root's: ids of others' containers are in it. */
export const HISTORY = "/run/mesos-cni/history";
const CALLS = `${HISTORY}/calls.jsonl`;
const OLDER = `${HISTORY}/calls.1.jsonl`;
/** A file for each kind of failure, with a byte for each: a count that no rotation resets. */
const FAILURES = `${HISTORY}/failures`;

/** Bytes of a file before it becomes the older one, of which there is one: some 10,000 calls each. */
const MOST_BYTES = 4 << 20;
/** Characters of an error, and items of a list, that are kept. */
const MOST_TEXT = 1000;
const MOST_ITEMS = 32;
/** Of three words, each with a blank, a file's name has room for so many characters (NAME_MAX). */
const LONGEST_WORD = 84;

/** A call: what it was about, and what came of it. */
export interface PastCall {
  /** When it began, ISO 8601. */
  time: string;
  /** `plugin` for a process that a runtime started, `isolator` for an attachment by this program's own. */
  by: "plugin" | "isolator";
  command: string;
  /** The type; of an isolator's, those of the network, joined by "+". */
  plugin: string;
  network: string;
  container: string;
  interface: string;
  /** How long it took, without the start of the process. */
  ms: number;
  outcome: "done" | "failed";
  /** CNI's number, or this program's word for it. */
  code?: string;
  error?: string;
  /** What the container got, with prefix lengths; and `8080:80/tcp`. */
  addresses?: string[];
  ports?: string[];
}

export type About = Omit<
  PastCall,
  "time" | "ms" | "outcome" | "code" | "error" | "addresses" | "ports"
>;

/** Runs a call and leaves its line. @param config in which ports are asked for */
export async function remembered<R extends JsonObject | boolean | undefined | void>(
  about: () => About,
  config: JsonObject,
  call: () => Promise<R>,
): Promise<R> {
  const time = new Date().toISOString();
  const start = performance.now();
  const leave = (rest: Partial<PastCall>) =>
    remember(() => ({
      time,
      ...about(),
      ms: Math.round((performance.now() - start) * 10) / 10,
      outcome: "done",
      ...rest,
    }));
  try {
    const result = await call();
    const got = isObject(result) ? { addresses: addressesIn(result), ports: portsIn(config) } : {};
    leave(got);
    return result;
  } catch (error) {
    const code = error instanceof OperatorError ? error.code.replace(/^cni_/, "") : "defect";
    leave({ outcome: "failed", code, error: messageOf(error).slice(0, MOST_TEXT) });
    throw error;
  }
}

function remember(entry: () => PastCall): void {
  try {
    const call = entry();
    const size = append(CALLS, JSON.stringify(call) + "\n");
    if (call.outcome === "failed") {
      const words = [call.plugin, call.command, call.code!].map(word);
      append(`${FAILURES}/${words.join(" ")}`, "\n");
    }
    if (size > MOST_BYTES) rotate();
  } catch {
    // A full disk, or a user who is not root: a call does not fail for want of its line.
  }
}

/** As much of a text, as a part of a file's name, as leaves room for two others. */
function word(text: string): string {
  let name = "";
  for (const character of text.toWellFormed()) {
    const more = encodeURIComponent(character);
    if (name.length + more.length > LONGEST_WORD) break;
    name += more;
  }
  return name;
}

/** @returns the file's bytes */
function append(path: string, text: string): number {
  using file = openToAppend(path);
  file.writeSync(new TextEncoder().encode(text));
  return file.statSync().size;
}

function openToAppend(path: string): Deno.FsFile {
  const options = { append: true, create: true, mode: 0o600 };
  try {
    return Deno.openSync(path, options);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    makeDirectory(path.slice(0, path.lastIndexOf("/")), 0o700);
    return Deno.openSync(path, options);
  }
}

/** Of several that find the file full, one gives it its other name. */
function rotate(): void {
  using lock = FileLock.tryTake(`${HISTORY}/.lock`);
  if (lock && (statOf(CALLS)?.size ?? 0) > MOST_BYTES) Deno.renameSync(CALLS, OLDER);
}

function addressesIn({ ips, ip4, ip6 }: JsonObject): string[] | undefined {
  const all = Array.isArray(ips)
    ? ips.map((one) => isObject(one) ? one.address : undefined)
    : [ip4, ip6].map((one) => isObject(one) ? one.ip : undefined);
  return some(all.filter((one) => typeof one === "string"));
}

function portsIn(config: JsonObject): string[] | undefined {
  return some(
    portMappingsOf(config).map((one) => `${one.hostPort}:${one.containerPort}/${one.protocol}`),
  );
}

function some(all: readonly string[]): string[] | undefined {
  if (all.length === 0) return undefined;
  return all.slice(0, MOST_ITEMS).map((one) => one.slice(0, 100));
}

/** All that is left of calls, the oldest first. */
export function readHistory(): PastCall[] {
  return [OLDER, CALLS].flatMap((path) => textOf(path).split("\n").flatMap(callIn))
    // Calls end in another order than they began in.
    .sort((a, b) => a.time < b.time ? -1 : a.time > b.time ? 1 : 0);
}

/** A line may begin with a part of another one; in a string, no quotation mark is bare. */
function callIn(line: string): PastCall[] {
  try {
    const call: unknown = JSON.parse(line.slice(Math.max(0, line.lastIndexOf('{"time":"'))));
    if (!isObject(call)) return [];
    const { time, command, plugin, network, container, addresses = [], ports = [] } = call;
    const { code = "", error = "", ms, outcome } = call;
    const texts = [time, command, plugin, network, container, call.interface, code, error, outcome];
    const isCall = [addresses, ports].every(Array.isArray) && typeof ms === "number" &&
      [...texts, addresses, ports].flat().every((one) => typeof one === "string");
    return isCall ? [call as unknown as PastCall] : [];
  } catch {
    return [];
  }
}

/** None there, or one that root alone may see. */
const isUnseen = errno("ENOENT", "EACCES");

function textOf(path: string): string {
  return unless(isUnseen, () => Deno.readTextFileSync(path)) ?? "";
}

/** Failures since the boot, by kind. */
export function countFailures() {
  return (unless(isUnseen, () => namesIn(FAILURES)) ?? []).flatMap((name) => {
    // A name that nobody of ours gave it.
    const words = unless(isA(URIError), () => name.split(" ").map(decodeURIComponent));
    if (!words) return [];
    const [plugin = "", command = "", code = ""] = words;
    return [{ plugin, command, code, count: statOf(`${FAILURES}/${name}`)?.size ?? 0 }];
  }).sort((a, b) => a.plugin < b.plugin ? -1 : 1);
}
