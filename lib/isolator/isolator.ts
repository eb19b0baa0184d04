/** What every operation of the isolator works with. What it knows of containers is on disk. */
import { Catalog, type CatalogEntry } from "../cni/catalog.ts";
import type { Plugin } from "../cni/invocation.ts";
import { OperatorError } from "../base/error.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Request } from "../containers/request.ts";
import { Locks } from "../containers/locks.ts";
import { locatePlugin } from "../cni/locate.ts";
import { isBuiltIn, type Registry } from "../cni/plugin_type.ts";
import type { Settings } from "./settings.ts";

type Networks = Pick<Catalog, "load" | "read" | "names" | "skipped">;

export class Isolator {
  readonly locks: Locks;
  #networks?: Networks;

  constructor(readonly settings: Settings, readonly registry: Registry) {
    this.locks = new Locks(settings.layout);
  }

  /**
   * The networks by name; read from disk at each use. The directory is looked through at the
   * first: what only deals with containers that are there does without.
   *
   * @throws {OperatorError} `config_dir` if the directory can't be read
   */
  get networks(): Networks {
    return this.#networks ??= this.#loadNetworks();
  }

  #loadNetworks(): Networks {
    const { cni } = this.settings;
    if (!cni) return HOST_NETWORK_ONLY;
    const catalog = new Catalog(cni.configDir, cni.pluginsDir, {
      isBuiltIn: (type) => this.isBuiltIn(type),
      types: [...this.registry.keys()],
    });
    catalog.load();
    return catalog;
  }

  /**
   * Where plugins are searched, as CNI_PATH has it: the agent's directories, and behind them those
   * in which a container's were found at its ADD.
   */
  searchPath(request?: Request): string {
    const { pluginsDir = "" } = this.settings.cni ?? {};
    const recorded = Object.values(request?.pluginDirs ?? {});
    return [...new Set([...pluginsDir.split(":"), ...recorded])]
      .filter((directory) => directory !== "").join(":");
  }

  /**
   * The plugin of a type, for work on a container.
   *
   * @throws {OperatorError} `missing_plugin` if there is no such plugin
   */
  plugin(type: string, { id, searchPath, signal }: PluginCall): Plugin {
    return locatePlugin(type, searchPath, this.registry, {
      start: (spawn) => id === undefined ? spawn() : this.locks.start(id, spawn),
      ...signal ? { signal } : {},
    });
  }

  /** The built-in plugins need no file. */
  isBuiltIn(type: string): boolean {
    return isBuiltIn(this.registry, type);
  }
}

/** For whom and how a plugin is called. */
export interface PluginCall {
  /** The container, whose lock the plugin's process holds too; absent for a call about none. */
  id?: ContainerId;
  searchPath: string;
  /** Ends the plugin when the caller gives up. */
  signal?: AbortSignal | undefined;
}

const HOST_NETWORK_ONLY: Networks = {
  load: () => {},
  names: () => [],
  skipped: [],
  read(name: string): CatalogEntry {
    throw new OperatorError(
      "unknown_network",
      `network ${JSON.stringify(name)} is asked for, but no networks are configured: ` +
        `give --network_cni_config_dir`,
    );
  },
};
