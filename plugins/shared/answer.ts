/** A result as the reference prints it: what is empty is left out. */
import type { JsonObject } from "../../lib/base/json.ts";
import { type Result, writeResult } from "../../lib/cni/result.ts";
import { atLeast, type SpecVersion } from "../../lib/cni/version.ts";

export function writeAnswer(result: Result, version: SpecVersion): JsonObject {
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
