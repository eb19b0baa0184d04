/** Addresses from the plugin that `ipam.type` names: built in or a program, the same call. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { CniCommand } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { readResult, type Result } from "../../lib/cni/result.ts";
import type { Call } from "./standard_plugin.ts";
import { wrong } from "./fields.ts";

/** The type of the IPAM plugin; undefined for a network without addresses. */
export function ipamType({ config }: Call): string | undefined {
  return config.object("ipam")?.text("type") || undefined;
}

/** In the reference's words, which callers may look for. */
export const missingIpam = (): CniError => wrong("IPAM config missing 'ipam' key");

/** @throws {CniError} the IPAM plugin's own, or for a result without addresses */
export async function addIpam(
  call: Call,
  type: string | undefined,
  { mayBeEmpty = false } = {},
): Promise<Result> {
  if (type === undefined) throw wrong("ipam.type is missing; it must be the plugin for addresses");
  const printed = await callIpam(call, type, "ADD");
  if (!printed) throw new CniError(CNI_CODES.undecodable, `IPAM plugin ${type} printed no result`);
  const result = readResult(printed, `the result of IPAM plugin ${type}`);
  if (result.ips.length > 0 || mayBeEmpty) return result;
  throw wrong(`IPAM plugin ${type} gave no address`);
}

/** @throws {OperatorError} */
export async function delIpam(call: Call, type: string | undefined): Promise<void> {
  if (type !== undefined) await callIpam(call, type, "DEL");
}

/** @throws {OperatorError} */
export async function checkIpam(call: Call, type: string | undefined): Promise<void> {
  if (type !== undefined) await callIpam(call, type, "CHECK");
}

/** What goes on to the IPAM plugin as it came (specification, sections 2 and 4). */
export const FORWARDED = {
  gc: (call: Call) => forward(call, "GC"),
  status: (call: Call) => forward(call, "STATUS"),
};

/** @throws {OperatorError} */
async function forward(call: Call, command: CniCommand): Promise<void> {
  const type = ipamType(call);
  if (type !== undefined) await callIpam(call, type, command);
}

async function callIpam(
  { invocation }: Call,
  type: string,
  command: CniCommand,
): Promise<JsonObject | undefined> {
  return await invocation.locate(type)({ ...invocation, command });
}
