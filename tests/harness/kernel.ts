/**
 * A test whose code calls the kernel by FFI. The C library is opened at the first call and stays
 * open for the life of the program, which Deno's leak check would report.
 */
export function kernelTest(name: string, fn: (t: Deno.TestContext) => void | Promise<void>): void {
  Deno.test({ name, fn, sanitizeResources: false });
}
