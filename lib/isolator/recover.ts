/** After a restart: what is on disk against what still lives. */
import { OperatorError } from "../base/error.ts";
import { log, reasonOf } from "../base/log.ts";
import { Pace } from "../base/pace.ts";
import { HostRules } from "../firewall/host_rules.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Recovery } from "../mesos/messages.ts";
import { cleanup } from "./cleanup.ts";
import { concurrently } from "./concurrently.ts";
import type { Isolator } from "./isolator.ts";
import { ProcessTable } from "../kernel/processes.ts";
import { Sight } from "../netlink/sight.ts";
import { collectNetworks } from "./gc/plugins.ts";
import { readAttachment } from "../containers/checkpoint.ts";
import type { Attachment } from "../containers/layout.ts";
import { elsewhere, fateOf, isOfAnotherBoot } from "../containers/liveness.ts";
import { readRequest } from "../containers/request.ts";
import { shareContainersDirectory } from "./shared_directory.ts";

/** What was done about each container. */
export interface Recovered {
  container: ContainerId;
  /**
   * `kept`: it goes on; `left`: a known orphan, whose cleanup is the containerizer's;
   * `removed`: nobody's, and cleaned up now; `failed`: the same, but it is still there, or it
   * could not be told whether it lives.
   */
  outcome: "kept" | "left" | "removed" | "failed";
  /** What failed: with `kept`, its repair. */
  error?: string;
  /** Networks whose rules somebody had flushed, and which are back. */
  repaired?: string[];
}

/** How many containers are cleaned up at a time: each may have several plugins running. */
const WIDTH = 16;

/**
 * Removes the containers that nobody knows. One that fails doesn't stop the others: it is told of
 * in its `error`.
 *
 * @param known from the containerizer; without it, the containers with a process go on
 */
export async function recover(isolator: Isolator, known?: Recovery): Promise<Recovered[]> {
  const { layout } = isolator.settings;
  await shareContainersDirectory(layout);
  const containers = [...new Set([...layout.listContainers(), ...layout.listTraces()])].sort();
  // One walk of /proc for all. Looked at again, under its lock, is what is about to be removed.
  const look = async () => new Sight(await ProcessTable.look());
  const first = await look();
  const lives = (id: ContainerId, sight: Sight) => {
    if (known) return known.states.includes(id);
    const fate = fateOf(layout, id, readRequest(layout, id), sight);
    if (fate === "elsewhere") throw elsewhere(id);
    return fate === "lives";
  };
  const pace = new Pace();
  const recovered = await concurrently(
    WIDTH,
    containers,
    async (container): Promise<Recovered> => {
      await pace.rest();
      try {
        if (lives(container, first)) return { container, outcome: "kept" };
        if (known?.orphans.includes(container)) return { container, outcome: "left" };
        return await isolator.locks.hold(container, async (): Promise<Recovered> => {
          // Whoever had the lock may just have launched it.
          const now = known ? first : await look();
          if (lives(container, now)) return { container, outcome: "kept" };
          await cleanup(isolator, container);
          return { container, outcome: "removed" };
        });
      } catch (error) {
        return { container, outcome: "failed", error: reasonOf(error) };
      }
    },
  );
  const withPorts = await withRepairs(recovered, isolator.settings.path);
  const repaired = await withRules(isolator, withPorts, first);
  await tellPlugins(isolator);
  return repaired;
}

/** Whether a container's links and rules are in another network than this program's: here nobody finds them. */
function isInAnotherNetwork({ settings }: Isolator, id: ContainerId, sight: Sight): boolean {
  const request = readRequest(settings.layout, id);
  return request !== undefined && !isOfAnotherBoot(settings.layout, id, request) &&
    sight.isInAnotherNetwork(request.agent);
}

/** Puts the rules of live containers back that a reload of the firewall has taken away. */
async function withRepairs(recovered: Recovered[], path: string): Promise<Recovered[]> {
  if (!recovered.some(({ outcome }) => outcome === "kept")) return recovered;
  // Loaded only where there may be mappings: most recoveries have none to do with it.
  const { listOwners, restoreMissing } = await import("../ports/mod.ts");
  let known: Set<string> | undefined;
  try {
    known = new Set(listOwners().map(({ containerId }) => containerId));
    if (known.size === 0) return recovered;
    const owners = await restoreMissing(path);
    const repaired = Map.groupBy(owners, ({ containerId }) => containerId);
    return recovered.map((one) => {
      const own = repaired.get(one.container);
      return own ? { ...one, repaired: own.map(({ network }) => network) } : one;
    });
  } catch (error) {
    // The containers are recovered all the same; those that may lack rules say so.
    const message = `its port mappings could not be looked through: ${reasonOf(error)}`;
    return recovered.map((one) =>
      one.outcome === "kept" && (!known || known.has(one.container))
        ? { ...one, error: message }
        : one
    );
  }
}

/** The same for the rules of other plugins. */
async function withRules(
  isolator: Isolator,
  recovered: Recovered[],
  sight: Sight,
): Promise<Recovered[]> {
  const rules = new HostRules(isolator.settings.path);
  return await concurrently(WIDTH, recovered, async (one): Promise<Recovered> => {
    if (one.outcome !== "kept") return one;
    if (isInAnotherNetwork(isolator, one.container, sight)) {
      return { ...one, error: one.error ?? elsewhere(one.container).message };
    }
    try {
      const repaired = new Set(one.repaired);
      for (const attachment of isolator.settings.layout.listAttachments(one.container)) {
        const isRepaired = await repairAttachment(isolator, one.container, attachment, rules);
        if (isRepaired) repaired.add(attachment.network);
      }
      return repaired.size === 0 ? one : { ...one, repaired: [...repaired] };
    } catch (error) {
      const message = `its plugins' rules could not be looked through: ${reasonOf(error)}`;
      return { ...one, error: one.error ?? message };
    }
  });
}

/**
 * Puts back what is known of the types of an attachment's plugins.
 *
 * @returns whether anything was missing and is back
 * @throws {OperatorError}
 */
async function repairAttachment(
  isolator: Isolator,
  containerId: ContainerId,
  attachment: Attachment,
  rules: HostRules,
): Promise<boolean> {
  const { settings: { layout, path }, registry } = isolator;
  const { plugins, result } = readAttachment(layout, containerId, attachment);
  if (!result) return false;
  const live = { ...attachment, containerId, result, path };
  let repaired = false;
  for (const config of plugins) {
    const { missing, repair } = registry.get(String(config.type)) ?? {};
    const lost = await missing?.(config, live, rules);
    if (lost) repaired = await repair!(config, live, lost) || repaired;
  }
  return repaired;
}

/** Lets the plugins give back what they hold for others (GC of specification 1.1). */
async function tellPlugins(isolator: Isolator): Promise<void> {
  try {
    for (const { network, error } of await collectNetworks(isolator)) {
      if (error) log.error("a network's plugins failed to collect garbage", { network, error });
    }
  } catch (error) {
    // The containers are recovered all the same, without the networks' directory say.
    if (!(error instanceof OperatorError)) throw error;
    log.error("no network's plugins could be told to collect garbage", { error: error.message });
  }
}
