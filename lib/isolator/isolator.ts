/** What every operation of the isolator works with. It holds no state of containers. */
import { Catalog, type CatalogEntry } from "../cni/catalog.ts";
import type { Plugin } from "../cni/invocation.ts";
import { OperatorError } from "../error.ts";
import { type BuiltIns, locatePlugin } from "./plugins.ts";
import type { Settings } from "./settings.ts";

export class Isolator {
  /** The networks by name; read from disk at each use. */
  readonly networks: Pick<Catalog, "read" | "names" | "skipped">;

  constructor(readonly settings: Settings, private readonly builtIns: BuiltIns) {
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

  /** @throws {OperatorError} if there is no such plugin */
  plugin(type: string): Plugin {
    return locatePlugin(type, this.searchPath, this.builtIns);
  }
}

const HOST_NETWORK_ONLY = {
  names: [],
  skipped: [],
  read(name: string): CatalogEntry {
    throw new OperatorError(
      "unknown_network",
      `network ${name} is asked for, but no networks are configured: ` +
        `give --network_cni_config_dir and --network_cni_plugins_dir`,
    );
  },
};
