/** Putting a file, a program or a symlink in its place: at once, or not at all. */
import { createHash } from "node:crypto";
import { OperatorError } from "../base/error.ts";
import { removeUnfinished, writeCheckpoint, writeLink } from "../kernel/atomic_file.ts";
import { withFile } from "../base/file_error.ts";

import type { Entry } from "./manifest.ts";
import { errno, unless } from "../base/unless.ts";

export type Change = "made" | "changed" | "unchanged";

const ROOT = 0;
const isAbsent = errno("ENOENT", "ENOTDIR");

/** Something of ours at a path: how it differs from what is there, and how it gets there. */
export interface Piece {
  path: string;
  /** What putting it there would do. @throws {OperatorError} `in_the_way` if it must not */
  change(): Change;
  /** @throws {OperatorError} `file`; what was at `path` is then still there */
  place(): void | Promise<void>;
  /** Whether what is there is moved aside, and not replaced. */
  isAside?: boolean;
  /** What it is once it is there. */
  entry(): Entry;
}

/** A text that everyone may read and root may write. */
export function textPiece(path: string, text: string): Piece {
  return filePiece(path, new TextEncoder().encode(text), 0o644);
}

/** A program, from its bytes. */
export function programPiece(path: string, bytes: Uint8Array<ArrayBuffer>): Piece {
  return filePiece(path, bytes, 0o755);
}

/** @throws {OperatorError} `in_the_way` */
export function refuseForeign(path: string): never {
  throw new OperatorError(
    "in_the_way",
    `${path} is there and not ours: move it away first, for instance with mv ${path} ${path}.original`,
  );
}

/** A symlink to `target`. Another symlink is replaced, and nothing else is. */
export function symlinkPiece(path: string, target: string): Piece {
  return {
    path,
    change() {
      const found = look(path);
      if (!found) return "made";
      if (!found.isSymlink) refuseForeign(path);
      return Deno.readLinkSync(path) === target ? "unchanged" : "changed";
    },
    place: () => writeLink(path, target),
    entry: () => ({ path, link: target }),
  };
}

/** A file is ours as it should be if its bytes, its owner and its mode are. */
function filePiece(path: string, bytes: Uint8Array<ArrayBuffer>, mode: number): Piece {
  return {
    path,
    place: () => writeCheckpoint(path, bytes, mode),
    entry: () => ({ path, sha256: sha256(bytes) }),
    change() {
      const found = look(path);
      if (!found) return "made";
      if (found.isDirectory) {
        throw new OperatorError("in_the_way", `${path} is a directory: move it away first`);
      }
      const isAsItShould = found.isFile && found.size === bytes.length &&
        ((found.mode ?? 0) & 0o7777) === mode && found.uid === ROOT &&
        withFile("read", path, () => sumOf(path) === sha256(bytes));
      return isAsItShould ? "unchanged" : "changed";
    },
  };
}

/** Whether what is at a path is still what was put there. */
export function isStillOurs({ path, link, sha256: content }: Entry): boolean {
  const found = look(path);
  if (found?.isSymlink) return link !== undefined && Deno.readLinkSync(path) === link;
  return found?.isFile === true && content !== undefined && sumOf(path) === content;
}

/** Of a program's hundred million bytes, a sum takes a tenth of a second: it is asked for more than once. */
const sums = new WeakMap<Uint8Array, string>();

/** As hexadecimal digits. The bytes must stay as they are. */
export function sha256(bytes: Uint8Array): string {
  const sum = sums.get(bytes) ?? createHash("sha256").update(bytes).digest("hex");
  sums.set(bytes, sum);
  return sum;
}

/** What is at a path, links not followed; undefined too where its directory is none. */
export function look(path: string): Deno.FileInfo | undefined {
  return withFile("look at", path, () => unless(isAbsent, () => Deno.lstatSync(path)));
}

/** A part at a time: the kernel takes longer to make room for all of a program than to read it. */
function sumOf(path: string): string {
  using file = Deno.openSync(path);
  const sum = createHash("sha256");
  const part = new Uint8Array(1 << 18);
  for (let size = file.readSync(part); size !== null; size = file.readSync(part)) {
    sum.update(part.subarray(0, size));
  }
  return sum.digest("hex");
}

/**
 * Removes a file or symlink, with what a power cut may have left of its making.
 *
 * @returns false if there is none, which is so too where its directory is none
 * @throws {OperatorError} `file`
 */
export function removePiece(path: string): boolean {
  return withFile("remove", path, () =>
    unless(isAbsent, () => {
      removeUnfinished(path);
      Deno.removeSync(path);
      return true;
    }) ?? false);
}
