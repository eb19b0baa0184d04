/** Whose rules and ports: the names that records and comments have. */
import process from "node:process";

/** One interface of one container. */
export interface Owner {
  containerId: string;
  network: string;
  ifName: string;
}

/** The name of an owner's files: ids, networks and interfaces have no colon. */
export function keyOf({ containerId, network, ifName }: Owner): string {
  return shortened(`${containerId}:${network}:${ifName}`, 200);
}

/** Text of any length as one of at most `limit`; `~` is in no id, so two never meet. */
export function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // Loaded for the few ids that are this long: it would be a third of a plugin's start-up.
  const { createHash } = process.getBuiltinModule("node:crypto");
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 32);
  return `${text.slice(0, limit - 33)}~${hash}`;
}
