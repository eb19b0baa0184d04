/** What is wrong with the agent and its containers, as numbers: each cause with how many have it. */
import { Agent } from "../facts/agent.ts";
import { isProblem } from "../facts/cause.ts";
import { agentHealth, healthOf } from "../facts/facts.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { gauges } from "./metrics.ts";

export async function healthMetrics(isolator: Isolator): Promise<string> {
  const { layout, cni } = isolator.settings;
  using agent = new Agent({
    layout,
    plugins: isolator.registry,
    pluginsDir: cni?.pluginsDir,
    catalog: cni && (() => isolator.networks),
  });
  const counts = new Map<string, number>();
  const healths = [await agentHealth(agent)];
  for (const container of agent.containers) healths.push(await healthOf(agent, container));
  for (const { causes } of healths) {
    for (const code of new Set(causes.filter(isProblem).map((one) => one.code))) {
      counts.set(code, (counts.get(code) ?? 0) + 1);
    }
  }
  return gauges(
    "mesos_cni_causes",
    "What is wrong, by its code, with how many containers or the agent have it.",
    [...counts].map(([cause, count]) => [{ cause }, count]),
  ) + gauges(
    "mesos_cni_unread",
    "What could not be read of the agent and its containers, and so is not judged.",
    [[{}, healths.reduce((sum, { unread }) => sum + unread.length, 0)]],
  );
}
