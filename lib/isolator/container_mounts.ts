/** Binding files over a container's /etc, in the container's own mount namespace. */
import { stateOf } from "../kernel/proc.ts";
import { exists } from "../base/exists.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { OperatorError } from "../base/error.ts";
import {
  type Handle,
  makeDirectoryAt,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_WRONLY,
  open,
  openAt,
  removeAt,
} from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import {
  bindMount,
  mount,
  MS_BIND,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  MS_SLAVE,
  unmount,
} from "../kernel/mount.ts";
import { inNamespaces } from "../kernel/namespaces.ts";

/** Bytes of one of the files: a hosts file is some hundred, one with thousands of lines below this. */
const LARGEST_FILE = 256 << 10;
/** A tmpfs for all three, as a container may write them. */
const FILE_SYSTEM = "size=1m,nr_inodes=8,mode=755";

/** A file of the agent that a container sees as `/etc/NAME`. */
export interface EtcFile {
  name: "hosts" | "hostname" | "resolv.conf";
  source: string;
  /** The agent's own file is not a container's to change. */
  readOnly: boolean;
}

export interface EtcMounts {
  files: EtcFile[];
  /** Over the agent's own /etc, which a container without an image sees. */
  overHost: boolean;
  /** Root directory of the container's image, on the agent. */
  rootfs?: string;
  /** The directory of all containers, which is none of this one's business. */
  containers: string;
}

/**
 * Binds the files in the mount namespace of a process, out of which no mount spreads.
 *
 * @param process its directory under /proc
 * @throws {SystemError}
 */
export function mountEtcFiles(process: Handle, mounts: EtcMounts): void {
  inNamespaces({ mnt: `${process.path}/ns/mnt` }, () => {
    mount(null, "/", null, MS_SLAVE | MS_REC, `separate the mounts of a container`);
    const files = copyWritable(mounts.files, mounts.containers);
    for (const file of files) {
      if (mounts.overHost) bindOverHost(file);
      if (mounts.rootfs !== undefined) bindInImage(file, mounts.rootfs);
    }
    // The container's copies of the other handles go, and it gets none of those to come: each
    // would be one more mount for every container there is.
    while (unmount(mounts.containers));
  });
}

/**
 * What the container may write to is a copy in a file system of its own, which is full long before
 * the agent's is: it is mounted over the directory of containers, where it has a path for as long
 * as the files are bound, and lives on by those.
 */
function copyWritable(files: readonly EtcFile[], directory: string): EtcFile[] {
  const texts = files.map(({ source, readOnly }) =>
    readOnly ? undefined : readTextFile(source, LARGEST_FILE)
  );
  if (texts.every((text) => text === undefined)) return [...files];
  const what = "mount a file system for the files of a container";
  mount("tmpfs", directory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, what, FILE_SYSTEM);
  return files.map((file, i) => {
    const text = texts[i];
    if (text === undefined) return file;
    const source = `${directory}/${file.name}`;
    Deno.writeTextFileSync(source, text);
    Deno.chmodSync(source, 0o644);
    return { ...file, source };
  });
}

function bindOverHost({ name, source, readOnly }: EtcFile): void {
  const path = `/etc/${name}`;
  // An agent without such a file gets an empty one, which means the same: something must be
  // there to be mounted over. A symlink is followed, since the agent's own are trusted.
  if (!exists(path)) Deno.openSync(path, { write: true, create: true }).close();
  bindMount(source, path);
  protect(path, readOnly, path);
}

/**
 * The image is a framework's: every step into it goes from an open directory and follows no
 * symlink, so none leads out of it. A symlink in place of the file is replaced.
 */
function bindInImage({ name, source, readOnly }: EtcFile, rootfs: string): void {
  const what = `${rootfs}/etc/${name}`;
  using root = open(rootfs, O_PATH | O_DIRECTORY);
  using etc = openEtc(root, rootfs);
  using target = openTarget(etc, name, what);
  bindMount(source, target.path);
  // Opened again, the name leads to what is mounted there now.
  using mounted = openAt(etc, name, O_PATH | O_NOFOLLOW, what);
  protect(mounted.path, readOnly, what);
}

function openEtc(root: Handle, rootfs: string): Handle {
  const what = `${rootfs}/etc`;
  const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW;
  try {
    return openAt(root, "etc", flags, what);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.errnoName === "ENOENT") {
      makeDirectoryAt(root, "etc", 0o755, what);
      return openAt(root, "etc", flags, what);
    }
    if (error.errnoName !== "ENOTDIR" && error.errnoName !== "ELOOP") throw error;
    throw new OperatorError("bad_image", `${what} is no directory: the image can't be used`, {
      cause: error,
    });
  }
}

function openTarget(etc: Handle, name: string, what: string): Handle {
  const openExisting = () => openAt(etc, name, O_PATH | O_NOFOLLOW, what);
  try {
    const existing = openExisting();
    if (!stateOf(existing.path).isSymlink) return existing;
    existing.close();
    removeAt(etc, name, what);
  } catch (error) {
    if (!(error instanceof SystemError && error.errnoName === "ENOENT")) throw error;
  }
  openAt(etc, name, O_WRONLY | O_CREAT | O_EXCL, what, 0o644).close();
  return openExisting();
}

/**
 * A bind mount takes its flags only when it is changed. As a copy of a mount that receives others
 * it would be asked at each mount of a handle, though a single file has no place for any.
 */
function protect(path: string, readOnly: boolean, what: string): void {
  mount(null, path, null, MS_PRIVATE, `protect the mount on ${what}`);
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | (readOnly ? MS_RDONLY : 0);
  mount(null, path, null, MS_REMOUNT | MS_BIND | flags, `protect the mount on ${what}`);
}
