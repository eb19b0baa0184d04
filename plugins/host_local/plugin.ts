/**
 * host-local: addresses from ranges of this host (the reference's plugins/ipam/host-local), on the
 * same store.
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { log } from "../../lib/base/log.ts";
import { parseAddress, showAddress } from "../../lib/base/prefix.ts";
import { exists } from "../../lib/base/exists.ts";
import { CniError } from "../../lib/cni/error.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { isAnothers, networkNow, sayAnothers } from "../../lib/netlink/attached_network.ts";
import { type Call, type LiveCall, standardPlugin } from "../shared/standard_plugin.ts";
import { readValidAttachments } from "../shared/valid_attachments.ts";
import { type HostLocalConfig, readHostLocalConfig, storeOf } from "./config.ts";
import { addressesAfter, type Range, rangeOf, type RangeSet, showRanges } from "./range.ts";
import { readResolvConf } from "./resolv_conf.ts";
import { type Leaseholder, LeaseStore } from "./store.ts";
import { isA, unless, unlessRefused } from "../../lib/base/unless.ts";

/** How many addresses that are taken are tried before the list of all is read. */
const TRIES = 16;

export const hostLocal: Plugin = standardPlugin({ ignoresNamespace: true, add, del, check, gc });

async function add(call: LiveCall): Promise<Result> {
  const config = readHostLocalConfig(call);
  const dns = config.resolvConf === undefined ? {} : readResolvConf(config.resolvConf);
  using store = await LeaseStore.open(config.store);
  const ips: IpConfig[] = [];
  const { containerId, ifName } = call;
  const network = unlessRefused(() => networkNow(call.netns));
  try {
    const inUse = await store.unleased(async () => {
      const { addressesInUse, addressesOnRecord } = await import("./unleased.ts");
      return [
        ...await addressesInUse((text) => setOf(config.sets, text)),
        ...addressesOnRecord(call).filter((text) => setOf(config.sets, text) !== undefined),
      ];
    });
    lease(store, config, { containerId, ifName, network }, ips, inUse);
  } catch (error) {
    store.cancel(ips.map(({ address }) => address.split("/")[0]!));
    throw error;
  }
  return { interfaces: [], ips, routes: config.routes, dns };
}

function lease(
  store: LeaseStore,
  config: HostLocalConfig,
  holder: Leaseholder,
  ips: IpConfig[],
  inUse: ReadonlySet<string>,
): void {
  const held = store.addressesOf({ ...holder, netns: holder.network?.netns });
  const requested = new Set(config.requested);
  config.sets.forEach((set, i) => {
    const wanted = [...requested].find((text) => isIn(set, text));
    if (wanted === undefined) {
      const already = held.find((text) => isIn(set, text));
      if (already !== undefined) {
        throw wrong(
          `${already} is already leased to ${holder.ifName} of container ${holder.containerId}; ` +
            "an attachment gets one address of each range: DEL comes before another ADD",
        );
      }
    } else {
      requested.delete(wanted);
    }
    const [value, range] = wanted === undefined
      ? next(store, set, i, holder, inUse)
      : exactly(store, set, i, holder, wanted, inUse);
    const show = (value: bigint) => showAddress({ family: range.family, value });
    ips.push({ address: `${show(value)}/${range.subnet.length}`, gateway: show(range.gateway) });
  });
  if (requested.size > 0) {
    const left = [...requested].join(", ");
    throw wrong(
      `failed to allocate all requested IPs: ${left}: no range of ipam.ranges holds them`,
    );
  }
}

function exactly(
  store: LeaseStore,
  set: RangeSet,
  number: number,
  holder: Leaseholder,
  wanted: string,
  inUse: ReadonlySet<string>,
): [bigint, Range] {
  const { family, value } = parseAddress(wanted)!;
  const range = rangeOf(set, family, value)!;
  if (value === range.gateway) {
    throw wrong(`asked for ${wanted}, which is the gateway of its network`);
  }
  if (inUse.has(wanted)) {
    throw wrong(`asked for ${wanted}, which a container has that is alive, and no lease names`);
  }
  if (store.reserve(wanted, holder, number)) return [value, range];
  throw wrong(`asked for ${wanted}, which is leased: see ${store.path}/${wanted}`);
}

/** The first free address after the one that was given last. */
function next(
  store: LeaseStore,
  set: RangeSet,
  number: number,
  holder: Leaseholder,
  inUse: ReadonlySet<string>,
): [bigint, Range] {
  const text = store.lastReserved(number);
  const last = text === undefined ? undefined : parseAddress(text);
  const known = last && rangeOf(set, last.family, last.value) ? last.value : undefined;
  let tries = 0;
  let leased: Set<string> | undefined;
  for (const [value, range] of addressesAfter(set, known)) {
    const address = showAddress({ family: range.family, value });
    if (leased?.has(address)) continue;
    if (inUse.has(address)) {
      log.warning("an address is skipped: a live container has it, and no lease names it", {
        address,
        store: store.path,
      });
      continue;
    }
    if (store.reserve(address, holder, number)) return [value, range];
    if (++tries === TRIES) leased = store.leased();
  }
  throw wrong(
    `no address is free in ${showRanges(set)}: see ${store.path}; leases of containers that are ` +
      "gone are found by: mesos-cni gc",
  );
}

/**
 * What ADD refused, DEL must not: it only needs to know where the leases are.
 *
 * @returns which addresses are kept, as another container's of this id
 */
async function del(call: Call): Promise<{ kept: string[] } | undefined> {
  const path = storeOf(call);
  if (!exists(path) && !isUsable(call)) return;
  using store = await LeaseStore.open(path);
  const kept: string[] = [];
  for (const address of store.addressesOf(call)) {
    const network = store.networkOf(address);
    if (!network || !await isAnothers(network, call.netns)) {
      store.release([address]);
      continue;
    }
    kept.push(address);
    sayAnothers(call, network);
  }
  return kept.length > 0 ? { kept } : undefined;
}

function isUsable(call: Call): boolean {
  return unless(isA(CniError), () => {
    readHostLocalConfig(call);
    return true;
  }) ?? false;
}

async function check(call: Call): Promise<void> {
  const config = readHostLocalConfig(call);
  using store = await LeaseStore.open(config.store);
  if (store.addressesOf(call).length > 0) return;
  throw wrong(
    `${store.path} holds no address of ${call.ifName} of container ${call.containerId}`,
  );
}

function setOf(sets: readonly RangeSet[], text: string): number | undefined {
  const number = sets.findIndex((set) => isIn(set, text));
  return number < 0 ? undefined : number;
}

function isIn(set: RangeSet, text: string): boolean {
  const { family, value } = parseAddress(text)!;
  return rangeOf(set, family, value) !== undefined;
}

/**
 * Gives back the leases of attachments that the runtime does not name as valid. An address that a
 * live container has is kept all the same: given out again, two would have it.
 */
async function gc(call: Call): Promise<void> {
  const isValid = readValidAttachments(call.config);
  const path = storeOf(call);
  if (!exists(path)) return;
  using store = await LeaseStore.open(path);
  const stale = [...store.holders()].filter(([, holder]) => !isValid(holder));
  if (stale.length === 0) return;
  const { sets } = readHostLocalConfig(call);
  const { addressesInUse } = await import("./unleased.ts");
  const inUse = await addressesInUse((text) => setOf(sets, text));
  for (const [address, holder] of stale) {
    if (!inUse.has(address)) {
      store.release([address]);
      continue;
    }
    log.warning(
      "a lease stays, though no valid attachment has it: a live container has its address",
      {
        address,
        container: holder.containerId,
        store: path,
      },
    );
  }
}
