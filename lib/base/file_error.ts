/** What the runtime throws of files, as an operator's error: which file, what is wrong, what to do. */
import { messageOf, OperatorError } from "./error.ts";

/** By the kernel's name of the error (errno): what it means here, and what helps. */
const MEANINGS: Readonly<Record<string, readonly [meaning: string, remedy: string]>> = {
  EACCES: ["permission denied", "look at the owner and mode of it and of the directories above"],
  EBUSY: ["it is in use", "see what has it mounted or open"],
  EDQUOT: ["the disk quota is used up", "make room there"],
  EEXIST: ["there is something of that name", "move it away"],
  EINVAL: ["the kernel takes no such name or value here", "correct the path"],
  EIO: ["the disk reports an error", "look at the kernel's log (dmesg)"],
  EISDIR: ["it is a directory", "move it away, or give the path of a file"],
  ELOOP: [
    "it is a symbolic link where none may be, or links lead round in a circle",
    "remove the link",
  ],
  EMFILE: ["too many open files", "raise the limit of open files (ulimit -n)"],
  ENAMETOOLONG: ["the name is too long", "choose a shorter path"],
  ENFILE: ["the machine has too many open files", "raise fs.file-max"],
  ENODEV: ["there is no such device", "correct the path"],
  ENOENT: ["there is no such file or directory", "correct the path"],
  ENOSPC: ["no space is left on the device", "make room on its file system (df, df -i)"],
  ENOTDIR: ["a part of the path is no directory", "correct the path"],
  ENOTEMPTY: ["the directory is not empty", "move away what is in it"],
  ENXIO: ["nothing is behind that special file", "give the path of a regular file"],
  EPERM: ["operation not permitted", "look at its owner, its mode and its attributes (lsattr)"],
  EROFS: ["its file system is read-only", "mount it for writing"],
  ETXTBSY: ["it is a program that runs", "end the program first"],
  EXDEV: ["the two paths are on different file systems", "choose a path on the same one"],
};

/** The kernel's name of the error, `ENOSPC` say, of what a system call threw; undefined for others. */
export function errnoName(error: unknown): string | undefined {
  // The runtime's errors have it as their code, lib/kernel's beside their code.
  const fields = (error ?? {}) as { code?: unknown; errnoName?: unknown };
  const code = fields.errnoName ?? fields.code;
  return error instanceof Error && typeof code === "string" && /^E[A-Z0-9]+$/.test(code)
    ? code
    : undefined;
}

/**
 * The operator's error for one that a system call threw; another one that is an operator's already is
 * handed back, and anything else is a defect, which keeps its stack.
 *
 * @param doing what was tried, as a verb: `write`, `read`, `make`, `remove`
 * @param path the file, or what it is
 */
export function fileError(error: unknown, doing: string, path: string): OperatorError {
  const name = errnoName(error);
  if (error instanceof OperatorError && name === undefined) return error;
  if (name === undefined) throw error;
  const [meaning, remedy] = MEANINGS[name] ?? [messageOf(error)];
  return new OperatorError(
    "file",
    `can't ${doing} ${path}: ${meaning} (${name})${remedy ? `; ${remedy}` : ""}`,
    { cause: error },
  );
}

/**
 * The runtime's own message, `No such file or directory (os error 2): readdir '/nope'` say, as an
 * operator's: the path, and what is wrong with it.
 *
 * @param error one that {@link errnoName} knows
 */
export function fileErrorText(error: unknown): string {
  const name = errnoName(error)!;
  const message = messageOf(error);
  const [meaning, remedy] = MEANINGS[name] ?? [message.replace(/ \(os error \d+\).*$/s, "")];
  const path = /'([^']*)'/.exec(message)?.[1] ?? /\(os error \d+\): \w+ (.*)$/s.exec(message)?.[1];
  return `${path ? `${path}: ` : ""}${meaning} (${name})${remedy ? `; ${remedy}` : ""}`;
}

/** Runs `work`, whose errors are of one file. @throws {OperatorError} `file` */
export function withFile<R>(doing: string, path: string, work: () => R): R {
  try {
    return work();
  } catch (error) {
    throw fileError(error, doing, path);
  }
}
