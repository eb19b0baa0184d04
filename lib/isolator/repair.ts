/** Rules of plugins that a reload of the firewall has taken from a container that goes on. */
import { readAttachment } from "../containers/checkpoint.ts";
import type { Attachment } from "../containers/layout.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Isolator } from "./isolator.ts";

/**
 * Puts back what is known of the types of an attachment's plugins.
 *
 * @returns whether anything was missing
 * @throws {OperatorError}
 */
export async function repairAttachment(
  isolator: Isolator,
  containerId: ContainerId,
  attachment: Attachment,
): Promise<boolean> {
  const { settings: { layout, path }, registry } = isolator;
  const { plugins, result } = readAttachment(layout, containerId, attachment);
  if (!result) return false;
  let repaired = false;
  for (const config of plugins) {
    const repair = registry.get(String(config.type))?.repair;
    if (!repair) continue;
    repaired = await repair(config, { ...attachment, containerId, result, path }) || repaired;
  }
  return repaired;
}
