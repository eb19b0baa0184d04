/** What the portmap of containernetworking/plugins left of a container, in either of its backends. */
import { removeAttached } from "../../lib/firewall/attachment_chains.ts";
import { Firewall } from "../../lib/firewall/firewall.ts";
import { removeTablePorts } from "../../lib/firewall/reference_ports.ts";
import type { Call } from "../shared/standard_plugin.ts";

/** @throws {OperatorError} */
export async function removeReferenceRules(call: Call): Promise<void> {
  const chains = await removeAttached(call, "ports");
  await Firewall.changeEvery(call.invocation.path, {
    plan: (view, kind) => [
      ...chains(view),
      ...kind === "nf_tables" ? removeTablePorts(call.containerId) : [],
    ],
    what: `remove the rules of portmap for ${call.containerId}`,
  });
}
