/** What the two ways to write mappings into the kernel have in common. */
import type { FileLock } from "../kernel/lock.ts";
import type { Attachment, Owner } from "./mapping.ts";
import type { Record } from "./state.ts";
import type { StartedTool } from "../program/tool.ts";

export interface Backend {
  /**
   * Starts the program that {@link install} will need, while the container is being connected.
   *
   * @param lock of the attachment: not free before the program has ended
   */
  start(lock: FileLock): Promise<StartedTool>;

  /**
   * Makes chains and tables where they are missing, and the rules of an attachment, which has none.
   *
   * @param lock held by the caller: no other change of ours happens meanwhile
   * @param started by {@link start}, if it was
   * @returns what `remove` will want to know
   * @throws {OperatorError}
   */
  install(record: Record, lock: FileLock, started?: StartedTool): Promise<Record["handles"]>;

  /**
   * Removes the rules of an attachment. None there is no error.
   *
   * @param attachment its record; where that is lost, its owner and the chain
   * @returns false where it could only go by the comment, and so took the rules of the
   *   container's other networks in the same chain with them
   * @throws {OperatorError}
   */
  remove(attachment: Removal, lock: FileLock): Promise<boolean>;

  /** Whether its program is there at all. */
  isInstalled(): boolean;

  /** What is in the kernel now. @throws {OperatorError} */
  read(): Promise<Snapshot>;

  /** Rejects if rules could not be changed on this host, and says why. @throws {OperatorError} */
  ready(): Promise<void>;
}

export type Removal = Owner & { chain: string; snat?: boolean } & Partial<Record>;

export interface Snapshot {
  /** What an attachment should have and does not, as an operator would say it. */
  missing(attachment: Attachment): string[];
}
