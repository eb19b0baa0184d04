import { OperatorError } from "../base/error.ts";

/**
 * Error codes of the CNI specification (section "Error"), and the port mapper's own from 100.
 * https://github.com/containernetworking/cni/blob/main/SPEC.md#error
 */
export const CNI_CODES = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  undecodable: 6,
  invalidConfig: 7,
  invalidNamespace: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  limitedConnectivity: 51,
  unreadableInput: 100,
  badArgument: 101,
  delegateFailed: 102,
  rulesUnchanged: 103,
  unsupportedCommand: 104,
  /** libcni's code for a plugin that failed without giving one. */
  internal: 999,
} as const;

/** Characters of an error that a runtime is told: a config may have thousands of what is wrong. */
const MOST_TEXT = 8_000;

function bounded(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}…` : text;
}

/** A failure with a place in the CNI protocol: what a plugin prints, or printed. */
export class CniError extends OperatorError {
  override name = "CniError";

  /**
   * @param cniCode one of {@link CNI_CODES}, or a foreign plugin's own number
   * @param message what was wrong, where, and what to do
   * @param details the longer story: a delegate's own error, its standard error
   */
  constructor(
    readonly cniCode: number,
    message: string,
    override readonly details?: string,
    options?: ErrorOptions,
  ) {
    super(`cni_${cniCode}`, message, options);
  }

  /** The error object of the specification, in the version the caller speaks. */
  toJSON(cniVersion: string): Record<string, unknown> {
    const msg = bounded(this.message);
    const details = this.details === undefined ? {} : { details: bounded(this.details) };
    return { cniVersion, code: this.cniCode, msg, ...details };
  }
}
