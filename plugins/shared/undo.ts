/** What an ADD has done so far, to be undone if it fails: an ADD that fails leaves nothing. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { messageOf } from "../../lib/base/error.ts";

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

/** The error, with more to its story if there is more. */
export function withDetails(error: unknown, more: readonly string[]): unknown {
  if (more.length === 0) return error;
  const { cniCode, details } = error instanceof CniError
    ? error
    : { cniCode: CNI_CODES.internal, details: undefined };
  const text = [details, ...more].filter((part) => part).join("; ");
  return new CniError(cniCode, messageOf(error), text, { cause: error });
}
