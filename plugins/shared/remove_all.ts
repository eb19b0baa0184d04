/** DEL: every step is tried, whatever became of the others. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { messageOf } from "../../lib/base/error.ts";

/** @throws {CniError} of the first step that failed, with the others in its details */
export async function removeAll(steps: readonly (() => unknown)[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      failures.push(error);
    }
  }
  const [first, ...others] = failures;
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const code = first instanceof CniError ? first.cniCode : CNI_CODES.internal;
  throw new CniError(code, messageOf(first), others.map(messageOf).join("; "), { cause: first });
}
