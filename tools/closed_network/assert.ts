/** The functions of `@std/assert` that this project uses, over node:assert. */
import assertion, { AssertionError } from "node:assert/strict";
import type { Assert } from "./signatures.ts";

export { AssertionError };

export const assert: Assert["assert"] = (expr, msg) => {
  assertion.ok(expr, msg);
};

export const assertEquals: Assert["assertEquals"] = (actual, expected, msg) => {
  assertion.deepStrictEqual(actual, expected, msg);
};

export const assertNotEquals: Assert["assertNotEquals"] = (actual, expected, msg) => {
  assertion.notDeepStrictEqual(actual, expected, msg);
};

export const assertMatch: Assert["assertMatch"] = (actual, expected, msg) => {
  assertion.match(actual, expected, msg);
};

export const assertNotMatch: Assert["assertNotMatch"] = (actual, expected, msg) => {
  assertion.doesNotMatch(actual, expected, msg);
};

export const assertStringIncludes: Assert["assertStringIncludes"] = (actual, expected, msg) => {
  if (actual.includes(expected)) return;
  const message = msg ?? `expected to find ${JSON.stringify(expected)} in:\n${actual}`;
  throw new AssertionError({ message });
};

// deno-lint-ignore no-explicit-any
type ErrorClass = abstract new (...args: any[]) => Error;

export const assertThrows = ((
  fn: () => unknown,
  errorClass?: ErrorClass | string,
  msgIncludes?: string,
  msg?: string,
): unknown => {
  try {
    fn();
  } catch (error) {
    return checked(error, errorClass, msgIncludes);
  }
  const own = typeof errorClass === "string" ? errorClass : msg;
  throw new AssertionError({ message: own ?? "expected the function to throw" });
}) as Assert["assertThrows"];

export const assertRejects = (async (
  fn: () => PromiseLike<unknown>,
  errorClass?: ErrorClass | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> => {
  try {
    await fn();
  } catch (error) {
    return checked(error, errorClass, msgIncludes);
  }
  const own = typeof errorClass === "string" ? errorClass : msg;
  throw new AssertionError({ message: own ?? "expected the promise to be rejected" });
}) as Assert["assertRejects"];

function checked(error: unknown, errorClass?: ErrorClass | string, includes = ""): unknown {
  if (typeof errorClass !== "function") return error;
  if (!(error instanceof errorClass)) {
    throw new AssertionError({ message: `expected ${errorClass.name}, but got: ${error}` });
  }
  assertStringIncludes(error.message, includes);
  return error;
}
