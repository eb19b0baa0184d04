import { prefixesOf } from "../addressing.ts";
import type { PluginNode } from "../document.ts";
import type { Rule } from "../rule.ts";
import { bridge } from "./example.ts";

/** RFC 8200, section 5; the kernel's IPV6_MIN_MTU. */
const LEAST = 1280;

export const rule: Rule = {
  code: "CNI420",
  name: "mtu-below-ipv6",
  severity: "error",
  title: "the MTU is too small for the container's IPv6 address",
  why:
    "IPv6 needs links of at least 1280 bytes. On one with less, the kernel has no IPv6: the plugin " +
    "fails to set the address. tuning, which comes later, takes the address away: a warning.",
  bad: bridge({ mtu: 1200 }, { subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }),
  good: bridge({ mtu: 1280 }, { subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }),
  *ofPlugin(plugin) {
    const mtu = plugin.field("mtu");
    if (mtu?.type !== "number" || mtu.value < 68 || mtu.value >= LEAST) return;
    const isTuning = plugin.type === "tuning";
    if (![plugin, ...isTuning ? plugin.document.plugins : []].some(hasIpv6)) return;
    yield {
      at: mtu,
      severity: isTuning ? "warning" : "error",
      message: `IPv6 needs an MTU of at least ${LEAST}, and the container gets an IPv6 address`,
      help: `write ${LEAST} or more, or give IPv4 addresses alone`,
    };
  },
};

function hasIpv6(plugin: PluginNode): boolean {
  return prefixesOf(plugin).some(({ prefix }) => prefix?.value?.family === 6);
}
