/** What every operation of the isolator works with. What it knows of containers is on disk. */
import { Catalog, type CatalogEntry } from "../cni/catalog.ts";
import type { Plugin } from "../cni/invocation.ts";
import { OperatorError } from "../base/error.ts";
import type { ContainerId } from "../mesos/container_id.ts";
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
      isBuiltIn: (type) => isBuiltIn(this.registry, type),
    });
    catalog.load();
    return catalog;
  }

  /** Where plugins are searched, as CNI_PATH has it. */
  get searchPath(): string {
    return this.settings.cni?.pluginsDir ?? "";
  }

  /**
   * The plugin of a type, for work on a container.
   *
   * @throws {OperatorError} if there is no such plugin
   */
  plugin(type: string, id: ContainerId): Plugin {
    return locatePlugin(type, this.searchPath, this.registry, {
      start: (spawn) => this.locks.start(id, spawn),
    });
  }
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
