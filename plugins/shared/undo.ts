/** What an ADD has done so far, to be undone if it fails: an ADD that fails leaves nothing. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { messageOf, OperatorError } from "../../lib/base/error.ts";
import { log } from "../../lib/base/log.ts";

type Step = () => unknown;
/** Tells how a step is undone. */
export type Undo = (step: Step) => void;

/**
 * Does work whose steps tell how each is undone. If it fails, they are undone, the last one first.
 *
 * @throws what the work threw; what could not be undone is in its details
 */
export async function undoingOnFailure<R>(work: (undo: Undo) => R | Promise<R>): Promise<R> {
  const steps: Step[] = [];
  try {
    return await work((step) => steps.push(step));
  } catch (error) {
    const story: string[] = [];
    for (const step of steps.reverse()) {
      try {
        await step();
      } catch (failure) {
        story.push(`not undone: ${messageOf(failure)}`);
      }
    }
    throw withDetails(error, story);
  }
}

/** The error, with more to its story if there is more. A defect keeps its stack, and the log has the rest. */
export function withDetails(error: unknown, more: readonly string[]): unknown {
  if (more.length === 0) return error;
  if (!(error instanceof OperatorError)) {
    log.error("beside a defect", { story: more.join("; ") });
    return error;
  }
  const code = error instanceof CniError ? error.cniCode : CNI_CODES.internal;
  const text = [error.details, ...more].filter((part) => part).join("; ");
  return new CniError(code, error.message, text, { cause: error });
}

/**
 * The protocol's error for an operator's; anything else is a defect, which keeps its stack.
 *
 * @param code unless another call holds what this one needs
 */
export function asCniError(error: unknown, code: number): unknown {
  if (error instanceof CniError || !(error instanceof OperatorError)) return error;
  const isBusy = error.code.endsWith("_busy");
  const own = isBusy ? CNI_CODES.tryAgainLater : code;
  return new CniError(own, error.message, error.details, { cause: error });
}
