/** How services recognise findings and files from one run to the next. */
import { createHash } from "node:crypto";
import { relative } from "@std/path";
import type { Diagnostic } from "../rule.ts";

/**
 * A hash that identifies each finding and stays when lines above it come or go: of the file, the rule,
 * the message, and its number among the findings that share all three.
 */
export function fingerprints(diagnostics: readonly Diagnostic[]): string[] {
  const seen = new Map<string, number>();
  return diagnostics.map(({ code, message, source }) => {
    const same = [inCheckout(source.path), code, message].join("\0");
    const count = seen.get(same) ?? 0;
    seen.set(same, count + 1);
    return createHash("sha256").update(`${same}\0${count}`).digest("hex");
  });
}

/** A path below the working directory, where a pipeline has its checkout, as a relative one. */
export function inCheckout(path: string): string {
  const below = relative(Deno.cwd(), path);
  return below === "" || below.startsWith("..") ? path : below;
}
