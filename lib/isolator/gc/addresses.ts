/** Addresses that host-local holds for containers that are gone. */
import { statOf } from "../../base/exists.ts";
import { type Holder, leaseHolder, leaseNetwork, lockStore } from "../../containers/lease.ts";
import { bootTime } from "../../kernel/process_identity.ts";
import { namespaceFate } from "../../netlink/attached_network.ts";
import { Sight } from "../../netlink/sight.ts";
import type { Garbage } from "./garbage.ts";
import type { Living } from "./living.ts";

/**
 * How long, in ms, an address may be reserved before it is on an interface: longer than any
 * plugin is given.
 */
const LONGEST_ADD = 120_000;

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
 * @param store a directory of host-local
 * @param leased the addresses that it had given out before anybody looked who lives
 */
export function findAddresses(
  store: string,
  leased: readonly string[],
  living: Living,
  holders: Holders,
  sight = new Sight(),
): Garbage[] {
  return leased.toSorted().filter((address) => !living.addresses.has(address))
    .flatMap((address): Garbage[] => {
      const lease = readLease(`${store}/${address}`);
      if (!lease) return []; // given back meanwhile
      const { containerId: holder, reserved } = lease;
      // A plugin at work names the holder while it holds the lock of the store.
      if (holder !== "" && mayBeUnderWay(reserved)) return [];
      // A container may take its address off its interface, and put it back: the lease says whose
      // it is, and in which network.
      const network = leaseNetwork(`${store}/${address}`);
      if (network && namespaceFate(network, sight) !== "gone") return [];
      if (holders.alive.has(holder) || (holders.unexplained && !holders.dead.has(holder))) {
        return [];
      }
      return [{
        kind: "address",
        what: `${address} of container ${holder || "(none named)"} in ${store}`,
        why: "no interface of any network namespace has it",
        remove: async () => {
          using _ = await lockStore(store);
          // Unless it is another container's by now.
          const now = readLease(`${store}/${address}`);
          if (now?.reserved !== reserved || now.containerId !== holder) return;
          Deno.removeSync(`${store}/${address}`);
        },
      }];
    });
}

/**
 * Whether the ADD that reserved an address may still be at work: not one from before this machine
 * was booted, nor one in the future, which is of a clock that has been set back.
 */
function mayBeUnderWay(reserved: number): boolean {
  return reserved >= bootTime() && Math.abs(Date.now() - reserved) <= LONGEST_ADD;
}

/** A lease with the time since 1970, in ms, when it was made. */
function readLease(file: string): Holder & { reserved: number } | undefined {
  const reserved = statOf(file)?.mtime?.getTime();
  const holder = leaseHolder(file);
  return holder && reserved !== undefined ? { ...holder, reserved } : undefined;
}
