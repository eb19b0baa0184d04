/** The isolator of a command's flags, with the plugins that this program contains. */
import { Isolator } from "../isolator/isolator.ts";
import { settingsFrom } from "./agent_flags.ts";
import type { Call } from "./command.ts";
import { requireRoot } from "./root.ts";

/** @throws {OperatorError} `not_root` without root's rights, which every operation needs */
export function isolatorOf(call: Call): Isolator;
/** The same, for a kind of isolator that does more. */
export function isolatorOf<I extends Isolator>(
  call: Call,
  kind: new (...args: ConstructorParameters<typeof Isolator>) => I,
): I;
export function isolatorOf(call: Call, kind = Isolator): Isolator {
  const settings = settingsFrom(call);
  requireRoot();
  return new kind(settings, call.plugins);
}
