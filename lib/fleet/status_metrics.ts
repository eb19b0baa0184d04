/** An agent's status in the text format of Prometheus, under the names that the service's metrics have. */
import { gauge, gauges, sums } from "../base/prometheus.ts";
import { healthMetrics } from "../facts/metrics.ts";
import type { AgentStatus } from "./agent_status.ts";

export function statusMetrics(status: AgentStatus): string {
  const { containers, networks, history, firewall, agent } = status;
  const ports = Map.groupBy(
    containers.all.flatMap(({ networks, ports }) => ports.map(() => networks.join("+"))),
    (network) => network,
  );
  const ofRanges = (value: (one: typeof networks.ranges[number]) => string | number) =>
    networks.ranges.map((one): [Record<string, string>, number] => [
      { network: one.network, subnet: one.subnet },
      Number(value(one)),
    ]);
  const last = history.lastAttach;
  return [
    gauges("mesos_cni_build_info", "This program.", [[{ version: status.version }, 1]]),
    healthMetrics(
      containers.count,
      [status.causes, ...containers.unwell.map(({ causes }) => causes)]
        .map((causes) => causes.map(({ code }) => code)),
      status.unread.length,
    ),
    gauge("mesos_cni_agent_up", "Whether a Mesos agent runs here.", agent ? 1 : 0),
    gauges(
      "mesos_cni_forwarding",
      "Whether the agent forwards what containers send, by family.",
      Object.entries(status.forwarding).map(([family, is]) => [{ family }, is ? 1 : 0]),
    ),
    gauges("mesos_cni_firewall_info", "Where rules of iptables are made.", [
      [{ kind: "kind" in firewall ? firewall.kind : "unknown" }, 1],
    ]),
    gauges(
      "mesos_cni_plugin_info",
      "The plugins of the agent's networks, who runs as them, and the version that says.",
      status.plugins.map(({ type, program, version }) => [{ plugin: type, program, version }, 1]),
    ),
    gauges(
      "mesos_cni_addresses_used",
      "Addresses that host-local has leased.",
      ofRanges(({ used }) => used),
    ),
    gauges(
      "mesos_cni_addresses_free",
      "Addresses that host-local can still lease.",
      ofRanges(({ free }) => free),
    ),
    gauges(
      "mesos_cni_mapped_ports",
      "Ports of the agent that lead to containers, by the container's networks.",
      [...ports].map(([network, all]) => [{ network }, all.length]),
    ),
    gauge(
      "mesos_cni_skipped_configs",
      "Files of the directory of networks that the agent can't use.",
      networks.skipped.length,
    ),
    gauges(
      "mesos_cni_lint_errors",
      "Errors of lint, by file.",
      status.lint.map(({ file, errors }) => [{ file }, errors]),
    ),
    ...last === undefined ? [] : [
      gauge(
        "mesos_cni_last_attach_timestamp_seconds",
        "When a container was last given an interface.",
        Date.parse(last.time) / 1000,
      ),
      gauge(
        "mesos_cni_last_attach_duration_seconds",
        "How long that took, without the start of the plugin.",
        last.ms / 1000,
      ),
    ],
    sums(
      "mesos_cni_plugin_failures_total",
      "Calls of plugins that failed, by the error code of CNI.",
      history.failures.map(({ count, ...labels }) => [labels, count]),
    ),
  ].join("");
}
