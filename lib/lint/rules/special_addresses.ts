/** CNI4xx: addresses that are set aside for something else than hosts. */
import { contains, type Prefix } from "../../base/prefix.ts";
import { addressingOf, prefixesOf, usesGateway } from "../addressing.ts";
import type { PluginNode } from "../document.ts";
import type { WrittenRule } from "../rule.ts";
import { schemaOf } from "../schemas/mod.ts";
import { quote } from "../tree.ts";
import { bridge } from "./example.ts";

export const SPECIAL_ADDRESSES: readonly WrittenRule[] = [
  {
    code: "CNI415",
    name: "special-addresses",
    severity: "warning",
    title: "containers get addresses that are no good for hosts",
    why:
      "Loopback, multicast and link-local addresses are not routed, and in IPv6 only unique local " +
      "(fc00::/7) and global unicast (2000::/3) addresses are: traffic to others never leaves the " +
      "container, or never comes back. The kernel refuses a multicast address of IPv6: that is an error.",
    bad: bridge({}, { subnet: "fe80::/64", routes: [{ dst: "::/0" }] }),
    good: bridge({}, { subnet: "fd00:1::/64", routes: [{ dst: "::/0" }] }),
    *ofPlugin(plugin) {
      const { ranges } = addressingOf(plugin);
      // Where a range is outside its subnet, the subnet is the mistake.
      const mistaken = ranges.filter(({ subnet, start }) =>
        subnet?.value && start?.value && !contains(subnet.value, start.value)
      ).map((range) => range.subnet);
      for (const { prefix: subnet } of prefixesOf(plugin)) {
        const use = subnet?.value && specialUse(subnet.value);
        if (!use) continue;
        yield {
          at: subnet.node,
          // There is nothing left that is not in the subnet; host-local gives nothing away.
          severity: subnet.value!.length === 0 || isRefused(subnet.value!, plugin) ||
              mistaken.includes(subnet)
            ? "error"
            : undefined,
          message: `${quote(subnet.node.value)} is ${use}`,
          help: subnet.value!.family === 4
            ? "use a private network: 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"
            : "use a unique local prefix (fdXX:XXXX:XXXX::/48, RFC 4193) or one of your own",
        };
      }
    },
  },
];

/**
 * net/ipv6/addrconf.c: "Cannot assign multicast address"; net/ipv4/fib_semantics.c takes no
 * next hop but a unicast address.
 */
function isRefused({ family, first }: Prefix, plugin: PluginNode): boolean {
  return family === 6
    ? first >> 120n === 0xffn
    : first >> 28n === 0xen && usesGateway(plugin, 4) && schemaOf(plugin)?.kind === "main";
}

function specialUse({ family, first, length }: Prefix): string | undefined {
  if (length === 0) return "all addresses there are";
  if (family === 4) {
    const top = Number(first >> 24n);
    if (length < 8) return undefined; // wider than any special network
    if (top === 0) return "in 0.0.0.0/8, which means this network";
    if (top === 127) return "loopback, which never leaves a host";
    if (top >= 224) return "multicast or reserved, not for hosts";
    if (first >> 16n === 0xa9fen && length >= 16) return "link-local, which is not routed";
    return undefined;
  }
  if (first >> 125n === 1n || first >> 121n === 0x7en) return undefined;
  if (first >> 120n === 0xffn) return "multicast, not for hosts";
  if (first >> 118n === 0xfe80n >> 6n) return "link-local, which is not routed";
  return "neither unique local (fc00::/7) nor global unicast (2000::/3)";
}
