/**
 * The networks that a directory of config files defines. Only which file holds which name is
 * kept: a config is read again each time, so that an edit counts from the next container on.
 */
import { messageOf, OperatorError } from "../base/error.ts";
import { errnoName, fileErrorText } from "../base/file_error.ts";
import { log } from "../base/log.ts";
import { readUpTo } from "../kernel/files.ts";
import { type Network, parseNetwork, typesIn } from "./config.ts";
import { findPlugin } from "./find.ts";
import { errno, unless } from "../base/unless.ts";

/** A config as it is on disk at this moment. */
export interface CatalogEntry {
  network: Network;
  file: string;
  text: string;
}

/** A file of the directory that defines no network one can use. */
export interface Skipped {
  file: string;
  reason: string;
}

/** What else may be known of such a file: the network that it would define. */
interface Unusable extends Skipped {
  network?: string;
}

export class Catalog {
  #files = new Map<string, string>();
  #skipped: Unusable[] = [];
  /** Those of them that nobody has been told of. */
  #untold: Unusable[] = [];

  /**
   * @param configDir every regular file in it is a config, whatever its name
   * @param cniPath where plugins are, separated by colons
   * @param options.isBuiltIn whether a plugin of this type needs no file
   * @param options.types what a type that is nowhere may be a misspelling of
   */
  constructor(
    readonly configDir: string,
    readonly cniPath: string,
    readonly options: { isBuiltIn: (type: string) => boolean; types?: readonly string[] } = {
      isBuiltIn: () => false,
    },
  ) {}

  /** The files that {@link load} left out, with the reason of each. */
  get skipped(): readonly Skipped[] {
    return this.#skipped.map(({ file, reason }) => ({ file, reason }));
  }

  /** The names that are known, in order. */
  names(): string[] {
    return [...this.#files.keys()].sort();
  }

  /**
   * Reads the directory. A file that cannot be used is skipped, with a warning as soon as another
   * one is read: where none can be, the error tells.
   *
   * @throws {OperatorError} `config_dir` if the directory cannot be read
   */
  load(): void {
    const files = new Map<string, string>();
    const skipped: Unusable[] = [];
    for (const file of this.#list()) {
      let name: string | undefined;
      try {
        const { network } = this.#open(file, (parsed) => name = parsed);
        const first = files.get(network.name);
        if (first !== undefined) {
          throw new OperatorError(
            "duplicate_network",
            `network ${JSON.stringify(network.name)} is already defined by ${first}`,
          );
        }
        files.set(network.name, file);
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        skipped.push({ file, reason: error.message.replace(`${file}: `, ""), network: name });
      }
    }
    this.#untold = skipped.filter(({ file, reason }) => {
      const isOld = (old: Skipped) => old.file === file && old.reason === reason;
      return !this.#skipped.some(isOld) || this.#untold.some(isOld);
    });
    this.#files = files;
    this.#skipped = skipped;
  }

  /**
   * The config of a network as it is now. The directory is read again for a name that is not
   * known, and where the known file is gone, broken or defines another network by now.
   *
   * @throws {OperatorError} `unknown_network`, or what is wrong with its config
   */
  read(name: string): CatalogEntry {
    const known = this.#files.get(name);
    let broken: OperatorError | undefined;
    if (known !== undefined && isRegular(known)) {
      try {
        return this.#openAs(name, known);
      } catch (error) {
        if (!(error instanceof OperatorError)) throw error;
        broken = error;
      }
    }
    this.load();
    const file = this.#files.get(name);
    if (file === undefined) throw broken ?? this.#unknown(name);
    return this.#openAs(name, file);
  }

  /** @throws {OperatorError} also if the file defines another network than it did */
  #openAs(name: string, file: string): CatalogEntry {
    const entry = this.#open(file);
    if (entry.network.name === name) {
      for (const { file, reason } of this.#untold.splice(0)) {
        log.warning("network config skipped", { file, reason });
      }
      return entry;
    }
    throw new OperatorError(
      "unknown_network",
      `network ${JSON.stringify(name)} is no longer defined: ${file}, which defined it, now ` +
        `defines ${JSON.stringify(entry.network.name)}`,
    );
  }

  #unknown(name: string): OperatorError {
    const names = this.names().join(", ") || "none";
    // What may define it: the file that does, or one that can't be read so far.
    const own = this.#skipped.filter(({ network }) => network === name);
    const [first, more] = own.length > 0 ? own : this.#skipped.filter((one) => !one.network);
    const count = this.#skipped.length;
    const skipped = first && !more
      ? `; skipped there: ${first.file}: ${first.reason}`
      : count === 0
      ? ""
      : `; skipped there: ${count} file${count > 1 ? "s" : ""}, mesos-cni networks says why`;
    return new OperatorError(
      "unknown_network",
      `network ${JSON.stringify(name)} is not defined in ${this.configDir} (known: ${names})` +
        skipped,
    );
  }

  /** The regular files, also behind symbolic links, by name. */
  #list(): string[] {
    try {
      return [...Deno.readDirSync(this.configDir)]
        .filter((entry) => !entry.isDirectory)
        .map((entry) => `${this.configDir}/${entry.name}`)
        .filter(isRegular)
        .sort();
    } catch (error) {
      throw new OperatorError(
        "config_dir",
        errnoName(error) === "ENOENT"
          ? `there is no directory ${this.configDir} of network configs: make it, or correct ` +
            "--network_cni_config_dir"
          : `network config directory ${this.configDir} cannot be read: ` +
            (errnoName(error) ? fileErrorText(error) : messageOf(error)),
        { cause: error },
      );
    }
  }

  /** @param named told the network's name, also if its plugins are not there */
  #open(file: string, named?: (name: string) => void): CatalogEntry {
    let text: string;
    try {
      text = textOf(file);
    } catch (error) {
      throw new OperatorError("config_file", `${file}: cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
    const network = parseNetwork(text, file);
    named?.(network.name);
    for (const type of network.plugins.flatMap(({ raw }) => typesIn(raw))) {
      if (!this.options.isBuiltIn(type)) this.#find(type, network, file);
    }
    return { network, file, text };
  }

  #find(type: string, { name }: Network, file: string): void {
    try {
      findPlugin(type, this.cniPath, this.options.types);
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error;
      throw new OperatorError(error.code, `${file}: network ${name}: ${error.message}`);
    }
  }
}

/** Bytes that no config has. */
const LONGEST = 4 << 20;

function textOf(file: string): string {
  // What it was when the directory was listed may be a pipe by now.
  if (!Deno.statSync(file).isFile) throw new Error("it is no regular file");
  using opened = Deno.openSync(file);
  const bytes = readUpTo(LONGEST, (buffer) => opened.readSync(buffer));
  if (bytes.length > LONGEST) throw new Error(`it has more than ${LONGEST} bytes`);
  return new TextDecoder().decode(bytes);
}

/** A link that leads nowhere, or in a circle, is none: it is left out like a file that is not there. */
function isRegular(file: string): boolean {
  return unless(errno("ENOENT", "ELOOP"), () => Deno.statSync(file).isFile) ?? false;
}
