/** What is known of the agent's networks, for the readers of facts about the agent itself. */
import type { Sources } from "../facts/agent.ts";
import type { Catalog } from "../cni/catalog.ts";
import type { Program } from "./command.ts";
import { runningAgent } from "./found_values.ts";
import { readProcFile } from "../kernel/files.ts";
import { SOCKET } from "./isolator_serve.ts";

/** @param cni where the agent's configs and plugins are; absent where unknown */
export function networkSources(
  program: Program,
  cni: { configDir: string; pluginsDir: string } | undefined,
  catalog: () => Pick<Catalog, "names" | "read">,
): Omit<Sources, "layout" | "plugins"> {
  return {
    pluginsDir: cni?.pluginsDir,
    catalog: cni && catalog,
    lint: cni &&
      (async () => (await import("./lint.ts")).errorsIn(program, cni.configDir)),
    // What an agent's own isolator calls is in its directory, whatever this program contains.
    isStock: runningAgent() !== undefined && !isServed(),
  };
}

/** Whether the service listens, which the file of its socket alone does not say. */
export function isServed(): boolean {
  // Of unix sockets, the kernel flags those that listen with __SO_ACCEPTCON.
  return readProcFile("/proc/net/unix").split("\n")
    .some((line) => line.endsWith(` ${SOCKET}`) && line.split(" ")[3] === "00010000");
}
