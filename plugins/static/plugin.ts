/** static: the addresses that the config or the caller names (the reference's plugins/ipam/static). */
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { Dns, IpConfig, Result } from "../../lib/cni/result.ts";
import {
  contains,
  parseAddress,
  parsePrefix,
  type Prefix,
  showAddress,
} from "../../lib/base/prefix.ts";
import { quote } from "../../lib/base/json.ts";
import { readCniArgs } from "../shared/cni_args.ts";
import { readDns } from "../shared/dns.ts";
import { type Fields, wrong } from "../../lib/cni/fields.ts";
import { requireIpam, requireOneEach } from "../shared/ipam.ts";
import { readRoutes } from "../shared/routes.ts";
import { type Call, requirePrevResult, standardPlugin } from "../shared/standard_plugin.ts";

interface StaticAddress {
  prefix: Prefix;
  gateway?: string;
}

export const staticAddresses: Plugin = standardPlugin({
  ignoresNamespace: true,
  add,
  del: () => {},
  check,
});

function add(call: Call): Result {
  const ipam = requireIpam(call);
  const ips = readAddresses(call, ipam).map(({ prefix, gateway }): IpConfig => ({
    address: `${showAddress(prefix)}/${prefix.length}`,
    ...gateway === undefined ? {} : { gateway },
  }));
  const dns: Dns = readDns(ipam);
  return { interfaces: [], ips, routes: readRoutes(ipam), dns };
}

function check(call: Call): void {
  const addresses = readAddresses(call, requireIpam(call));
  const { ips } = requirePrevResult(call);
  for (const { prefix, gateway } of addresses) {
    const text = showAddress(prefix);
    const made = ips.find(({ address }) => address.split("/")[0] === text);
    if (made && gateway !== undefined && made.gateway !== gateway) {
      throw wrong(`the gateway of ${text} is ${gateway}, and was ${made.gateway} at ADD`);
    }
  }
}

/** Those of the runtime replace the config's; those of CNI_ARGS are added to them. */
function readAddresses(call: Call, ipam: Fields): StaticAddress[] {
  const { invocation, config } = call;
  const { IP, GATEWAY } = readCniArgs(invocation.args, ["IP", "GATEWAY"]);
  const named = ipam.objects("addresses").map((address): StaticAddress => ({
    prefix: readPrefix(address.text("address") ?? "", "the 'address' field is expected to be"),
    gateway: address.address("gateway"),
  }));
  for (const text of IP ? IP.split(",") : []) {
    named.push({ prefix: readPrefix(text.trim(), "the 'ip' field is expected to be") });
  }
  for (const text of GATEWAY ? GATEWAY.split(",") : []) {
    const gateway = parseAddress(text.trim());
    if (!gateway) throw wrong(`CNI_ARGS holds the gateway ${quote(text)}, which is no IP address`);
    for (const address of named) {
      if (contains(address.prefix, gateway)) address.gateway = showAddress(gateway);
    }
  }
  const asked = [
    config.object("runtimeConfig")?.texts("ips") ?? [],
    config.object("args")?.object("cni")?.texts("ips") ?? [],
  ].find((list) => list.length > 0);
  const addresses = asked
    ? asked.map((text) => ({ prefix: readPrefix(text, "an entry in the 'ips' field is NOT") }))
    : named;
  requireOneEach(call, addresses.map(({ prefix }) => prefix.family));
  return addresses;
}

/** @param wanted the reference's words, which callers may look for */
function readPrefix(text: string, wanted: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix) return prefix;
  throw wrong(`${wanted} in CIDR notation, got: '${text}'`);
}
