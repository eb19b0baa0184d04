/**
 * What is remembered of mappings: a record for each attachment, `attachments/KEY.json`. Its states,
 * and who leads from one to the next:
 *
 *   none ── reserve ──→ reserved ── commit ──→ installed ── remove ──→ none
 *                          └── cancel ──→ none
 *   installed ── reserve ──→ reserved, with the installed record as `earlier` ── commit ──→ installed
 *                               └── cancel ──→ installed, as it was
 *
 * A record is written before what it tells of (claims, rules, settings) and removed after it, so
 * wherever a process dies, the record knows all there may be.
 */
import { basename } from "@std/path";
import { removeCheckpoint } from "../kernel/atomic_file.ts";
import { messageOf } from "../base/error.ts";
import type { Family } from "../base/ip.ts";
import type { Place } from "../firewall/rule.ts";
import { Records, STATE_MODE } from "../firewall/records.ts";
import type { Kind } from "../firewall/tool.ts";
import { isObject, type JsonObject } from "../base/json.ts";
import { log } from "../base/log.ts";
import type { AttachedNetwork } from "../netlink/attached_network.ts";
import type { RuleHandle } from "../nft/changes.ts";
import { BACKENDS, keyOf, type Owner, type PortAttachment } from "./mapping.ts";
import { DAMAGED, ORPHANS, RECORDS } from "./state_dir.ts";

/** An attachment's mappings with all that is needed to find what was made for them. */
export interface MappingRecord extends PortAttachment, AttachedNetwork {
  /** The kinds of iptables that rules were written for, by which they are removed; absent until all stand. */
  variants?: { [family in Family]?: Kind };
  /** Where nf_tables keeps the rules; absent where that is not known. */
  handles?: { [family in Family]?: (RuleHandle & Pick<Place, "table">)[] };
  /** Of a record that is reserved again: the installed one, which stands until the new one does. */
  earlier?: MappingRecord;
}

/** Whether an attachment has its addresses, and so its rules or some of them. */
export function isInstalled({ endpoints }: PortAttachment): boolean {
  return endpoints.length > 0;
}

/** Of a record in any state, the installed one that is in force. */
export function installedOf(record: MappingRecord | undefined): MappingRecord | undefined {
  if (!record) return undefined;
  return record.earlier ?? (isInstalled(record) ? record : undefined);
}

/** Those of all attachments. */
export const records = new Records<MappingRecord>(RECORDS, isWhole, moveAside);

function isWhole(record: JsonObject): boolean {
  const { backend, chain, mappings, endpoints, netns, earlier, maker, reserved } = record;
  return [chain, netns].every((text) => typeof text === "string") &&
    (maker === undefined || isObject(maker)) && typeof reserved === "number" &&
    BACKENDS.some((name) => name === backend) &&
    [mappings, endpoints].every((list) => Array.isArray(list) && list.every(isObject)) &&
    (earlier === undefined || records.isRecord(earlier));
}

/**
 * A record that can't be read must not stop the others, nor its own container's DEL, which goes by
 * the comment of its rules.
 */
function moveAside(file: string, reason: string): void {
  const aside = `${DAMAGED}/${basename(file)}`;
  try {
    // The next reservation looks in the kernel for the ports that nobody claims now.
    removeCheckpoint(ORPHANS);
    Deno.mkdirSync(DAMAGED, { recursive: true, mode: STATE_MODE.directory });
    Deno.renameSync(file, aside);
    log.warning("a damaged record of port mappings was moved aside", { file: aside, reason });
  } catch (error) {
    log.warning("a damaged record of port mappings is ignored, and could not be moved aside", {
      file,
      reason,
      error: messageOf(error),
    });
  }
}

/** The installed records of a container's other attachments. */
export function otherRecordsOf(owner: Owner): MappingRecord[] {
  const own = keyOf(owner);
  return records.list(`${owner.containerId}:`.slice(0, 100))
    .filter((record) => record.containerId === owner.containerId && keyOf(record) !== own)
    .flatMap((record) => [record, ...(record.earlier ? [record.earlier] : [])])
    .filter(isInstalled);
}
