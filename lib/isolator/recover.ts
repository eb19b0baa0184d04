/** After a restart: what is on disk against what still lives. */
import { messageOf } from "../base/error.ts";
import { log } from "../base/log.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Recovery } from "../mesos/messages.ts";
import { cleanup } from "./cleanup.ts";
import { concurrently } from "./concurrently.ts";
import type { Isolator } from "./isolator.ts";
import { isAlive } from "../containers/liveness.ts";
import { readRequest } from "../containers/request.ts";
import { shareContainersDirectory } from "./shared_directory.ts";

/** What was done about each container. */
export interface Recovered {
  container: ContainerId;
  /**
   * `kept`: it goes on; `left`: a known orphan, whose cleanup is the containerizer's;
   * `removed`: nobody's, and cleaned up now; `failed`: the same, but it is still there.
   */
  outcome: "kept" | "left" | "removed" | "failed";
  error?: string;
  /** Networks whose port mappings somebody had flushed, and which are back. */
  repaired?: string[];
}

/** How many containers are cleaned up at a time: each may have several plugins running. */
const WIDTH = 16;

/**
 * Removes the containers that nobody knows. One that fails doesn't stop the others.
 *
 * @param known from the containerizer; without it, the containers with a process go on
 */
export async function recover(isolator: Isolator, known?: Recovery): Promise<Recovered[]> {
  const { layout } = isolator.settings;
  await shareContainersDirectory(layout);
  const lives = known
    ? (id: ContainerId) => known.states.includes(id)
    : (id: ContainerId) => isAlive(layout, id, readRequest(layout, id));
  const containers = [...new Set([...layout.listContainers(), ...layout.listTraces()])].sort();
  const recovered = await concurrently(
    WIDTH,
    containers,
    async (container): Promise<Recovered> => {
      try {
        if (lives(container)) return { container, outcome: "kept" };
        if (known?.orphans.includes(container)) return { container, outcome: "left" };
        return await isolator.locks.hold(container, async (): Promise<Recovered> => {
          // Whoever had the lock may just have launched it.
          if (lives(container)) return { container, outcome: "kept" };
          await cleanup(isolator, container);
          return { container, outcome: "removed" };
        });
      } catch (error) {
        return { container, outcome: "failed", error: messageOf(error) };
      }
    },
  );
  try {
    return await withRepairs(recovered);
  } catch (error) {
    // The containers are recovered all the same.
    log.error("port mappings could not be looked through", { error: messageOf(error) });
    return recovered;
  }
}

/** Puts the rules of live containers back that a reload of the firewall has taken away. */
async function withRepairs(recovered: Recovered[]): Promise<Recovered[]> {
  if (!recovered.some(({ outcome }) => outcome === "kept")) return recovered;
  // Loaded only where there may be mappings: most recoveries have none to do with it.
  const { listOwners, restoreMissing } = await import("../ports/mod.ts");
  if (listOwners().length === 0) return recovered;
  const owners = await restoreMissing();
  return recovered.map((one) => {
    const own = owners.filter(({ containerId }) => containerId === one.container);
    return own.length === 0 ? one : { ...one, repaired: own.map(({ network }) => network) };
  });
}
