/** Who host-local's store says that an address belongs to. */
import { join } from "@std/path";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import { isObject } from "../base/json.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** Default of the plugin's `dataDir`. */
const DATA_DIR = "/var/lib/cni/networks";

/** @returns undefined for a network whose addresses host-local does not give */
export function leaseFile({ plugins, network }: Checkpoint, address: string): string | undefined {
  const ipam = plugins.map((plugin) => plugin.ipam).find(isObject);
  if (ipam?.type !== "host-local") return undefined;
  return join(typeof ipam.dataDir === "string" ? ipam.dataDir : DATA_DIR, network, address);
}

/** The container that a lease names; undefined where there is no lease. */
export function leaseHolder(file: string): string | undefined {
  return readCheckpoint(file)?.split(/\r?\n/)[0]?.trim();
}
