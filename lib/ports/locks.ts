/**
 * The two locks of the port mapper: one for each attachment, one for all changes. Where no directory for
 * them can be made, no ADD can be at work either, and a removal goes on without: it goes by what the kernel
 * has, and any other directory could be locked by any user, who would keep it waiting.
 */
import { exists } from "../base/exists.ts";
import { OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import { WorkLock } from "../kernel/work_lock.ts";
import { keyOf, type Owner } from "./mapping.ts";
import { LOCKS, prepareState, RECORDS, STATE_DIR } from "./state_dir.ts";

/** How long, in ms, one of our own changes may hold up another. */
const CHANGES_TIMEOUT_MS = 60_000;
/** How long, in ms, an earlier call for the same attachment is waited for, which may wait for a port. */
const ATTACHMENT_TIMEOUT_MS = 45_000;

/** Held while a port is claimed and while rules are changed. */
const CHANGES_LOCK = `${STATE_DIR}/lock`;

/** Undefined where no directory for locks could be made. */
export type ChangesLock = FileLock | undefined;

/** Whether locks have a directory, which is made where somebody has removed it. @throws {OperatorError} `no_state` */
function hasDirectory(forRemoval: boolean): boolean {
  try {
    prepareState();
    return true;
  } catch (error) {
    if (!forRemoval) throw error;
    return exists(LOCKS);
  }
}

function attachmentLock(owner: Owner): string {
  return `${LOCKS}/${keyOf(owner)}`;
}

/**
 * Makes calls for one attachment follow one another, also those whose process was killed and whose
 * children (the delegate) are still at work. The programs that the holder starts may hold it too.
 *
 * @param forRemoval removal works without a directory for the state
 * @returns undefined where there is none
 * @throws {OperatorError} `attachment_busy`, naming the lock
 */
export async function lockAttachment(
  owner: Owner,
  { forRemoval = false } = {},
): Promise<WorkLock | undefined> {
  if (!hasDirectory(forRemoval)) return undefined;
  const path = attachmentLock(owner);
  const lock = await WorkLock.take(path, ATTACHMENT_TIMEOUT_MS, true);
  if (lock) return lock;
  throw new OperatorError(
    "attachment_busy",
    `another call for ${owner.ifName} of container ${owner.containerId} on ${owner.network}, ` +
      `or a program that it started, has not ended in ${
        ATTACHMENT_TIMEOUT_MS / 1000
      } s: it holds ` +
      `${path} (see: fuser -v ${path}); try again later`,
  );
}

/** The attachment's lock if no call is at work for it. */
export function tryLockAttachment(owner: Owner): WorkLock | undefined {
  return WorkLock.tryTake(attachmentLock(owner), true);
}

/**
 * @param forRemoval as for {@link lockAttachment}
 * @throws {OperatorError} `changes_busy`, `no_state`
 */
export async function lockChanges({ forRemoval = false } = {}): Promise<ChangesLock> {
  if (!hasDirectory(forRemoval)) return undefined;
  const path = CHANGES_LOCK;
  // In the stead of an attachment's lock, STATE_DIR is locked, and its holder comes here next.
  const lock = await FileLock.take(path, CHANGES_TIMEOUT_MS, undefined, "exclusive", RECORDS);
  if (lock) return lock;
  throw new OperatorError(
    "changes_busy",
    `another change of port mappings holds ${path} for more than ` +
      `${CHANGES_TIMEOUT_MS / 1000} s (see: fuser -v ${path}); try again later`,
  );
}
