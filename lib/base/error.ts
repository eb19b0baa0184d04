/**
 * An error whose message is written for the operator: what was wrong, in which file or for which
 * container, and what to do about it. Everything this program throws on purpose is one of these;
 * anything else that reaches the top is a defect and is printed with its stack.
 */
export class OperatorError extends Error {
  override name = "OperatorError";
  /** The longer story, if there is one: a program's own words, say. */
  readonly details?: string;

  /**
   * @param code a stable word for scripts, such as `unknown_network`
   * @param message one sentence or more, without a trailing newline
   */
  constructor(readonly code: string, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What several works of one operation failed by, as one error with a line for each, and what to do. */
export function joined(failures: readonly unknown[], remedy?: string): unknown {
  const [cause] = failures;
  if (failures.length === 1 && remedy === undefined) return cause;
  const code = cause instanceof OperatorError ? cause.code : "defect";
  const lines = [...failures.map(messageOf), ...remedy === undefined ? [] : [remedy]];
  return new OperatorError(code, lines.join("\n"), { cause });
}
