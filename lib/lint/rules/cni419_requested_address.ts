import type { Node } from "jsonc-parser";
import { contains, parseAddress, parsePrefix } from "../../base/prefix.ts";
import { addressingOf, bounds, isPromised } from "../addressing.ts";
import type { WrittenRule } from "../rule.ts";
import { field, items, kindOf, quote, text } from "../tree.ts";
import { bridge } from "./example.ts";

export const rule: WrittenRule = {
  code: "CNI419",
  name: "requested-address",
  title: "an address that args or runtimeConfig asks for can't be given",
  why:
    '"args": {"cni": {"ips": […]}}, and "ips" of runtimeConfig, are read by host-local and static. ' +
    "host-local refuses an address that is in none of its ranges; static takes these addresses in place " +
    "of its own, and each needs its prefix length.",
  bad: bridge({ args: { cni: { ips: ["10.2.0.5"] } } }),
  good: bridge({ args: { cni: { ips: ["10.1.0.5"] } } }),
  *ofPlugin(plugin) {
    const isStatic = plugin.ipamType === "static";
    if (!isStatic && plugin.ipamType !== "host-local") return;
    const example = isStatic ? '["10.1.0.5/16"]' : '["10.1.0.5"]';
    const runtime = plugin.field("runtimeConfig");
    const lists = [field(field(plugin.field("args"), "cni"), "ips"), field(runtime, "ips")];
    const hasOtherRanges = runtime ? field(runtime, "ipRanges") : isPromised(plugin, "ipRanges");
    for (const list of lists) {
      if (list && list.type !== "array") yield ofWrongType(list, "a list", example);
      for (const node of items(list)) {
        const value = text(node);
        const address = value === undefined
          ? undefined
          : parsePrefix(value) ?? (isStatic ? undefined : parseAddress(value));
        if (value === undefined) yield ofWrongType(node, "a string", example);
        else if (!address) {
          yield {
            at: node,
            message: `${quote(value)} is no address${isStatic ? " with its prefix length" : ""}`,
            help: `write "ips": ${example}`,
          };
        } else if (!isStatic && !hasOtherRanges) {
          const { ranges } = addressingOf(plugin);
          const isGiven = ranges.some((range) => {
            const limits = bounds(range);
            return !limits || contains(limits, address);
          });
          if (isGiven || ranges.length === 0) continue;
          yield {
            at: node,
            message: `${quote(value)} is in none of the ranges that host-local gives from`,
            help: "ask for an address of a range",
          };
        }
      }
    }
  },
};

function ofWrongType(at: Node, wanted: string, example: string) {
  return {
    at,
    message: `"ips" holds ${kindOf(at)} where ${wanted} belongs`,
    help: `write "ips": ${example}`,
  };
}
