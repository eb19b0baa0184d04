/** How much room a file system has (statvfs(3)). */
import { cString, openLibc } from "./libc.ts";

const libc = openLibc({ statvfs: { parameters: ["buffer", "buffer"], result: "i32" } });

/** sizeof(struct statvfs) on 64-bit machines, and more. */
const BYTES = 256;

export type Room = NonNullable<ReturnType<typeof roomAt>>;

/** @returns undefined for a path that is not there */
export function roomAt(path: string) {
  const buffer = new Uint8Array(BYTES);
  if (libc().statvfs(cString(path), buffer) < 0) return undefined;
  const fields = new BigUint64Array(buffer.buffer);
  // struct statvfs: f_bsize, f_frsize, f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_favail.
  const [, fragment, , , available, files, , freeFiles] = fields;
  return {
    /** What is left for who is not root. */
    bytes: Number(available! * fragment!),
    /** Inodes that are left; absent where the file system makes them as it needs them. */
    files: files === 0n ? undefined : Number(freeFiles!),
  };
}
