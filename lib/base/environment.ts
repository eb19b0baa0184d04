/** Variables of this program's environment, whose bytes need not be text. */
import { OperatorError } from "./error.ts";
import { unlessRefused } from "./unless.ts";

/** Where an administrator's programs are, where a PATH is missing or does not say. */
export const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * A variable; undefined where it is not set.
 *
 * @throws {OperatorError} `bad_environment` if its bytes are no UTF-8
 */
export function variable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    throw new OperatorError("bad_environment", `${name} is no UTF-8; correct or unset it`);
  }
}

/** The same for what is only a wish, such as the kind of a terminal: undefined for what is no text. */
export function wish(name: string): string | undefined {
  return unlessRefused(() => variable(name));
}
