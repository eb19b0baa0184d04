/** What is wrong with an agent and its containers, as numbers: each cause with how many have it. */
import { Pace } from "../base/pace.ts";
import { gauge, gauges } from "../base/prometheus.ts";
import { Agent, type Sources } from "./agent.ts";
import { isProblem } from "./cause.ts";
import { agentHealth, healthOfEach } from "./facts.ts";

/** @param codes of what is wrong, for the agent and each container. @param unread how much was not */
export function healthMetrics(
  containers: number,
  codes: readonly (readonly string[])[],
  unread: number,
): string {
  const counts = Map.groupBy(codes.flatMap((all) => [...new Set(all)]), (code) => code);
  return gauge(
    "mesos_cni_containers",
    "Containers that have left anything on disk.",
    containers,
  ) + gauges(
    "mesos_cni_causes",
    "What is wrong, by its code, with how many containers or the agent have it.",
    [...counts].map(([cause, all]) => [{ cause }, all.length]),
  ) + gauge(
    "mesos_cni_unread",
    "What could not be read of the agent and its containers, and so is not judged.",
    unread,
  );
}

/** The same of an agent that is read for it. */
export async function agentMetrics(sources: Sources): Promise<string> {
  using agent = await Agent.read(sources);
  const healths = [await agentHealth(agent)]; // and those of the containers
  // A service has others to answer meanwhile.
  const pace = new Pace();
  for await (const [, health] of healthOfEach(agent)) {
    healths.push(health);
    await pace.rest();
  }
  return healthMetrics(
    healths.length - 1,
    healths.map(({ causes }) => causes.filter(isProblem).map(({ code }) => code)),
    healths.reduce((sum, { unread }) => sum + unread.length, 0),
  );
}
