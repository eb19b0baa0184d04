/** host-local's config: `ipam`, and addresses that are asked for. */
import { overlap, parseAddress, showAddress } from "../../lib/base/prefix.ts";
import { quote } from "../../lib/base/json.ts";
import { DATA_DIR } from "../../lib/cni/plugin_type.ts";
import { readCniArgs } from "../shared/cni_args.ts";
import { Fields, wrong } from "../../lib/cni/fields.ts";
import { requireIpam, requireOneEach } from "../shared/ipam.ts";
import { readRoutes } from "../shared/routes.ts";
import type { Call } from "../shared/standard_plugin.ts";
import { checkRangeSet, type RangeSet, readRange } from "./range.ts";

export type HostLocalConfig = ReturnType<typeof readHostLocalConfig>;

/** @throws {CniError} */
export function readHostLocalConfig(call: Call) {
  const ipam = requireIpam(call);
  const store = storeOf(call);
  if (isTooLong(store)) {
    throw wrong(
      `the name ${quote(call.network)} is too long: its leases would be in ${quote(store)}`,
    );
  }
  return {
    /** The directory of the network's leases. */
    store,
    sets: readSets(call, ipam),
    routes: readRoutes(ipam),
    /** The file that the result's dns is read from. */
    resolvConf: ipam.text("resolvConf") || undefined,
    /** In their usual spelling. */
    requested: readRequested(call),
  };
}

/** Where the leases are. @throws {CniError} */
export function storeOf({ config, network }: Call): string {
  return `${config.object("ipam")?.text("dataDir") || DATA_DIR}/${network}`;
}

/** Bytes of a file's name, and of a path with room for what is below it (limits.h). */
const [LONGEST_NAME, LONGEST_PATH] = [255, 4_000];

function isTooLong(path: string): boolean {
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  return bytes(path) > LONGEST_PATH || path.split("/").some((name) => bytes(name) > LONGEST_NAME);
}

function readSets(call: Call, ipam: Fields): RangeSet[] {
  const offered = readSetList(call.config.object("runtimeConfig"), "ipRanges");
  const old = ipam.has("subnet") ? [[readRange(ipam)]] : [];
  const sets: RangeSet[] = [...offered, ...old, ...readSetList(ipam, "ranges")];
  if (sets.length === 0) throw wrong("ipam.ranges is missing; it must hold lists of ranges");
  sets.forEach((set, i) => checkRangeSet(set, `set ${i} of ipam.ranges`));
  requireOneEach(call, sets.map((set) => set[0]!.family));
  sets.forEach((set, i) => {
    const other = sets.slice(i + 1).findIndex((two) =>
      set.some((range) => two.some((one) => overlap(range, one)))
    );
    if (other >= 0) throw wrong(`sets ${i} and ${i + 1 + other} of ipam.ranges overlap`);
  });
  return sets;
}

function readSetList(fields: Fields | undefined, key: string): RangeSet[] {
  return (fields?.list(key) ?? []).map((_, i) =>
    new Fields({ [key]: fields!.list(key)[i]! }, fields!.where).objects(key).map(readRange)
  );
}

/** The addresses that CNI_ARGS, `args.cni` and `runtimeConfig` ask for. @throws {CniError} */
function readRequested({ invocation, config }: Call): string[] {
  const { IP } = readCniArgs(invocation.args, ["IP"]);
  const asked = [
    ...IP ? [IP] : [],
    ...config.object("args")?.object("cni")?.texts("ips") ?? [],
    ...config.object("runtimeConfig")?.texts("ips") ?? [],
  ];
  return asked.map((text) => {
    const address = parseAddress(text.replace(/\/\d+$/, ""));
    if (!address) throw wrong(`the address ${quote(text)} is asked for, which is none`);
    return showAddress(address);
  });
}
