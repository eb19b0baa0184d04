/** What the two ways to write mappings into the kernel have in common. */
import type { ChangesLock } from "./locks.ts";
import type { Firewall } from "../firewall/firewall.ts";
import type { RuleSteps } from "../firewall/transaction.ts";
import type { Owner, Placement } from "./mapping.ts";
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
  install(record: MappingRecord, lock: ChangesLock, firewall: Firewall): RuleSteps<Traces>;

  /**
   * Removes the rules of an attachment. None there is no error. Where only their comment is left
   * to go by, those of the container's other attachments stay.
   *
   * @param attachment its record; where that is lost, its owner and the chain
   * @throws {OperatorError}
   */
  remove(attachment: Removal, lock: ChangesLock): Promise<void>;

  /**
   * What each of these attachments should have in the kernel and does not, as an operator would say it.
   *
   * @throws {OperatorError}
   */
  missing(records: readonly MappingRecord[]): Promise<string[][]>;

  /** Rejects if rules could not be changed on this host, and says why. @throws {OperatorError} */
  ready(): Promise<void>;
}

export type Removal = Owner & Pick<Placement, "chain" | "backend"> & Partial<MappingRecord>;
