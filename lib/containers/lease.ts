/**
 * The stores of host-local: a directory for each network, with a file for each address in use, which
 * names its container in the first line, and since host-local 0.8 the interface below.
 */
import { join } from "@std/path";
import { entriesIn } from "../base/exists.ts";
import { isAddress } from "../base/ip.ts";
import { isObject } from "../base/json.ts";
import { DATA_DIR } from "../cni/plugin_type.ts";
import { tried, unlessRefused } from "../base/unless.ts";
import { readAttribute, setAttribute } from "../kernel/attributes.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import { type Handle, open } from "../kernel/files.ts";
import { FileLock } from "../kernel/lock.ts";
import { bootId } from "../kernel/process_identity.ts";
import type { AttachedNetwork } from "../netlink/attached_network.ts";
import type { Checkpoint } from "./checkpoint.ts";

/** How long, in ms, to wait for a plugin that holds a store. */
const PATIENCE = 10_000;

/** Who an address is leased to. */
export interface Holder {
  /** Empty where none is named: a power cut has come between. */
  containerId: string;
  /** Empty in a lease of an old version. */
  ifName: string;
}

/** @returns undefined for a network whose addresses host-local does not give */
export function leaseFile({ plugins, network }: Checkpoint, address: string): string | undefined {
  const ipam = plugins.map((plugin) => plugin.ipam).find(isObject);
  if (ipam?.type !== "host-local") return undefined;
  return join(typeof ipam.dataDir === "string" ? ipam.dataDir : DATA_DIR, network, address);
}

/** Reads a lease; undefined where there is none. */
export function leaseHolder(file: string): Holder | undefined {
  const text = readCheckpoint(file);
  return text === undefined ? undefined : holderIn(text);
}

/** Reads the text of a lease. */
export function holderIn(text: string): Holder {
  const [containerId = "", ifName = ""] = text.split("\n").map((line) => line.trim());
  return { containerId, ifName };
}

/**
 * An attribute of a lease: the network that it was made for, by which one container of an id is told from
 * another, and the interface there, by which the lease is its own though its text is lost. It goes with the file;
 * the reference sees nothing of it, and leases of its making have none.
 */
const NETWORK = "trusted.mesos_cni";

export interface LeasedFor extends AttachedNetwork {
  /** Absent in leases made before there was that. */
  ifName?: string;
}

/** On a file system without attributes the network of a lease stays unknown. */
export function markLease(file: Handle, network: LeasedFor): void {
  const text = JSON.stringify({ ...network, boot: bootId() });
  unlessRefused(() => setAttribute(file, NETWORK, text));
}

/** The network that an address was leased for; undefined where that is not known, or of another boot. */
export function leaseNetwork(path: string): LeasedFor | undefined {
  const text = unlessRefused(() => {
    using file = open(path);
    return readAttribute(file, NETWORK);
  });
  const { boot, ...network } = tried(() => JSON.parse(text!), {});
  return boot === bootId() ? network : undefined;
}

/** The addresses that a store has given out; none where there is no store. A directory is no lease. */
export function leasedAddresses(store: string): string[] {
  return entriesIn(store).filter(({ isDirectory, name }) => !isDirectory && isAddress(name))
    .map(({ name }) => name);
}

/** host-local's own lock. @throws {OperatorError} `busy` */
export function lockStore(store: string): Promise<FileLock> {
  return FileLock.require(`${store}/lock`, PATIENCE, "a plugin");
}
