/** The isolator of a service: the same, and it counts what its plugins and operations do. */
import { CniError } from "../cni/error.ts";
import type { Plugin } from "../cni/invocation.ts";
import { OperatorError } from "../base/error.ts";
import { Pace } from "../base/pace.ts";
import { sharing } from "../base/sharing.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import { agentMetrics } from "../facts/metrics.ts";
import type { Swept } from "../isolator/gc/sweep.ts";
import { knownContainers } from "../containers/ids.ts";
import { Isolator, type PluginCall } from "../isolator/isolator.ts";
import type { Recovered } from "../isolator/recover.ts";
import { Counter, Histogram } from "../base/prometheus.ts";

/** What one thread has counted, on its way to another. */
export type Counts = ReturnType<(Counter | Histogram)["drain"]>[];

/** Operations by which interfaces come and go. */
const CHANGING: readonly string[] = ["isolate", "cleanup"];

export class MeasuredIsolator extends Isolator {
  /** In the order in which they are told. */
  readonly #counted = {
    attaches: new Counter("mesos_cni_attaches_total", "Interfaces that were made, by network."),
    detaches: new Counter(
      "mesos_cni_detaches_total",
      "Interfaces that were taken away, by network.",
    ),
    failures: new Counter(
      "mesos_cni_failures_total",
      "Operations that failed, by the code of the error.",
    ),
    durations: new Histogram(
      "mesos_cni_operation_duration_seconds",
      "How long operations took, their plugins included.",
    ),
    pluginFailures: new Counter(
      "mesos_cni_plugin_failures_total",
      "Calls of plugins that failed, by the error code of CNI.",
    ),
    pluginDurations: new Histogram(
      "mesos_cni_plugin_duration_seconds",
      "How long calls of plugins took.",
    ),
    leaks: new Counter(
      "mesos_cni_leaks_total",
      "What no live container owned, found by recover and gc: removed, or failed to be.",
      ["removed", "failed"].map((outcome) => ({ kind: "container", outcome })),
    ),
  };
  readonly #all = Object.values(this.#counted);

  override plugin(type: string, call: PluginCall): Plugin {
    const plugin = super.plugin(type, call);
    return async (invocation) => {
      const labels = { plugin: type, command: invocation.command };
      const start = performance.now();
      try {
        return await plugin(invocation);
      } catch (error) {
        const code = error instanceof CniError ? error.cniCode : codeOf(error);
        this.#counted.pluginFailures.add({ ...labels, code });
        throw error;
      } finally {
        this.#counted.pluginDurations.observe(labels, (performance.now() - start) / 1000);
      }
    };
  }

  /** Measures an operation of one container, and counts the interfaces that come or go by it. */
  async measured<R>(
    operation: string,
    id: ContainerId,
    work: () => R | Promise<R>,
  ): Promise<R> {
    const start = performance.now();
    const before = CHANGING.includes(operation) ? this.#attached(id) : undefined;
    try {
      return await work();
    } catch (error) {
      this.#counted.failures.add({ operation, code: codeOf(error) });
      throw error;
    } finally {
      this.#counted.durations.observe({ operation }, (performance.now() - start) / 1000);
      const after = before && this.#attached(id);
      if (after) {
        count(this.#counted.attaches, after, before);
        count(this.#counted.detaches, before, after);
      }
    }
  }

  /** Measures a recovery, which cleans up many containers. */
  async measuredRecovery(work: () => Promise<Recovered[]>): Promise<Recovered[]> {
    const { layout } = this.settings;
    const before = new Map<ContainerId, Map<string, string>>();
    const pace = new Pace();
    for (const id of knownContainers(layout)) {
      before.set(id, this.#attached(id));
      await pace.rest();
    }
    const start = performance.now();
    const recovered = await work();
    this.#counted.durations.observe({ operation: "recover" }, (performance.now() - start) / 1000);
    for (const { container, outcome } of recovered) {
      if (outcome !== "removed" && outcome !== "failed") continue;
      this.#counted.leaks.add({ kind: "container", outcome });
      count(this.#counted.detaches, before.get(container) ?? new Map(), this.#attached(container));
    }
    return recovered;
  }

  /** Counts what a garbage collection has done. */
  swept(garbage: readonly Swept[]): void {
    for (const { kind, outcome } of garbage) {
      if (outcome !== "found") this.#counted.leaks.add({ kind, outcome });
    }
  }

  /** What was counted since the last time, and is to be counted elsewhere. */
  drain(): Counts {
    return this.#all.map((one) => one.drain());
  }

  /** Counts what another isolator of this service has done. */
  absorb(counts: Counts): void {
    // Each takes back what one of its own kind gave.
    this.#all.forEach((one, i) => one.absorb(counts[i] as never));
  }

  /** What is wrong here, as metrics; those who ask together have one reading. */
  readonly health = sharing(() => {
    const { layout, cni } = this.settings;
    return agentMetrics({
      layout,
      plugins: this.registry,
      pluginsDir: cni?.pluginsDir,
      catalog: cni && (() => this.networks),
    });
  });

  /** Everything, for `GET /metrics`. */
  metrics(): string {
    return this.#all.join("");
  }

  /** The interfaces that a container has, whose networks they are on. */
  #attached(id: ContainerId): Map<string, string> {
    const { layout } = this.settings;
    const attachments = layout.listAttachments(id).filter(({ network, ifName }) =>
      readCheckpoint(layout.result(id, network, ifName)) !== undefined
    );
    return new Map(attachments.map(({ network, ifName }) => [`${network}/${ifName}`, network]));
  }
}

/** Counts, by network, what is in one set and not in the other. */
function count(counter: Counter, set: Map<string, string>, without: Map<string, string>): void {
  for (const [key, network] of set) {
    if (!without.has(key)) counter.add({ network });
  }
}

function codeOf(error: unknown): string {
  return error instanceof OperatorError ? error.code : "defect";
}
