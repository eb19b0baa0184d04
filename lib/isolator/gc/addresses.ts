/** Addresses that host-local holds for containers that are gone. */
import { OperatorError } from "../../base/error.ts";
import { namesIn } from "../../base/exists.ts";
import { FileLock } from "../../kernel/lock.ts";
import { bootTime } from "../../kernel/process_identity.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

/**
 * How long, in ms, an address may be reserved before it is on an interface: longer than any
 * plugin is given.
 */
const LONGEST_ADD = 120_000;
/** How long, in ms, to wait for a plugin that holds the store. */
const PATIENCE = 10_000;

/** Whose leases are whose. */
export interface Holders {
  /** Ids of containers that live, as leases name them. */
  alive: ReadonlySet<string>;
  /** Ids of containers that are known to be dead. */
  dead: ReadonlySet<string>;
  /**
   * Whether something lives on a bridge of these networks, or may, that has none of the addresses
   * that were given out: then a lease of an unknown container may be its.
   */
  unexplained: boolean;
}

/**
 * @param store a directory of host-local: a file for each address in use, which names its
 *   container in the first line
 */
export function findAddresses(
  store: string,
  living: Living,
  holders: Holders,
): Garbage[] {
  return listLeases(store).sort()
    .filter((name) => !living.addresses.has(name))
    .filter((name) => {
      const path = `${store}/${name}`;
      return holderOf(path) === NOBODY || !mayBeUnderWay(reservedAt(path));
    })
    // A container may take its address off its interface, and put it back: the lease says whose
    // it is.
    .filter((name) => {
      const holder = holderOf(`${store}/${name}`);
      return !holders.alive.has(holder) && (holders.dead.has(holder) || !holders.unexplained);
    })
    .map((name): Garbage => {
      const reserved = reservedAt(`${store}/${name}`);
      const holder = holderOf(`${store}/${name}`);
      return {
        kind: "address",
        what: `${name} of container ${holder} in ${store}`,
        why: "no interface of any network namespace has it",
        remove: () => release(store, name, { reserved, holder }),
      };
    });
}

/**
 * Whether the ADD that reserved an address may still be at work: not one from before this machine
 * was booted, nor one in the future, which is of a clock that has been set back.
 */
function mayBeUnderWay(reserved: number): boolean {
  if (reserved === Infinity) return true;
  return reserved >= bootTime() && Math.abs(Date.now() - reserved) <= LONGEST_ADD;
}

/** The addresses that a store has given out. */
export function listLeases(store: string): string[] {
  return namesIn(store).filter((name) => /^[0-9a-f.:]+$/.test(name));
}

/** Gives an address back, unless it was meanwhile, and is another container's by now. */
async function release(
  store: string,
  name: string,
  { reserved, holder }: { reserved: number; holder: string },
): Promise<void> {
  // host-local's own lock.
  using lock = await FileLock.take(`${store}/lock`, PATIENCE);
  if (!lock) throw new OperatorError("busy", `a plugin keeps holding ${store}/lock`);
  const path = `${store}/${name}`;
  if (reservedAt(path) !== reserved || holderOf(path) !== holder) return;
  try {
    Deno.removeSync(`${store}/${name}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** When an address was reserved, in ms since 1970; in the future for one given back meanwhile. */
function reservedAt(path: string): number {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return Infinity;
    throw error;
  }
}

/**
 * What stands for the holder of an address that names none: a power cut has come between. A plugin
 * at work names it while it holds the lock of the store, so that it is never taken for one.
 */
const NOBODY = "(none named)";

function holderOf(path: string): string {
  try {
    return Deno.readTextFileSync(path).split(/\s/)[0] || NOBODY;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "(given back meanwhile)";
    throw error;
  }
}
