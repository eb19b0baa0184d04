/**
 * macvlan: an interface with a hardware address of its own on one of the host's (the reference's
 * plugins/main/macvlan).
 */
import type { Plugin } from "../../lib/cni/invocation.ts";
import { MACVLAN_MODES } from "../../lib/netlink/link_changes.ts";
import { readCniArgs } from "../shared/cni_args.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { innerPlugin } from "../shared/inner_plugin.ts";
import { readMac } from "../shared/mac.ts";
import { announced, findMaster, makeStacked, readMode, readMtu } from "../shared/stacked_link.ts";
import { type Call, standardPlugin } from "../shared/standard_plugin.ts";
import { IFLA } from "../../lib/netlink/numbers.ts";

export const macvlan: Plugin = standardPlugin(innerPlugin({
  kind: "macvlan",
  addresses: "optional",
  settings: announced,
  plan(call, host, container) {
    const mode = readMode(call, MACVLAN_MODES, "bridge");
    const mac = readWantedMac(call);
    const master = findMaster(call, host, container);
    const mtu = readMtu(call, master);
    const broadcastQueueLength = call.config.integer("bcqueuelen");
    const kind = { kind: "macvlan", mode, broadcastQueueLength } as const;
    return (index) => makeStacked(call, index, container, master, kind, { mtu, mac });
  },
  verify(call, host, container) {
    findMaster(call, host, container);
    const wanted = readMode(call, MACVLAN_MODES, "bridge");
    const found = container.describeLink(call.ifName)?.data.u32(IFLA.MACVLAN_MODE);
    if (found !== MACVLAN_MODES[wanted]) {
      throw wrong(`the mode of ${call.ifName} is not ${wanted} any more`);
    }
  },
}));

function readWantedMac({ config, invocation }: Call): string | undefined {
  const { MAC } = readCniArgs(invocation.args, ["MAC"]);
  const mac = config.object("runtimeConfig")?.text("mac") || MAC || config.text("mac");
  return mac ? readMac(mac) : undefined;
}
