/** What every operation of the isolator works with. What it knows of containers is on disk. */
import { Catalog, type CatalogEntry } from "../cni/catalog.ts";
import type { Plugin } from "../cni/invocation.ts";
import { OperatorError } from "../error.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { Locks } from "./locks.ts";
import { type BuiltIns, locatePlugin } from "./plugins.ts";
import type { Settings } from "./settings.ts";

export class Isolator {
  /** The networks by name; read from disk at each use. */
  readonly networks: Pick<Catalog, "load" | "read" | "names" | "skipped">;

  readonly locks: Locks;

  constructor(readonly settings: Settings, private readonly builtIns: BuiltIns) {
    this.locks = new Locks(settings.layout);
    const { cni } = settings;
    if (!cni) {
      this.networks = HOST_NETWORK_ONLY;
      return;
    }
    const catalog = new Catalog(cni.configDir, cni.pluginsDir, {
      isBuiltIn: (type) => Object.hasOwn(builtIns, type),
    });
    catalog.load();
    this.networks = catalog;
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
    return locatePlugin(type, this.searchPath, this.builtIns, {
      start: (spawn) => this.locks.start(id, spawn),
    });
  }
}

const HOST_NETWORK_ONLY = {
  load: () => {},
  names: () => [],
  skipped: [],
  read(name: string): CatalogEntry {
    throw new OperatorError(
      "unknown_network",
      `network ${name} is asked for, but no networks are configured: ` +
        `give --network_cni_config_dir and --network_cni_plugins_dir`,
    );
  },
};
