/**
 * Network configurations: one plugin (`.conf`) or a chain (`.conflist`), specification section 1.
 * What the runtime acts on is checked here, once; the rest belongs to the plugins and is kept
 * as it is in `raw`.
 */
import { CNI_CODES, CniError } from "./error.ts";
import { isObject, type Json, type JsonObject, parseJson, quote } from "../base/json.ts";
import { DEFAULT_VERSION, SPEC_VERSIONS, type SpecVersion } from "./version.ts";

export interface PluginConfig {
  /** File name of the plugin. */
  type: string;
  /** File name of its address management plugin, if it names one. */
  ipamType?: string;
  /** Capabilities that the operator declared for it; false is the same as absent. */
  capabilities: Record<string, boolean>;
  raw: JsonObject;
}

export interface Network {
  name: string;
  /** The newest version that both the config (`cniVersion`, `cniVersions`) and we speak. */
  cniVersion: SpecVersion;
  kind: "conf" | "conflist";
  /** In the order of ADD; a `conf` is a chain of one. */
  plugins: PluginConfig[];
  disableCheck: boolean;
  raw: JsonObject;
}

/** A plugin's config with those of the plugins that it calls. */
export function pluginsIn(plugin: JsonObject): JsonObject[] {
  const { delegate, ipam } = plugin;
  const called = [delegate, ipam].filter(isObject).filter(({ type }) => typeof type === "string");
  return [plugin, ...called.flatMap(pluginsIn)];
}

/** The plugins that a plugin's config names: itself, its address management, its delegates. */
export function typesIn({ type, ipam, delegate }: JsonObject): string[] {
  const named = [type, isObject(ipam) ? ipam.type : undefined];
  return [
    ...named.filter((name) => typeof name === "string" && name !== "") as string[],
    ...isObject(delegate) ? typesIn(delegate) : [],
  ];
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** Whether a network may have this name: specification section 1, "name". */
export function isNetworkName(name: string): boolean {
  return NAME.test(name);
}

/** Whether a container may have this id: specification section 3, "Attachment Parameters". */
export function isContainerId(id: string): boolean {
  return NAME.test(id);
}

/**
 * Whether an interface may have this name: at most 15 bytes, as the kernel's dev_valid_name(). No name
 * has a "%": __dev_alloc_name() makes another one of it, which nobody would find again.
 */
export function isInterfaceName(name: string): boolean {
  return name !== "." && name !== ".." && /^[^/:%\s\0]+$/.test(name) &&
    new TextEncoder().encode(name).length <= 15;
}

/**
 * Reads a network configuration.
 *
 * @param where the file, for errors
 * @throws {CniError} `undecodable` (no JSON), `invalidConfig` or `incompatibleVersion`, naming
 *   the file and the place in it
 */
export function parseNetwork(text: string, where: string): Network {
  const raw = parseObject(text, where);
  const name = readName(raw, where);
  const cniVersion = readVersion(raw, where);
  const { args, plugins } = raw;
  if (args !== undefined && !isObject(args)) throw invalid(where, "args", "an object", args);
  if (plugins === undefined) {
    const plugin = readPlugin(raw, where, "");
    return { name, cniVersion, kind: "conf", plugins: [plugin], disableCheck: false, raw };
  }
  if (!Array.isArray(plugins) || plugins.length === 0) {
    throw invalid(where, "plugins", "a list of at least one plugin", plugins);
  }
  return {
    name,
    cniVersion,
    kind: "conflist",
    plugins: plugins.map((plugin, index) => {
      if (!isObject(plugin)) throw invalid(where, `plugins[${index}]`, "an object", plugin);
      return readPlugin(plugin, where, `plugins[${index}].`);
    }),
    disableCheck: readFlag(raw, "disableCheck", where),
    raw,
  };
}

/**
 * Parses text that must be one JSON object.
 *
 * @param where what the text is, for the error: a file, or a plugin's output
 * @throws {CniError} `undecodable`, with line and column as far as the parser knows them
 */
function parseObject(text: string, where: string): JsonObject {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw new CniError(CNI_CODES.undecodable, `${where}: not JSON: ${(error as Error).message}`);
  }
  if (!isObject(value)) {
    throw new CniError(
      CNI_CODES.undecodable,
      `${where}: must be a JSON object, not ${quote(value)}`,
    );
  }
  return value;
}

function readName(raw: JsonObject, where: string): string {
  const { name } = raw;
  // The specification has had a grammar for names since 1.0; a leading underscore is found in
  // older networks and does no harm, while a slash or a leading dot would, as names become paths.
  if (typeof name === "string" && isNetworkName(name.replace(/^_+/, ""))) return name;
  throw invalid(where, "name", "the network's name (letters, digits and _.-)", name);
}

function readVersion(raw: JsonObject, where: string): SpecVersion {
  const { cniVersion = "", cniVersions = [] } = raw;
  if (typeof cniVersion !== "string") {
    throw invalid(where, "cniVersion", 'a string such as "1.0.0"', cniVersion);
  }
  if (!Array.isArray(cniVersions) || !cniVersions.every((one) => typeof one === "string")) {
    throw invalid(where, "cniVersions", "a list of strings", cniVersions);
  }
  const offered = [...cniVersions, ...(cniVersion === "" ? [] : [cniVersion])];
  if (offered.length === 0) return DEFAULT_VERSION;
  const newest = SPEC_VERSIONS.findLast((version) => offered.includes(version));
  if (newest) return newest;
  throw new CniError(
    CNI_CODES.incompatibleVersion,
    `${where}: cniVersion: ${offered.map(quote).join(", ")} is not supported; ` +
      `use one of ${SPEC_VERSIONS.join(", ")}`,
  );
}

function readPlugin(raw: JsonObject, where: string, at: string): PluginConfig {
  const { ipam, capabilities = {} } = raw;
  const plugin: PluginConfig = {
    type: readType(raw.type, where, `${at}type`),
    capabilities: {},
    raw,
  };
  if (!isObject(capabilities)) {
    throw invalid(where, `${at}capabilities`, "an object", capabilities);
  }
  for (const [capability, on] of Object.entries(capabilities)) {
    if (typeof on !== "boolean") {
      throw invalid(where, `${at}capabilities.${capability}`, "true or false", on);
    }
    plugin.capabilities[capability] = on;
  }
  if (ipam !== undefined && ipam !== null) {
    if (!isObject(ipam)) throw invalid(where, `${at}ipam`, "an object", ipam);
    // `"ipam": {}` is how the bridge plugin is told to assign no address.
    if (ipam.type !== undefined) plugin.ipamType = readType(ipam.type, where, `${at}ipam.type`);
  }
  return plugin;
}

function readType(type: Json | undefined, where: string, at: string): string {
  if (typeof type === "string" && isPluginType(type)) return type;
  throw invalid(where, at, "the file name of a plugin", type);
}

/** Whether `type` is a file name: never a path, so that only the search path decides what runs. */
export function isPluginType(type: string): boolean {
  return type !== "." && type !== ".." && /^[^/\0]+$/.test(type);
}

/** A boolean, also as the string that older libcni configs have. */
function readFlag(raw: JsonObject, key: string, where: string): boolean {
  const value = raw[key] ?? false;
  const flag = typeof value === "string" ? value.toLowerCase() : String(value);
  if (flag !== "true" && flag !== "false") throw invalid(where, key, "true or false", value);
  return flag === "true";
}

function invalid(where: string, at: string, wanted: string, found: unknown): CniError {
  const state = found === undefined ? "is missing" : `is ${quote(found)}`;
  return new CniError(
    CNI_CODES.invalidConfig,
    `${where}: ${at}: ${state}; it must be ${wanted}`,
  );
}
