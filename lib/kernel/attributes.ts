/** Extended attributes of files (xattr(7)): they go with the file, and who does not ask sees none. */
import type { Handle } from "./files.ts";
import { check, cString, openLibc } from "./libc.ts";

const libc = openLibc({
  fgetxattr: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" },
  fsetxattr: { parameters: ["i32", "buffer", "buffer", "usize", "i32"], result: "i32" },
});

/** The longest that is read. */
const LONGEST = 4 << 10;

/** @throws {SystemError} `EOPNOTSUPP` of a file system without; `EPERM` without root's rights, for `trusted.` */
export function setAttribute(file: Handle, name: string, text: string): void {
  const value = new TextEncoder().encode(text);
  const result = libc().fsetxattr(file.fd, cString(name), value, BigInt(value.length), 0);
  check(result, `set the attribute ${name}`);
}

/** @throws {SystemError} `ENODATA` where there is none */
export function readAttribute(file: Handle, name: string): string {
  const value = new Uint8Array(LONGEST);
  const length = libc().fgetxattr(file.fd, cString(name), value, BigInt(LONGEST));
  return new TextDecoder().decode(
    value.subarray(0, Number(check(length, `read the attribute ${name}`))),
  );
}
