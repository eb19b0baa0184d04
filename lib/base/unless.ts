/** Looks whose failure is an answer. */
import { OperatorError } from "./error.ts";
import { errnoName } from "./file_error.ts";

/** What `look` gives; undefined where it ends with an error that was to be expected. */
export function unless<R>(isExpected: (error: unknown) => boolean, look: () => R): R | undefined {
  try {
    return look();
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw error;
  }
}

/** What `look` gives, and `otherwise` where it fails: for what every failure means the same. */
export function tried<R, O>(look: () => R, otherwise: O): R | O {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** What was asked for; undefined where the kernel, or this program, refuses. */
export function unlessRefused<R>(ask: () => R): R | undefined {
  return unless(isA(OperatorError), ask);
}

/** Makes out errors of a class. */
export function isA(type: abstract new (...args: never[]) => Error): (error: unknown) => boolean {
  return (error) => error instanceof type;
}

/** Makes out errors of system calls by the kernel's names of them, such as `ENOENT`. */
export function errno(...names: string[]): (error: unknown) => boolean {
  return (error) => names.includes(errnoName(error) ?? "");
}
