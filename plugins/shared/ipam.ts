/** Addresses from the plugin that `ipam.type` names: built in or a program, the same call. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { CniCommand } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { readResult, type Result } from "../../lib/cni/result.ts";
import { atLeast } from "../../lib/cni/version.ts";
import type { Call } from "./standard_plugin.ts";
import { type Fields, wrong } from "../../lib/cni/fields.ts";

/** The type of the IPAM plugin; undefined for a network without addresses. */
export function ipamType({ config }: Call): string | undefined {
  return config.object("ipam")?.text("type") || undefined;
}

/** An IPAM plugin's own config. @throws {CniError} in the reference's words, which callers may look for */
export function requireIpam({ config }: Call): Fields {
  const ipam = config.object("ipam");
  if (ipam) return ipam;
  throw wrong("IPAM config missing 'ipam' key");
}

/** To hand out several of a family came with version 0.3.0. @throws {CniError} */
export function requireOneEach({ version }: Call, families: readonly (4 | 6)[]): void {
  if (new Set(families).size === families.length || atLeast(version, "0.3.0")) return;
  throw wrong(`CNI version ${version} does not support more than 1 address per family`);
}

/** @throws {CniError} the IPAM plugin's own, or for a result without addresses */
export async function addIpam(call: Call, { mayBeEmpty = false } = {}): Promise<Result> {
  const type = ipamType(call);
  if (type === undefined) throw wrong("ipam.type is missing; it must be the plugin for addresses");
  const printed = await callIpam(call, type, "ADD");
  if (!printed) throw new CniError(CNI_CODES.undecodable, `IPAM plugin ${type} printed no result`);
  const result = readResult(printed, `the result of IPAM plugin ${type}`);
  if (result.ips.length > 0 || mayBeEmpty) return result;
  throw wrong(`IPAM plugin ${type} gave no address`);
}

/** @returns whether addresses stay, as another container's of this id (host-local) @throws {OperatorError} */
export async function delIpam(call: Call): Promise<boolean> {
  return (await tell(call, "DEL"))?.kept !== undefined;
}

/** @throws {OperatorError} */
export async function checkIpam(call: Call): Promise<void> {
  await tell(call, "CHECK");
}

/** What goes on to the IPAM plugin as it came (specification, sections 2 and 4). */
export const FORWARDED = {
  gc: async (call: Call) => void await tell(call, "GC"),
  status: async (call: Call) => void await tell(call, "STATUS"),
};

async function tell(call: Call, command: CniCommand): Promise<JsonObject | undefined> {
  const type = ipamType(call);
  return type === undefined ? undefined : await callIpam(call, type, command);
}

async function callIpam(
  { invocation }: Call,
  type: string,
  command: CniCommand,
): Promise<JsonObject | undefined> {
  return await invocation.locate(type)({ ...invocation, command });
}
