/** What an attach takes here by another program's bridge, and by this program's own. */
import type { CniCommand, Plugin } from "../cni/invocation.ts";
import { findLauncher } from "../cni/launcher.ts";
import { locatePlugin, pluginFile } from "../cni/locate.ts";
import { processPlugin } from "../cni/process.ts";
import type { Registry } from "../cni/plugin_type.ts";
import { open } from "../kernel/files.ts";
import { inNewNamespaces, makeNamespaces } from "../kernel/namespaces.ts";

const TYPE = "bridge";
/** The least of so many counts: what disturbs a machine only adds. */
const ROUNDS = 3;

export interface Gain {
  /** The other program. */
  file: string;
  /** Milliseconds of an attach. */
  theirs: number;
  ours: number;
}

/**
 * Attaches with both, in a network of its own in which this process stays: for a caller that has
 * nothing else to do.
 *
 * @param searchPath of plugins
 * @returns undefined where no other program is the bridge
 * @throws {Error} where that can't be done here
 */
export async function measureGain(
  registry: Registry,
  searchPath: string,
  path: string,
): Promise<Gain | undefined> {
  const file = pluginFile(TYPE, searchPath, registry);
  // What was installed is another file than the one that installs.
  if (file === undefined || findLauncher(file)) return undefined;
  makeNamespaces(["net"]);
  using container = inNewNamespaces(["net"], () => open("/proc/thread-self/ns/net"));
  const directory = await Deno.makeTempDir({ prefix: "mesos-cni-" });
  const locate = (type: string) => locatePlugin(type, "", registry, {});
  const least = async (plugin: Plugin, net: number) => {
    const call = (command: CniCommand) =>
      plugin({
        ...{ command, containerId: "install", ifName: "eth0", path, searchPath, locate },
        netns: `/proc/${Deno.pid}/fd/${container.fd}`,
        config: {
          ...{ cniVersion: "0.4.0", name: `install${net}`, type: TYPE, bridge: `install${net}` },
          isGateway: true,
          ipam: { type: "host-local", subnet: `10.${net}.0.0/16`, dataDir: directory },
        },
      });
    const times: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const start = performance.now();
      await call("ADD");
      times.push(performance.now() - start);
      await call("DEL");
    }
    return Math.min(...times);
  };
  try {
    const theirs = await least(processPlugin(file), 1);
    return { file, theirs, ours: await least(locate(TYPE), 2) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
