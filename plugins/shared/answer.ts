/** A result as the reference prints it: what is empty is left out. */
import type { JsonObject } from "../../lib/base/json.ts";
import { type Result, writeResult } from "../../lib/cni/result.ts";
import { atLeast, type SpecVersion } from "../../lib/cni/version.ts";

export function writeAnswer(result: Result, version: SpecVersion): JsonObject {
  const written = writeResult(result, version);
  for (const key of ["interfaces", "ips", "routes"]) {
    const list = written[key];
    if (Array.isArray(list) && list.length === 0) delete written[key];
  }
  // Before 1.0.0, an empty dns was printed.
  const isEmpty = Object.keys(written.dns as JsonObject).length === 0;
  if (isEmpty && atLeast(version, "1.0.0")) delete written.dns;
  return written;
}
