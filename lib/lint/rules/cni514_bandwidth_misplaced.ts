import type { PluginNode } from "../document.ts";
import type { WrittenRule } from "../rule.ts";
import { bridgeFields, list } from "./example.ts";

const RATES = {
  type: "bandwidth",
  ...{ ingressRate: 8_000_000, ingressBurst: 80_000 },
  ...{ egressRate: 8_000_000, egressBurst: 80_000 },
};

/** Plugins whose interfaces have no end on the host, or one that is not in the result. */
const WITHOUT_END = ["macvlan", "ipvlan", "vlan", "host-device", "dummy", "tap", "loopback"];

export const rule: WrittenRule = {
  code: "CNI514",
  name: "bandwidth-misplaced",
  title: "bandwidth stands where it can't limit anything",
  why:
    "bandwidth limits the traffic at the host's end of a container's veth, which bridge and ptp make and " +
    "macvlan, ipvlan, vlan and host-device don't. A second one in a list finds the first one's queue there.",
  bad: list(bridgeFields(), RATES, RATES),
  good: list(bridgeFields(), RATES),
  *ofNetwork({ plugins }) {
    const listed = plugins.filter(({ role, outer }) => role === "listed" && !outer);
    const [first] = listed.filter(limits);
    for (const plugin of listed.filter(limits)) {
      const maker = listed[0]!.type;
      const isAlone = maker !== undefined && WITHOUT_END.includes(maker);
      if (plugin === first && !isAlone) continue;
      yield {
        at: plugin.typeNode,
        message: isAlone
          ? `bandwidth needs the host's end of a veth, and ${maker} makes none`
          : "a second bandwidth finds the first one's queue there, and fails",
        help: isAlone ? "limit it elsewhere, or use bridge or ptp" : "write all rates into one",
      };
    }
  },
};

/** Without a rate, it passes the result on. */
function limits(plugin: PluginNode): boolean {
  return plugin.type === "bandwidth" &&
    ["ingressRate", "egressRate"].some((key) => (plugin.field(key)?.value ?? 0) !== 0);
}
