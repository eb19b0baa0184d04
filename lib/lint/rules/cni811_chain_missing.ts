import type { Rule } from "../rule.ts";
import { quote, text } from "../tree.ts";
import { bridgeFields, list } from "./example.ts";

export const rule: Rule = {
  code: "CNI811",
  name: "mark-chain-missing",
  severity: "error",
  title: "portmap is to use a chain that is not on this machine",
  why: '"externalSetMarkChain" is a chain of the nat table that another program keeps, such as ' +
    "KUBE-MARK-MASQ of kube-proxy. Where it is missing, iptables refuses the rule that leads there, and " +
    "no container with a port mapping can be attached.",
  bad: list(bridgeFields(), {
    type: "portmap",
    capabilities: { portMappings: true },
    externalSetMarkChain: "KUBE-MARK-MASQ",
  }),
  needs: "--probe, on a machine without kube-proxy",
  good: list(bridgeFields(), { type: "portmap", capabilities: { portMappings: true } }),
  *ofPlugin(plugin, { machine }) {
    const node = plugin.type === "portmap" ? plugin.field("externalSetMarkChain") : undefined;
    const chain = text(node);
    if (!machine || !chain || !machine.iptablesVersion()) return;
    if (machine.hasNatChain(chain) !== false) return;
    yield {
      at: node,
      message: `there is no chain ${quote(chain)} in the nat table of this machine`,
      help: 'delete it, or use "markMasqBit"',
    };
  },
};
