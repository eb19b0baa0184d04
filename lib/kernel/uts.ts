/** The hostname of the calling thread's UTS namespace. */
import { check, cString, openLibc } from "./libc.ts";

const libc = openLibc({
  sethostname: { parameters: ["buffer", "usize"], result: "i32" },
  gethostname: { parameters: ["buffer", "usize"], result: "i32" },
});

/** The kernel's limit for a hostname, in bytes (HOST_NAME_MAX). */
export const HOST_NAME_MAX = 64;

/** Whether `name` is a hostname: RFC 1123, and "_", which is in use; within the kernel's limit. */
export function isHostname(name: string): boolean {
  return name.length <= HOST_NAME_MAX &&
    name.split(".").every((label) =>
      /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label)
    );
}

/** @throws {SystemError} */
export function setHostname(name: string): void {
  const bytes = cString(name);
  check(libc().sethostname(bytes, BigInt(bytes.length - 1)), `set the hostname to ${name}`);
}

/** @throws {SystemError} */
export function getHostname(): string {
  const buffer = new Uint8Array(HOST_NAME_MAX + 1);
  check(libc().gethostname(buffer, BigInt(buffer.length)), "read the hostname");
  return new TextDecoder().decode(buffer.subarray(0, buffer.indexOf(0)));
}
