/** What an ADD has done so far, to be undone if it fails: an ADD that fails leaves nothing. */
import { CniError } from "../../lib/cni/error.ts";
import { messageOf } from "../../lib/base/error.ts";

type Step = () => void | Promise<void>;

/**
 * Does work whose steps tell how each is undone. If it fails, they are undone, the last one first.
 *
 * @throws what the work threw; what could not be undone is in its details
 */
export async function undoingOnFailure<R>(
  work: (undo: (step: Step) => void) => R | Promise<R>,
): Promise<R> {
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
    if (story.length === 0) throw error;
    const [code, details] = error instanceof CniError
      ? [error.cniCode, error.details]
      : [999, undefined];
    const text = [details, ...story].filter((part) => part !== undefined).join("; ");
    throw new CniError(code, messageOf(error), text, { cause: error });
  }
}
