/** dummy: an interface that leads nowhere, for its address (the reference's plugins/main/dummy). */
import type { Plugin } from "../../lib/cni/invocation.ts";
import { addLink } from "../../lib/netlink/link_changes.ts";
import { innerPlugin } from "../shared/inner_plugin.ts";
import { standardPlugin } from "../shared/standard_plugin.ts";

export const dummy: Plugin = standardPlugin(innerPlugin({
  kind: "dummy",
  addresses: "required",
  keepsDns: true,
  plan: ({ ifName }, _host, container) => (index) => {
    container.change(addLink({ name: ifName, index, kind: { kind: "dummy" } }));
    return container.link(ifName);
  },
}));
