/** What the two ways to write mappings into the kernel have in common. */
import type { Firewall } from "../firewall/firewall.ts";
import type { ChangeRules } from "../firewall/transaction.ts";
import type { FileLock } from "../kernel/lock.ts";
import type { Owner } from "./mapping.ts";
import type { MappingRecord } from "./record.ts";

/** What a backend wants to have written into a record, to find what it made. */
export type Traces = Pick<MappingRecord, "handles" | "variants">;

export interface Backend {
  /**
   * Makes chains and tables where they are missing, and the rules of an attachment, which has none.
   *
   * @param lock held by the caller: no other change of ours happens meanwhile
   * @throws {OperatorError}
   */
  install(
    record: MappingRecord,
    lock: FileLock,
    change: ChangeRules,
    firewall: Firewall,
  ): Promise<Traces>;

  /**
   * Removes the rules of an attachment. None there is no error. Where only their comment is left
   * to go by, those of the container's other attachments stay.
   *
   * @param attachment its record; where that is lost, its owner and the chain
   * @param others asked only where the comment is all there is, since it looks through all records
   * @throws {OperatorError}
   */
  remove(attachment: Removal, others: OtherRecords, lock: FileLock): Promise<void>;

  /**
   * What each of these attachments should have in the kernel and does not, as an operator would say it.
   *
   * @throws {OperatorError}
   */
  missing(records: readonly MappingRecord[]): Promise<string[][]>;

  /** Rejects if rules could not be changed on this host, and says why. @throws {OperatorError} */
  ready(): Promise<void>;
}

/** The installed records of the container's other attachments. */
export type OtherRecords = () => readonly MappingRecord[];

export type Removal = Owner & { chain: string; snat?: boolean } & Partial<MappingRecord>;
