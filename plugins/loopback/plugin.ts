/** loopback: the container's lo, up (the reference's plugins/main/loopback). */
import type { Plugin } from "../../lib/cni/invocation.ts";
import { readResult, type Result } from "../../lib/cni/result.ts";
import { isLoopback } from "../../lib/base/ip.ts";
import { setLink } from "../../lib/netlink/link_changes.ts";
import { Netlink } from "../../lib/netlink/mod.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { openNamespace } from "../shared/namespace.ts";
import { type Call, type LiveCall, standardPlugin } from "../shared/standard_plugin.ts";

/** Whatever name the caller has for it. */
const NAME = "lo";

export const loopback: Plugin = standardPlugin({
  // As the reference's, which runtimes of old versions have learnt to read.
  newestForm: true,
  add,
  del,
  check,
});

function add({ netns, config }: LiveCall): Result {
  const before = config.object("prevResult");
  const previous = before && readResult(before.value, "prevResult");
  using container = Netlink.open(netns);
  container.setLinkUp(NAME);
  const { index } = container.link(NAME);
  const addresses = container.addressesOf(index);
  const foreign = addresses.find(({ address }) => !isLoopback(address));
  if (foreign) throw wrong(`lo has the address ${foreign.address}, which is no loopback address`);
  if (previous) return previous;
  const firsts = ["inet", "inet6"].flatMap((family) =>
    addresses.filter((one) => one.family === family).slice(0, 1)
  );
  return {
    interfaces: [{ name: NAME, mac: "00:00:00:00:00:00", sandbox: netns }],
    ips: firsts.map(({ address, prefixLength }) => ({
      address: `${address}/${prefixLength}`,
      interface: 0,
    })),
    routes: [],
    dns: {},
  };
}

function del({ netns }: Call): void {
  using container = openNamespace(netns);
  const link = container?.link(NAME);
  if (link) container!.change(setLink(link.index, NAME, { up: false }));
}

function check({ netns }: LiveCall): void {
  using container = Netlink.open(netns);
  if (!container.link(NAME).flags.includes("UP")) throw wrong("the container's lo is down");
}
