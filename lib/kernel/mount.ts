/** Mounts (mount(2), umount2(2)). */
import { check, cString, openLibc } from "./libc.ts";
import { O_DIRECTORY, O_PATH, open, readProcFile } from "./files.ts";

const libc = openLibc({
  mount: { parameters: ["buffer", "buffer", "buffer", "u64", "buffer"], result: "i32" },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
});

/** Flags of mount(2), linux/mount.h. */
export const MS_RDONLY = 0x1;
export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;
export const MS_SHARED = 0x100000;

const MNT_DETACH = 2;
/** -EINVAL and -ENOENT */
const NO_MOUNT: readonly number[] = [-22, -2];

/**
 * Mounts, or with MS_REMOUNT or a propagation flag changes a mount.
 *
 * @param what as an operator would say it, where the arguments do not
 * @param options of the file system, such as `size=64k`
 * @throws {SystemError}
 */
export function mount(
  source: string | null,
  target: string,
  type: string | null,
  flags: number,
  what = source ? `mount ${source} on ${target}` : `change the mount ${target}`,
  options: string | null = null,
): void {
  const text = (value: string | null) => value === null ? null : cString(value);
  check(
    libc().mount(text(source), cString(target), text(type), BigInt(flags), text(options)),
    what,
  );
}

/** Makes the file or directory `source` appear at `target` too. */
export function bindMount(source: string, target: string, flags = 0): void {
  mount(source, target, null, MS_BIND | flags);
}

/**
 * Unmounts even when in use; whoever uses it keeps it until done. A path that is no mount point,
 * or does not exist, is left alone.
 *
 * @returns whether something was unmounted
 * @throws {SystemError}
 */
export function unmount(target: string): boolean {
  const result = libc().umount2(cString(target), MNT_DETACH);
  if (NO_MOUNT.includes(result)) return false;
  check(result, `unmount ${target}`);
  return true;
}

/**
 * The id of the mount that a directory is on: constant for as long as that mount stands, and
 * cheap to ask for where there are thousands of mounts.
 *
 * @throws {SystemError}
 */
export function mountIdOf(directory: string): string {
  using handle = open(directory, O_PATH | O_DIRECTORY);
  const info = readProcFile(`/proc/thread-self/fdinfo/${handle.fd}`);
  return /^mnt_id:\s*(\d+)$/m.exec(info)![1]!;
}

/** A line of /proc/PID/mountinfo (Documentation/filesystems/proc.rst, section 3.5). */
export type MountInfo = ReturnType<typeof mounts>[number];

/**
 * The mounts that a mount namespace has, in the order they were made.
 *
 * @param text of a mountinfo; the calling thread's when absent
 */
export function mounts(text = readProcFile("/proc/thread-self/mountinfo")) {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const separator = fields.indexOf("-", 6);
    // Of a process whose root is mounted no more, there is nothing to list.
    if (separator < 0) return [];
    const peers = fields.slice(6, separator).find((field) => field.startsWith("shared:"));
    return [{
      mountPoint: unescape(fields[4]!),
      /** What of its file system is mounted: a path there, of nsfs a namespace, `net:[4026532342]`. */
      root: unescape(fields[3]!),
      /** Peer group of a shared mount. */
      shared: peers?.slice("shared:".length),
      type: fields[separator + 1] ?? "",
      /** The file system, as `major:minor`. */
      device: fields[2]!,
      /** The file system's own, such as a hierarchy's controllers. */
      options: fields[separator + 3]?.split(",") ?? [],
    }];
  });
}

/** The kernel writes space, tab, newline and backslash of a path as octal escapes. */
function unescape(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(parseInt(octal, 8)));
}
