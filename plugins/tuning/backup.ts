/** How an interface was before it was tuned, on disk until DEL (the reference's files). */
import { isObject, type JsonObject } from "../../lib/base/json.ts";
import { readCheckpoint, writeCheckpoint } from "../../lib/kernel/atomic_file.ts";
import type { LinkSettings } from "../../lib/netlink/link_changes.ts";
import type { LinkDescription } from "../../lib/netlink/mod.ts";
import { Fields } from "../../lib/cni/fields.ts";
import type { Call } from "../shared/standard_plugin.ts";
import type { TuningConfig } from "./config.ts";

export function backupFile(dataDir: string, { containerId, ifName }: Call): string {
  return `${dataDir}/${containerId}_${ifName}.json`;
}

/** What the config is going to change, as it is now. */
export function backupOf(config: TuningConfig, { link, txQueueLength }: LinkDescription) {
  const backup: JsonObject = {};
  if (config.mac !== undefined) backup.mac = link.mac ?? "";
  if (config.promiscuous) backup.promisc = link.flags.includes("PROMISC");
  if (config.mtu !== undefined) backup.mtu = link.mtu;
  if (config.allMulticast !== undefined) backup.allmulti = link.flags.includes("ALLMULTI");
  if (config.txQueueLength !== undefined) backup.txQLen = txQueueLength;
  return backup;
}

export function writeBackup(file: string, backup: JsonObject): void {
  writeCheckpoint(file, JSON.stringify(backup, null, 1), 0o600);
}

/** The settings of a backup; none where it is damaged, which must not keep DEL from its work. */
export function readBackup(file: string): LinkSettings | undefined {
  const text = readCheckpoint(file);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? settingsOf(value) : {};
  } catch {
    return {};
  }
}

export function settingsOf(backup: JsonObject): LinkSettings {
  const fields = new Fields(backup);
  return {
    mtu: fields.integer("mtu"),
    mac: fields.text("mac") || undefined,
    promiscuous: fields.has("promisc") ? fields.flag("promisc") : undefined,
    allMulticast: fields.has("allmulti") ? fields.flag("allmulti") : undefined,
    txQueueLength: fields.integer("txQLen"),
  };
}
