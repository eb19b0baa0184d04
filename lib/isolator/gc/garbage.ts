/** A thing that no live container owns. */
export interface Garbage {
  kind: "container" | "mapping" | "rule" | "address";
  /** What it is, and where. */
  what: string;
  /** How one can tell that nobody needs it. */
  why: string;
  /** What kept it from being looked through: then it is not known whether there is any. */
  failed?: string;
  /** Removes it. @throws {OperatorError} */
  remove(): unknown;
}
