import { addressingOf } from "../addressing.ts";
import type { Rule } from "../rule.ts";
import { network } from "./example.ts";

const ptp = (address: Record<string, unknown>) =>
  network({
    type: "ptp",
    ipam: { type: "static", addresses: [address], routes: [{ dst: "0.0.0.0/0" }] },
  });

export const rule: Rule = {
  code: "CNI421",
  name: "gateway-missing",
  severity: "error",
  title: "ptp is given an address without a gateway",
  why:
    "ptp sends all of a container's traffic to the gateway, which is the host's end of its wire. " +
    "host-local names one for each address; static only what the file has.",
  bad: ptp({ address: "10.1.0.5/16" }),
  good: ptp({ address: "10.1.0.5/16", gateway: "10.1.0.1" }),
  *ofPlugin(plugin) {
    if (plugin.type !== "ptp") return;
    for (const { node, address, gateway } of addressingOf(plugin).fixed) {
      if (!address?.value || gateway) continue;
      yield {
        at: node,
        message: "ptp needs a gateway for each address, and static names none here",
        help: 'add "gateway", an address of the subnet',
      };
    }
  },
};
