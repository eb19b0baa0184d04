/** tuning's config: settings of the kernel and of the interface. */
import { exists } from "../../lib/base/exists.ts";
import type { Json } from "../../lib/base/json.ts";
import { isObject, quote } from "../../lib/base/json.ts";
import { readTextFile } from "../../lib/kernel/read_file.ts";
import { readCniArgs } from "../shared/cni_args.ts";
import { Fields, wrong } from "../../lib/cni/fields.ts";
import { readMac } from "../shared/mac.ts";
import type { Call } from "../shared/standard_plugin.ts";

export type TuningConfig = ReturnType<typeof readTuningConfig>;

const DATA_DIR = "/run/cni/tuning";
const ALLOW_LIST = "/etc/cni/tuning/allowlist.conf";
/** Regular expressions by an administrator; what is longer is no list of settings. */
const LONGEST_ALLOW_LIST = 1 << 20;

/** @throws {CniError} */
export function readTuningConfig(call: Call) {
  const { config, invocation } = call;
  const own = config.object("args")?.object("cni") ?? new Fields({});
  const { MAC } = readCniArgs(invocation.args, ["MAC"]);
  const mac = own.text("mac") ?? (config.object("runtimeConfig")?.text("mac") || MAC ||
    config.text("mac"));
  const either = (key: string) => own.has(key) ? own : config;
  return {
    /** Values by path below /proc/sys. */
    sysctls: readSysctls(call, own),
    mac: mac ? readMac(mac) : undefined,
    promiscuous: either("promisc").flag("promisc"),
    mtu: either("mtu").integer("mtu") || undefined,
    txQueueLength: either("txQLen").integer("txQLen"),
    allMulticast: either("allmulti").has("allmulti")
      ? either("allmulti").flag("allmulti")
      : undefined,
    /** Where it is kept how the interface was before. */
    dataDir: dataDirOf(call),
  };
}

export function dataDirOf({ config }: Call): string {
  return config.text("dataDir") || DATA_DIR;
}

function readSysctls({ config, ifName, invocation }: Call, own: Fields): Map<string, string> {
  const found = new Map<string, string>();
  const named: string[] = [];
  for (const source of [config, own]) {
    const sysctl = source.get("sysctl") ?? {};
    if (!isObject(sysctl)) source.fail("sysctl", "an object of settings and their values");
    for (const [key, value] of Object.entries(sysctl)) {
      found.set(key, textOf(value, `${source.at("sysctl")}.${key}`));
      named.push(key);
    }
  }
  requireOnce(invocation.text ?? "", named);
  requireAllowed([...found.keys()]);
  return new Map([...found].map(([key, value]) => [pathOf(key, ifName), value]));
}

function textOf(value: Json, where: string): string {
  if (typeof value === "string") return value;
  throw wrong(`${where} is ${quote(value)}; it must be a string`);
}

/** Only what a network namespace has of its own: the rest is the host's. */
function pathOf(key: string, ifName: string): string {
  const path = key.replaceAll(".", "/").replace("IFNAME", () => ifName)
    .split("/").filter((part) => part !== "").join("/");
  const parts = path.split("/");
  if (parts[0] === "net" && parts.length > 1 && !parts.includes("..") && !/[\0\n]/.test(path)) {
    return path;
  }
  throw wrong(
    `sysctl ${quote(key)} is not a setting of a network namespace: it must begin with net.`,
  );
}

/** Of a setting that one object names twice, the reader of JSON keeps the last value and says nothing. */
function requireOnce(text: string, named: readonly string[]): void {
  const rest = [...named];
  for (const [, word, colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?/g)) {
    const key = colon === undefined ? "" : JSON.parse(word!);
    if (!named.includes(key)) continue;
    if (!rest.includes(key)) throw wrong(`duplicated sysctl keys are not allowed: ${quote(key)}`);
    rest.splice(rest.indexOf(key), 1);
  }
}

/** Where an administrator has a list, a setting must match one of its regular expressions. */
function requireAllowed(keys: readonly string[]): void {
  const list = readAllowList();
  if (!list) return;
  const forbidden = keys.find((key) => !list.some((allowed) => allowed.test(key)));
  if (forbidden === undefined) return;
  throw wrong(`sysctl ${quote(forbidden)} is not allowed by ${ALLOW_LIST}`);
}

function readAllowList(): RegExp[] | undefined {
  if (!exists(ALLOW_LIST)) return undefined;
  const text = readTextFile(ALLOW_LIST, LONGEST_ALLOW_LIST);
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").map((line) => {
    try {
      return new RegExp(line);
    } catch {
      throw wrong(`${ALLOW_LIST} holds ${quote(line)}, which is no regular expression`);
    }
  });
}
