/** The functions of `@std/assert` that this project uses, over node:assert. */
import assertion, { AssertionError } from "node:assert/strict";

export function assert(expr: unknown, msg?: string): asserts expr {
  assertion.ok(expr, msg);
}

export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  assertion.deepStrictEqual(comparable(actual), comparable(expected), msg);
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  assertion.notDeepStrictEqual(comparable(actual), comparable(expected), msg);
}

/**
 * A value as `@std` sees it, which is not how node: does: 0 and -0 are the same, and so are an object
 * without a prototype and one with that of all objects. Of errors, `@std` compares the stacks too: here
 * they are not compared at all, and a test says what it wants of them.
 */
function comparable(value: unknown): unknown {
  if (value === 0) return 0;
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Error) {
    throw new TypeError("errors are not compared: look at their messages");
  }
  if (Array.isArray(value)) return value.map(comparable);
  if (value instanceof Map) {
    return new Map([...value].map(([key, one]) => [comparable(key), comparable(one)]));
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return value;
  const members = Object.getOwnPropertyDescriptors(value);
  return Object.fromEntries(
    Reflect.ownKeys(members).map((key) => [key, comparable(Reflect.get(value, key))]),
  );
}

export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  assertion.match(actual, expected, msg);
}

export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  const message = msg ?? `expected to find ${JSON.stringify(expected)} in:\n${actual}`;
  throw new AssertionError({ message });
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E> = abstract new (...args: any[]) => E;

export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  errorClass: ErrorClass<E>,
  includes?: string,
  msg?: string,
): E {
  try {
    fn();
  } catch (error) {
    return checked(error, errorClass, includes);
  }
  throw new AssertionError({ message: msg ?? "expected the function to throw" });
}

export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E>,
  includes?: string,
  msg?: string,
): Promise<E> {
  let promise: unknown;
  try {
    promise = fn();
  } catch {
    // What throws at once has rejected nothing.
  }
  try {
    await promise;
  } catch (error) {
    return checked(error, errorClass, includes);
  }
  throw new AssertionError({ message: msg ?? "expected the promise to be rejected" });
}

function checked<E>(error: unknown, errorClass: ErrorClass<E>, includes = ""): E {
  if (!(error instanceof errorClass)) {
    throw new AssertionError({ message: `expected ${errorClass.name}, but got: ${error}` });
  }
  assertStringIncludes((error as Error).message, includes);
  return error;
}
