/** The directories of plugins (`--plugins-dir`), searched as an agent searches them. */
import { join } from "@std/path";
import { statOf } from "../base/exists.ts";
import { isPluginType } from "../cni/config.ts";
import { documentOf } from "./document.ts";
import type { Source } from "./source.ts";
import { tried } from "../base/unless.ts";

export interface PluginFile {
  path: string;
  mode: number;
  uid: number;
  isFile: boolean;
}

export interface PluginsDir {
  /** As the operator wrote them. */
  readonly path: string;
  /** The first file of that name that can be executed, else the first one there is. */
  find(type: string): PluginFile | undefined;
}

/** @param path directories, separated by colons */
export function pluginsDir(path: string): PluginsDir {
  const directories = path.split(":").filter((directory) => directory !== "");
  const cache = new Map<string, PluginFile | undefined>();
  const look = (type: string) => {
    const files = directories.map((directory) => fileAt(join(directory, type)))
      .filter((file) => file !== undefined);
    return files.find(isExecutable) ?? files[0];
  };
  return {
    path,
    find(type) {
      if (!cache.has(type)) cache.set(type, look(type));
      return cache.get(type);
    },
  };
}

/** Where Debian, Fedora, containerd, Nomad and podman have plugins. */
const USUAL = "/opt/cni/bin /usr/lib/cni /usr/libexec/cni /usr/local/lib/cni /usr/local/libexec/cni"
  .split(" ");

/** Those of the usual directories that are on this machine, and this user's to look into. */
export function usualPlugins(): PluginsDir {
  return pluginsDir(USUAL.filter(isOpen).join(":"));
}

function isOpen(directory: string): boolean {
  return tried(() => Deno.statSync(`${directory}/.`).isDirectory, false);
}

/** The files of all plugins that the configs name, once each. */
export function pluginFiles(sources: readonly Source[], plugins?: PluginsDir): string[] {
  const files = sources.flatMap((source) => documentOf(source)?.plugins ?? [])
    .flatMap((plugin) => plugin.types)
    .map(([type]) => isPluginType(type) ? plugins?.find(type) : undefined)
    .filter((file) => file !== undefined);
  return [...new Set(files.filter(isExecutable).map((file) => file.path))];
}

export function isExecutable(file: PluginFile): boolean {
  return file.isFile && (file.mode & 0o111) !== 0;
}

function fileAt(path: string): PluginFile | undefined {
  const found = statOf(path);
  return found && { path, mode: found.mode ?? 0, uid: found.uid ?? 0, isFile: found.isFile };
}
