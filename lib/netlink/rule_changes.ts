/** Rules that choose a routing table (RTM_NEWRULE, RTM_DELRULE; linux/fib_rules.h). */
import { addressText } from "../base/ip.ts";
import { addressFamilyOf } from "../kernel/socket.ts";
import { type Change, changing, making } from "./change.ts";
import type { InterfaceAddress } from "./address_changes.ts";
import { attribute, structure, u32 } from "./message.ts";
import { FRA, RTM } from "./numbers.ts";

const RULE_BYTES = 12;
const FR_ACT_TO_TBL = 1;

/** What comes from an address looks its route up in a table. */
export interface SourceRule {
  source: InterfaceAddress;
  table: number;
  /** The kernel's choice if nothing is said. */
  priority?: number;
}

export function addSourceRule(rule: SourceRule): Change {
  return making(RTM.NEWRULE, `add a rule from ${show(rule)}`, parts(rule));
}

/** Adds a rule as the kernel listed it in another namespace, unless it is there. */
export function copyRule(listed: Uint8Array): Change {
  return { ...making(RTM.NEWRULE, "copy a rule", [listed]), unless: "EEXIST" };
}

/** The kernel's `ENOENT`: there is none. */
export function deleteSourceRule(rule: SourceRule): Change {
  return changing(RTM.DELRULE, `delete a rule from ${show(rule)}`, parts(rule));
}

function parts({ source, table, priority }: SourceRule): Uint8Array[] {
  return [
    // struct fib_rule_hdr
    structure(
      RULE_BYTES,
      [0, addressFamilyOf(source.bytes), 1],
      [2, source.prefixLength, 1],
      [4, table < 256 ? table : 0, 1],
      [7, FR_ACT_TO_TBL, 1],
    ),
    attribute(FRA.SRC, source.bytes),
    ...table < 256 ? [] : [attribute(FRA.TABLE, u32(table))],
    ...priority === undefined ? [] : [attribute(FRA.PRIORITY, u32(priority))],
  ];
}

const show = ({ source }: SourceRule) => addressText(source.bytes);
