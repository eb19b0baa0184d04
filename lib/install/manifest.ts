/** What `install` has made on this machine: all that `uninstall` removes, and nothing else. */
import { OperatorError } from "../base/error.ts";
import { readCheckpoint, removeDirectory, writeCheckpoint } from "../kernel/atomic_file.ts";

export interface Manifest {
  format: 1;
  /** In the order they were made; of a path, several while one is put in the place of another. */
  files: Entry[];
  /** The file of settings as it was written: it is the operator's from then on. */
  settings?: Settings;
}

/** A file or symlink by what it is: what is at its path later may be somebody else's. */
export interface Entry {
  path: string;
  /** Of a symlink, what it leads to; of a file, the SHA-256 of its content. */
  link?: string;
  sha256?: string;
  /** Whether dpkg was told that its package's file of that name is called otherwise. */
  isDiverted?: true;
}

export interface Settings {
  path: string;
  text: string;
}

/** One installation a machine, wherever its parts are. */
export const MANIFEST = "/var/lib/mesos-cni/install.json";

/** @throws {OperatorError} when the file is there and can't be read */
export function readManifest(): Manifest | undefined {
  const text = readCheckpoint(MANIFEST);
  if (text === undefined) return undefined;
  try {
    const manifest = JSON.parse(text) as Manifest;
    if (manifest.format && manifest.files.every(({ path }) => path)) return manifest;
  } catch {
    // Said below, as for any other content that is not ours.
  }
  throw new OperatorError(
    "bad_manifest",
    `${MANIFEST} is damaged: remove it and install again; the new one names the same files`,
  );
}

/** @param files of those that are alike, one counts */
export function writeManifest(files: readonly Entry[], settings: Settings | undefined): void {
  const unlike = new Map(files.map((entry) => [JSON.stringify(entry), entry]));
  const manifest: Manifest = { format: 1, files: [...unlike.values()], settings };
  writeCheckpoint(MANIFEST, JSON.stringify(manifest, null, 2) + "\n");
}

export function removeManifest(): void {
  removeDirectory(MANIFEST.slice(0, MANIFEST.lastIndexOf("/")));
}
