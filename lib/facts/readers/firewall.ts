/** Whether the host's filter lets through what containers send: a policy that drops, and no rule that accepts. */
import type { Family } from "../../base/ip.ts";
import type { Place } from "../../firewall/rule.ts";
import type { FirewallView } from "../../firewall/view.ts";
import type { Agent } from "../agent.ts";
import { type Cause, cause } from "../cause.ts";
import { type Look, nothing, saw } from "../look.ts";
import { routedFamilies } from "./agent.ts";

export async function readForwardPolicy(agent: Agent): Promise<Look> {
  const families = routedFamilies(agent);
  if (families.length === 0) return nothing("it is no container's gateway");
  const views = await agent.rules.every();
  const seen = views.flatMap((view) =>
    families.map((family) => ({ view, family, policy: view.policy(forwardOf(family)) }))
  );
  return saw(
    seen.map(({ family, policy }) => `FORWARD of IPv${family}: ${policy ?? "not there"}`).join(
      ", ",
    ),
    seen.filter(({ view, family, policy }) =>
      policy === "DROP" && !accepts(view, forwardOf(family), new Set())
    ).map(({ family }) => policyDrop(family)),
  );
}

function forwardOf(family: Family): Place {
  return { family, table: "filter", chain: "FORWARD" };
}

/** Whether a chain, or one that it leads to, has any rule that accepts more than answers. */
function accepts(view: FirewallView, place: Place, entered: Set<string>): boolean {
  if (entered.has(place.chain)) return false;
  entered.add(place.chain);
  return view.rules(place).some(({ target, states }) => {
    if (!target) return false;
    if ("verdict" in target) return target.verdict === "ACCEPT" && (!states || states.not === true);
    const chain = "jump" in target ? target.jump : "goto" in target ? target.goto : undefined;
    return chain !== undefined && accepts(view, { ...place, chain }, entered);
  });
}

function policyDrop(family: Family): Cause {
  const program = family === 4 ? "iptables" : "ip6tables";
  const of = family === 4 ? "ip" : "ip6";
  return cause("policy_drop", ["iptables", "agent"], {
    family,
    rule: { program, family: of, table: "filter", chain: "FORWARD", text: "policy DROP" },
  }, ["no rule of FORWARD, nor of a chain that it leads to, accepts what a container sends"]);
}
