/** What the portmap of containernetworking/plugins left of a container, in either of its backends. */
import { removeReferencePorts } from "../../lib/firewall/attachment_chains.ts";
import { FAMILIES, Firewall } from "../../lib/firewall/firewall.ts";
import { removeTablePorts } from "../../lib/firewall/hostport_table.ts";
import type { Call } from "../shared/standard_plugin.ts";

/** @throws {OperatorError} */
export async function removeReferenceRules(call: Call): Promise<void> {
  const chains = await removeReferencePorts(call);
  for (const firewall of await Firewall.every(call.invocation.path)) {
    await firewall.change({
      families: FAMILIES,
      plan: (view) => [
        ...chains(view),
        ...firewall.kinds[4] === "nf_tables" ? removeTablePorts(call.containerId) : [],
      ],
      what: `remove the rules of portmap for ${call.containerId}`,
    });
  }
}
