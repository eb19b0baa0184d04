/** The isolator of a command's flags, with the plugins that this program contains. */
import { Isolator } from "../isolator/isolator.ts";
import { isRoot } from "../linux/process.ts";
import { OperatorError } from "../error.ts";
import { BUILT_INS } from "../../plugins/mod.ts";
import { settingsFrom } from "./agent_flags.ts";
import type { Call } from "./command.ts";

/** @throws {OperatorError} `not_root` without root's rights, which every operation needs */
export function isolatorOf(call: Call): Isolator {
  const settings = settingsFrom(call);
  if (!isRoot()) {
    throw new OperatorError(
      "not_root",
      "networks of containers need root: use sudo (or, to try it out, unshare -r -n -m)",
    );
  }
  return new Isolator(settings, BUILT_INS);
}
