/** Whether a machine has what containers' networks need. */
import { exists } from "../base/exists.ts";
import { findPlugin } from "../cni/find.ts";

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
      found: exists(`/proc/self/ns/${kind}`),
      remedy: "a kernel with CONFIG_NAMESPACES, CONFIG_NET_NS and CONFIG_UTS_NS",
    })),
    {
      what: "iptables or nft",
      found: ["iptables", "nft"].some((name) =>
        [...path.split(":"), "/usr/sbin", "/sbin"].some((dir) => exists(`${dir}/${name}`))
      ),
      remedy: "install iptables (1.4.20 or newer) or nftables: port mappings need one of them",
    },
    ...USUAL_PLUGINS.map((type) => ({
      what: `plugin ${type}`,
      found: isBuiltIn(type) || hasPlugin(type, pluginsDir),
      remedy: `install the CNI plugins into ${pluginsDir} (Debian: containernetworking-plugins)`,
    })),
  ];
}

function hasPlugin(type: string, pluginsDir: string): boolean {
  try {
    findPlugin(type, pluginsDir);
    return true;
  } catch {
    return false; // why not is for the one who uses it
  }
}
