/** The functions of `@std/assert` that this project uses, over node:assert. */
import assertion, { AssertionError } from "node:assert/strict";

export { AssertionError };

export function assert(condition: unknown, message?: string): asserts condition {
  assertion.ok(condition, message);
}

export function assertEquals<T>(actual: T, expected: T, message?: string): void {
  assertion.deepStrictEqual(actual, expected, message);
}

export function assertNotEquals<T>(actual: T, expected: T, message?: string): void {
  assertion.notDeepStrictEqual(actual, expected, message);
}

export function assertMatch(actual: string, expected: RegExp, message?: string): void {
  assertion.match(actual, expected, message);
}

export function assertNotMatch(actual: string, expected: RegExp, message?: string): void {
  assertion.doesNotMatch(actual, expected, message);
}

export function assertStringIncludes(actual: string, expected: string, message?: string): void {
  if (!actual.includes(expected)) {
    throw new AssertionError({
      message: message ?? `expected to find ${JSON.stringify(expected)} in:\n${actual}`,
    });
  }
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = new (...args: any[]) => E;

export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
): E {
  try {
    fn();
  } catch (error) {
    return checked(error, errorClass, messageIncludes);
  }
  throw new AssertionError({ message: "expected the function to throw" });
}

export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass<E>,
  messageIncludes?: string,
): Promise<E> {
  try {
    await fn();
  } catch (error) {
    return checked(error, errorClass, messageIncludes);
  }
  throw new AssertionError({ message: "expected the promise to be rejected" });
}

function checked<E extends Error>(error: unknown, errorClass?: ErrorClass<E>, includes = ""): E {
  if (errorClass && !(error instanceof errorClass)) {
    throw new AssertionError({ message: `expected ${errorClass.name}, but got: ${error}` });
  }
  assertStringIncludes((error as Error).message, includes);
  return error as E;
}
