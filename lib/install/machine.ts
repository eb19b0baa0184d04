/** Whether a machine has what containers' networks need. */
import { unlessRefused } from "../base/unless.ts";
import { findPlugin } from "../cni/find.ts";
import { currentGeneration } from "../firewall/nf_tables.ts";
import { LEAST_VERSION } from "../firewall/tool.ts";
import { findInode } from "../kernel/proc.ts";
import { findTool } from "../program/tool.ts";

/** Plugins that most networks are made of. */
const USUAL_PLUGINS = ["bridge", "host-local"];

type Requirement = [what: string, isThere: boolean, remedy: string];

/**
 * What is missing, and what to do about it.
 *
 * @param path PATH
 * @param pluginsDir the plugins' search path
 * @param isBuiltIn whether a plugin of this type needs no file
 */
export function missingHere(
  path: string,
  pluginsDir: string,
  isBuiltIn: (type: string) => boolean,
) {
  const required: Requirement[] = [
    ...["net", "mnt", "uts"].map((kind): Requirement => [
      `${kind} namespaces`,
      findInode(`/proc/self/ns/${kind}`) !== undefined,
      "a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS and CONFIG_UTS_NS",
    ]),
    [
      "iptables or nf_tables",
      findTool("iptables", path) !== undefined || currentGeneration() !== undefined,
      `install iptables (${LEAST_VERSION} or newer), or a kernel with CONFIG_NF_TABLES: port ` +
      "mappings need one of them",
    ],
    ...USUAL_PLUGINS.map((type): Requirement => [
      `plugin ${type}`,
      isBuiltIn(type) || hasPlugin(type, pluginsDir),
      `install the CNI plugins into ${pluginsDir} (Debian: containernetworking-plugins)`,
    ]),
  ];
  return required.flatMap(([what, isThere, remedy]) => isThere ? [] : [{ what, remedy }]);
}

function hasPlugin(type: string, pluginsDir: string): boolean {
  // Why not is for the one who uses it.
  return unlessRefused(() => findPlugin(type, pluginsDir)) !== undefined;
}
