/**
 * What every plugin of a standard type does around its own work: the checks of a call, in the
 * order and with the codes of the reference (containernetworking/cni, pkg/skel).
 */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation, Plugin } from "../../lib/cni/invocation.ts";
import { readResult, type Result, writeResult } from "../../lib/cni/result.ts";
import {
  atLeast,
  DEFAULT_VERSION,
  isSpecVersion,
  NEWEST_VERSION,
  SPEC_VERSIONS,
  type SpecVersion,
  versionAnswer,
} from "../../lib/cni/version.ts";
import { type JsonObject, quote } from "../../lib/base/json.ts";
import { isNamespaceHandle, isOwnNamespace } from "../../lib/kernel/namespaces.ts";
import { Fields, wrong } from "../../lib/cni/fields.ts";
import { readNamespace, readOwner } from "./parameters.ts";
import { asCniError } from "./undo.ts";
import { isA, unless } from "../../lib/base/unless.ts";

/** A checked call. */
export type Call = ReturnType<typeof readCall>;

/** A call of ADD or CHECK, which have a namespace. */
export type LiveCall = Call & { netns: string };

/** The work of a plugin. Each fails with an OperatorError. */
export interface StandardPlugin {
  /** Leaves nothing behind when it fails. */
  add(call: LiveCall): Result | Promise<Result>;
  /** Succeeds where there is nothing to remove. @returns what a caller may be told of that stays */
  del(call: Call): void | Promise<JsonObject | undefined | void>;
  check?(call: LiveCall): void | Promise<void>;
  status?(call: Call): Promise<void>;
  gc?(call: Call): Promise<void>;
  /** Whether ADD and CHECK do without a look at the container's namespace. */
  ignoresNamespace?: boolean;
  /** Whether results have the newest form, whatever the version. */
  newestForm?: boolean;
  /** The first version of the specification that it knows; 0.1.0 if nothing is said. */
  since?: SpecVersion;
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** The plugin as a function: rejects with a CniError only. */
export function standardPlugin(work: StandardPlugin): Plugin {
  return async (invocation) => {
    try {
      return await answer(work, invocation);
    } catch (error) {
      throw asCniError(error, CNI_CODES.internal);
    }
  };
}

async function answer(
  work: StandardPlugin,
  invocation: Invocation,
): Promise<JsonObject | undefined> {
  const { supportedVersions: versions } = versionAnswer(work.since);
  requireComparable(invocation);
  if (invocation.command !== "VERSION") requireKnown(invocation, versions);
  switch (invocation.command) {
    case "ADD": {
      const call = readLiveCall(invocation, work);
      const result = await work.add(call);
      if (!work.newestForm) return writeAnswer(result, call.version);
      return { ...writeAnswer(result, NEWEST_VERSION), cniVersion: call.version };
    }
    case "DEL":
      return await work.del(readCall(invocation)) ?? undefined;
    case "CHECK": {
      requireVersion(invocation, "0.4.0");
      await work.check?.(readLiveCall(invocation, work));
      return undefined;
    }
    case "GC":
    case "STATUS":
      requireVersion(invocation, "1.1.0");
      await (invocation.command === "GC" ? work.gc : work.status)?.(readCall(invocation));
      return undefined;
    case "VERSION":
      return versionAnswer(work.since);
  }
}

/** A result as the reference prints it: what is empty is left out. */
function writeAnswer(result: Result, version: SpecVersion): JsonObject {
  const written = writeResult(result, version);
  // What 1.1.0 brought is printed in the form before it as well, and of routes in older ones.
  if (version === "1.0.0") written.interfaces = result.interfaces.map((one) => ({ ...one }));
  if (atLeast(version, "0.3.0")) written.routes = result.routes.map((route) => ({ ...route }));
  for (const key of ["interfaces", "ips", "routes"]) {
    const list = written[key];
    if (Array.isArray(list) && list.length === 0) delete written[key];
  }
  // Before 1.0.0, an empty dns was printed.
  const isEmpty = Object.keys(written.dns as JsonObject).length === 0;
  if (isEmpty && atLeast(version, "1.0.0")) delete written.dns;
  return written;
}

function readCall(invocation: Invocation) {
  const { containerId, ifName, netns, command, config } = invocation;
  // In the reference's order: before the network's name.
  if (command !== "STATUS" && command !== "GC") readOwner(invocation, "");
  const [network, version] = [readNetwork(invocation), readVersion(config)];
  // To "attach" the host to itself would take its own interfaces apart.
  const isChecked = netns !== undefined && !invocation.netnsOverride && isNamespaceHandle(netns);
  if (isChecked && isOwnNamespace(netns)) {
    throw new CniError(
      CNI_CODES.invalidNamespace,
      `CNI_NETNS is ${quote(netns)}, the namespace of the host itself; it must be the container's`,
    );
  }
  return {
    invocation,
    containerId,
    ifName,
    /** The path of the container's namespace; absent where DEL finds none. */
    netns,
    /** The network's name. */
    network,
    version,
    config: new Fields(config),
  };
}

function readLiveCall(invocation: Invocation, { ignoresNamespace }: StandardPlugin): LiveCall {
  const call = readCall(invocation);
  const netns = readNamespace(invocation);
  if (!ignoresNamespace && !isNamespaceHandle(netns)) {
    throw wrong(`CNI_NETNS is ${quote(netns)}, where there is no network namespace`);
  }
  return { ...call, netns };
}

function readNetwork({ config }: Invocation): string {
  const name = new Fields(config).get("name") ?? "";
  if (typeof name !== "string") {
    throw new CniError(CNI_CODES.undecodable, `name is ${quote(name)}; it must be a string`);
  }
  if (NAME.test(name)) return name;
  throw new CniError(
    CNI_CODES.invalidConfig,
    name === ""
      ? "name is missing; it must be the network's"
      : `name is ${quote(name)}; it must be letters, digits and _.-`,
  );
}

/** Three numbers, some of which may be missing. */
const VERSION = /^[+-]?\d+(?:\.[+-]?\d+){0,2}$/;

/** Commands that came later compare versions, and so need one that is a version. */
function requireComparable({ command, config }: Invocation): void {
  const version = new Fields(config).get("cniVersion") || DEFAULT_VERSION;
  if (!["CHECK", "GC", "STATUS"].includes(command)) return;
  if (typeof version !== "string" || VERSION.test(version)) return;
  throw new CniError(CNI_CODES.undecodable, `cniVersion ${quote(version)} is no version`);
}

function readVersion(config: JsonObject): SpecVersion {
  const version = new Fields(config).get("cniVersion") || DEFAULT_VERSION;
  if (isSpecVersion(version)) return version;
  throw new CniError(
    typeof version === "string" ? CNI_CODES.incompatibleVersion : CNI_CODES.undecodable,
    `cniVersion ${quote(version)} is not supported; use one of ${SPEC_VERSIONS.join(", ")}`,
  );
}

function requireKnown({ config }: Invocation, versions: readonly SpecVersion[]): void {
  const version = readVersion(config);
  if (versions.includes(version)) return;
  throw new CniError(
    CNI_CODES.incompatibleVersion,
    `this plugin came with version ${versions[0]} of the specification, and the config is of ` +
      version,
  );
}

function requireVersion(invocation: Invocation, least: SpecVersion): void {
  const version = readVersion(invocation.config);
  if (atLeast(version, least)) return;
  throw new CniError(
    CNI_CODES.incompatibleVersion,
    // In the reference's words, which callers may look for.
    `config version does not allow ${invocation.command}`,
  );
}

/** The result of the plugin before, or of this one's ADD. @throws {CniError} where it is missing */
export function requirePrevResult({ config }: Call): Result {
  const prevResult = config.object("prevResult");
  if (!prevResult) throw wrong("prevResult is missing; the runtime must hand on what ADD printed");
  return readResult(prevResult.value, "prevResult");
}

/** The result of this one's ADD, where DEL is given one that can be read. */
export function prevResultOf({ config }: Call): Result | undefined {
  // What is damaged must not keep DEL from its work.
  return unless(isA(CniError), () => {
    const prevResult = config.object("prevResult");
    return prevResult && readResult(prevResult.value, "prevResult");
  });
}
