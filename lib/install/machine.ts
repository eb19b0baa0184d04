/** Whether a machine has what containers' networks need. */
import { findPlugin } from "../cni/find.ts";
import { SystemError } from "../kernel/libc.ts";
import { findInode } from "../kernel/proc.ts";
import { generation } from "../nft/rules.ts";
import { findTool } from "../program/tool.ts";

export interface Requirement {
  what: string;
  found: boolean;
  /** What to do when it is missing. */
  remedy: string;
}

const NAMESPACES = ["net", "mnt", "uts"];
/** Plugins that most networks are made of. */
const USUAL_PLUGINS = ["bridge", "host-local"];

/**
 * @param path PATH
 * @param pluginsDir the plugins' search path
 * @param isBuiltIn whether a plugin of this type needs no file
 */
export function checkMachine(
  path: string,
  pluginsDir: string,
  isBuiltIn: (type: string) => boolean,
): Requirement[] {
  return [
    ...NAMESPACES.map((kind) => ({
      what: `${kind} namespaces`,
      found: findInode(`/proc/self/ns/${kind}`) !== undefined,
      remedy: "a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS and CONFIG_UTS_NS",
    })),
    {
      what: "iptables or nf_tables",
      found: findTool("iptables", path) !== undefined || hasNfTables(),
      remedy: "install iptables (1.8 or newer), or a kernel with CONFIG_NF_TABLES: port " +
        "mappings need one of them",
    },
    ...USUAL_PLUGINS.map((type) => ({
      what: `plugin ${type}`,
      found: isBuiltIn(type) || hasPlugin(type, pluginsDir),
      remedy: `install the CNI plugins into ${pluginsDir} (Debian: containernetworking-plugins)`,
    })),
  ];
}

/** The kernel loads the module for the question. */
function hasNfTables(): boolean {
  try {
    generation();
    return true;
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

function hasPlugin(type: string, pluginsDir: string): boolean {
  try {
    findPlugin(type, pluginsDir);
    return true;
  } catch {
    return false; // why not is for the one who uses it
  }
}
