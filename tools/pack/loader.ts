/**
 * How the compiled program loads its code: as scripts, each beside what V8 has made of it when the
 * program was built (`train.ts`). V8 takes that as it is; without it, or when it is of another V8, it
 * compiles the script as any other, which only takes longer.
 */
import process from "node:process";
import { Script } from "node:vm";

/** The script of `main.ts`, as scripts name each other. */
export const ENTRY = "./main.script";

/** How a script begins that few calls need (RFC 1952). */
const GZIP = 0x1f;
const NOTHING = new Uint8Array();
const decoder = new TextDecoder();

type Exports = Record<string, unknown>;
type Module = { exports: Exports };
type Body = (exports: Exports, require: (name: string) => Exports, module: Module) => void;

export class Loader {
  readonly #directory: string;
  readonly #modules = new Map<string, Module>();
  /** What has been loaded, by name; undefined is what V8 made nothing of in advance. */
  readonly scripts = new Map<string, Script | undefined>();

  /** @param directory where `gather.ts` has put the scripts */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** What a script exports; it runs when it is first asked for. */
  readonly require = (name: string): Exports => {
    // What the bundler writes at the top for packages that load modules of Node's while they run.
    if (name === "node:module") return { createRequire: () => this.require };
    if (name.startsWith("node:")) return process.getBuiltinModule(name) as Exports;
    const known = this.#modules.get(name);
    if (known) return known.exports;
    const module: Module = { exports: {} };
    this.#modules.set(name, module);
    try {
      this.#body(name)(module.exports, this.require, module);
    } catch (error) {
      // Else it would be taken for whole the next time.
      this.#modules.delete(name);
      throw error;
    }
    return module.exports;
  };

  #body(name: string): Body {
    const path = `${this.#directory}/${name.slice("./".length)}`;
    const file = Deno.readFileSync(path);
    const isRare = file[0] === GZIP;
    const made = isRare ? NOTHING : Deno.readFileSync(`${path}.made`);
    const script = new Script(decoder.decode(isRare ? gunzip(file) : file), {
      filename: `mesos-cni/${name.slice("./".length)}`,
      cachedData: made.length > 0 ? made : undefined,
    });
    this.scripts.set(name, isRare ? undefined : script);
    return script.runInThisContext();
  }
}

function gunzip(bytes: Uint8Array): Uint8Array {
  return (process.getBuiltinModule("node:zlib") as typeof import("node:zlib")).gunzipSync(bytes);
}
