/**
 * portmap: host ports that lead to the container, as a plugin in a list (the reference's
 * plugins/meta/portmap). The config is the reference's; reservation and rules are those of the
 * port mapper (lib/ports).
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Result } from "../../lib/cni/result.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { messageOf } from "../../lib/base/error.ts";
import { quote } from "../../lib/base/json.ts";
import { attachedComment } from "../../lib/firewall/owner.ts";
import { removeAttached } from "../../lib/firewall/attachment_chains.ts";
import { Firewall } from "../../lib/firewall/firewall.ts";
import { isOfMesos } from "../../lib/cni/port_mappings.ts";
import { usualBackend } from "../../lib/ports/backends.ts";
import {
  type BackendName,
  BACKENDS,
  describeMapping,
  type Endpoint,
  type Mapping,
  type Owner,
  type Placement,
} from "../../lib/ports/mapping.ts";
import {
  checkReady,
  findMissing,
  isLedByReference,
  isOthers,
  lockAttachment,
  Ports,
  remove,
} from "../../lib/ports/mod.ts";
import { isV6, prefixOf, withoutLength } from "../shared/addresses.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { readRuntimeMappings } from "../shared/port_mappings.ts";
import { removeAll } from "../shared/remove_all.ts";
import {
  type Call,
  type LiveCall,
  requirePrevResult,
  standardPlugin,
} from "../shared/standard_plugin.ts";
import { undoingOnFailure } from "../shared/undo.ts";
import { readConditions, requireOneDestination } from "./conditions.ts";

export const portmap: Plugin = standardPlugin({ add, del, check, status });

/** Of the nat table; the traces of this type name it. */
export const PORTMAP_CHAIN = "MESOS-CNI-PORTMAP";
const LAST_BIT = 31;

async function add(call: LiveCall): Promise<Result> {
  const result = requirePrevResult(call);
  const placement = readPlacement(call);
  const mappings = readMappings(call);
  if (mappings.length === 0) return result;
  requireOneDestination(placement, mappings);
  const endpoints = endpointsOf(call, result);
  // A layer-2 network leads nothing, as the reference's.
  if (endpoints.length === 0) return result;
  if (placement.snat) await requireMarkChain(call, endpoints);
  const owner = ownerOf(call);
  using _lock = await lockAttachment(owner);
  // An agent starts a container's process before it attaches it.
  const startsWithProcess = isOfMesos(call.invocation.config);
  const request = { ...owner, ...placement, mappings, netns: call.netns, startsWithProcess };
  return await undoingOnFailure(async (undo) => {
    const ports = await Ports.reserve(request, call.invocation.path);
    undo(() => ports.giveBack());
    await ports.commit(endpoints, call.invocation.firewall);
    return result;
  });
}

async function del(call: Call): Promise<void> {
  const { path } = call.invocation;
  const owner = ownerOf(call);
  using _lock = await lockAttachment(owner, { forRemoval: true });
  if (await isOthers(owner, call.netns)) return;
  // What the portmap of containernetworking/plugins made, in either of its backends.
  const plan = await removeAttached(owner, "ports");
  const what = `remove the rules of portmap for ${owner.containerId}`;
  await removeAll([
    () => remove(owner, path),
    () => Firewall.removeEvery(path, { plan, marks: [attachedComment(owner)], what }),
  ]);
}

async function check(call: LiveCall): Promise<void> {
  const mappings = readMappings(call);
  const endpoints = endpointsOf(call, requirePrevResult(call));
  if (mappings.length === 0 || endpoints.length === 0) return;
  const { path } = call.invocation;
  const missing = await findMissing(ownerOf(call), path);
  if (missing.length === 0) return;
  if (await isLedByReference(ownerOf(call), mappings, endpoints, path)) return;
  throw wrong(`port mappings are not complete: ${missing.join("; ")}`);
}

async function status(call: Call): Promise<void> {
  try {
    await checkReady(readPlacement(call).backend, call.invocation.path);
  } catch (error) {
    throw new CniError(CNI_CODES.pluginNotAvailable, messageOf(error), undefined, { cause: error });
  }
}

function ownerOf({ containerId, network, ifName }: Call): Owner {
  return { containerId, network, ifName };
}

/** @throws {CniError} also for what the rules of this program can't do */
function readPlacement({ config, invocation }: Call): Placement {
  const bit = config.integerFrom("markMasqBit", 0, LAST_BIT);
  const chain = config.text("externalSetMarkChain");
  if (bit !== undefined && chain !== undefined) {
    throw wrong("markMasqBit and externalSetMarkChain exclude each other: take one out");
  }
  const backend = config.text("backend") ?? usualBackend(invocation.path);
  if (!(BACKENDS as readonly string[]).includes(backend)) {
    config.fail("backend", BACKENDS.join(" or "));
  }
  if (chain !== undefined && backend === "nftables") {
    throw wrong('externalSetMarkChain is of the backend "iptables": take it out');
  }
  const conditions = readConditions(config, backend);
  const masqueradeAll = config.flag("masqAll");
  return {
    backend: backend as BackendName,
    chain: PORTMAP_CHAIN,
    excludeDevices: [],
    snat: !config.has("snat") || config.flag("snat"),
    ...masqueradeAll ? { masqueradeAll } : {},
    ...conditions ? { conditions } : {},
  };
}

/**
 * The chain of externalSetMarkChain is not used, since masquerading needs no mark here. A host without it
 * is none that the config was written for.
 *
 * @throws {CniError}
 */
async function requireMarkChain(
  { config, invocation }: Call,
  endpoints: readonly Endpoint[],
): Promise<void> {
  const chain = config.text("externalSetMarkChain");
  if (chain === undefined) return;
  const families = endpoints.map(({ family }) => family);
  const view = await (await Firewall.of(invocation.path)).look(families);
  for (const family of families) {
    if (view.hasChain({ family, table: "nat", chain })) continue;
    throw wrong(
      `externalSetMarkChain ${
        quote(chain)
      } is no chain of the nat table for IPv${family}: whatever ` +
        "makes it has not run yet; or take it out, since masquerading needs no mark here",
    );
  }
}

/** Of two for the same port of the host, the first. @throws {CniError} @throws {OperatorError} */
function readMappings({ config }: Call): Mapping[] {
  const list = readRuntimeMappings(config).toReversed();
  return [...new Map(list.map((one) => [describeMapping(one), one])).values()].toReversed();
}

/** The first address of each family that the container's interface has. */
function endpointsOf({ ifName }: Call, { ips, interfaces }: Result): Endpoint[] {
  const own = ips.filter((ip) => {
    const of = ip.interface === undefined ? undefined : interfaces[ip.interface];
    return of === undefined || (of.name === ifName && of.sandbox !== undefined);
  });
  return [4, 6].flatMap((family): Endpoint[] => {
    const ip = own.find(({ address }) => isV6(address) === (family === 6));
    if (!ip) return [];
    const { length } = prefixOf(ip.address);
    return [{ family: family as 4 | 6, address: withoutLength(ip.address), prefixLength: length }];
  });
}
