/** What `install` has made on this machine: all that `uninstall` removes, and nothing else. */
import { OperatorError } from "../base/error.ts";
import { readCheckpoint, removeDirectory, writeCheckpoint } from "../kernel/atomic_file.ts";

export interface Manifest {
  format: 1;
  /** Absolute paths of files and symlinks, in the order they were made. */
  files: string[];
  /** The file of settings as it was written: it is the operator's from then on. */
  settings?: Settings;
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
    if (manifest.format && Array.isArray(manifest.files)) return manifest;
  } catch {
    // Said below, as for any other content that is not ours.
  }
  throw new OperatorError(
    "bad_manifest",
    `${MANIFEST} is damaged: remove it and install again; the new one names the same files`,
  );
}

export function writeManifest(files: readonly string[], settings: Settings): void {
  const manifest: Manifest = { format: 1, files: [...new Set(files)], settings };
  writeCheckpoint(MANIFEST, JSON.stringify(manifest, null, 2) + "\n");
}

export function removeManifest(): void {
  removeDirectory(MANIFEST.slice(0, MANIFEST.lastIndexOf("/")));
}
