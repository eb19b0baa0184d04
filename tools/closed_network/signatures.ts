/**
 * What this project uses of `@std`, as `@std` declares it (cli 1.0.32, path 1.1.6, assert
 * 1.0.19): never more than is true of the real functions, so that what compiles against
 * these compiles against those. Our own modules have these types, and `tools/check/std.ts` holds
 * whichever `@std` there is against them: the real one wherever JSR answers.
 */

export interface Path {
  basename: (path: string) => string;
  dirname: (path: string) => string;
  fromFileUrl: (url: string | URL) => string;
  isAbsolute: (path: string) => boolean;
  join: (path: string, ...paths: string[]) => string;
  relative: (from: string, to: string) => string;
  resolve: (...pathSegments: string[]) => string;
}

/**
 * `parseArgs` infers the type of its result from the names of the flags. Ours are known at run time
 * only, so that there is nothing to infer: each value is of unknown type.
 */
export interface Cli {
  parseArgs: (args: string[], options: ParseOptions) => Args;
}

export interface ParseOptions {
  boolean: string[];
  /** With "_", since operands that look like numbers would become numbers. */
  string: string[];
  /** Flags that may be repeated, their value an array: all of `string` but "_". */
  collect: string[];
  /** What follows `--` is returned apart. */
  "--": true;
}

export interface Args {
  _: (string | number)[];
  "--"?: string[];
  [name: string]: unknown;
}

// deno-lint-ignore no-explicit-any
type ErrorClass<E> = abstract new (...args: any[]) => E;

export interface Assert {
  assert: (expr: unknown, msg?: string) => asserts expr;
  assertEquals: <T>(actual: T, expected: T, msg?: string) => void;
  assertNotEquals: <T>(actual: T, expected: T, msg?: string) => void;
  assertMatch: (actual: string, expected: RegExp, msg?: string) => void;
  assertStringIncludes: (actual: string, expected: string, msg?: string) => void;
  assertThrows: <E extends Error = Error>(
    fn: () => unknown,
    errorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ) => E;
  assertRejects: <E extends Error = Error>(
    fn: () => PromiseLike<unknown>,
    errorClass: ErrorClass<E>,
    msgIncludes?: string,
    msg?: string,
  ) => Promise<E>;
}
