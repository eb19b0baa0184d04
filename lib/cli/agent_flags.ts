/** The agent's flags about networks, for every command that works on containers. */
import { resolve } from "@std/path";
import { messageOf } from "../base/error.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { parseContainerDns } from "../mesos/messages.ts";
import { type Settings, settingsOf } from "../isolator/settings.ts";
import { type Call, directoryFlag, type Flag, flag, UsageError, wrongFound } from "./command.ts";
import { LAYOUT_FLAGS, layoutIn } from "./layout_flags.ts";

/** For commands that call plugins. */
export const NETWORK_FLAGS: readonly Flag[] = [
  directoryFlag("--network_cni_config_dir=DIR", "directory of network configs"),
  directoryFlag("--network_cni_plugins_dir=PATH", "search path of plugins, separated by colons"),
  ...LAYOUT_FLAGS,
  flag(
    "--default_container_dns=JSON",
    "DNS for networks whose plugins name no server: JSON, or the path of a file",
    { complete: "file", found: true },
  ),
  flag("--network_cni_metrics=BOOL", "whether usage is measured", {
    default: "true",
    complete: ["true", "false"],
    found: true,
  }),
];

/** @throws {UsageError} for a value that no setting can have */
export function settingsFrom(call: Call): Settings {
  try {
    return settingsOf({
      configDir: absolute(call.value("network_cni_config_dir")),
      pluginsDir: searchPath(call.value("network_cni_plugins_dir")),
      layout: layoutIn(call),
      defaultDns: defaultDns(call),
      metrics: call.value("network_cni_metrics") !== "false",
    });
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}

/** An empty part, as a colon at the end makes one, is not the working directory. */
function searchPath(path: string | undefined): string | undefined {
  return path?.split(":").filter((directory) => directory !== "").map(absolute).join(":");
}

/** A plugin, or another process later, may work elsewhere. */
function absolute<P extends string | undefined>(path: P): P {
  return (path === undefined ? path : resolve(path)) as P;
}

function defaultDns(call: Call) {
  const name = "default_container_dns";
  const value = call.value(name);
  if (value === undefined) return undefined;
  // As the agent reads its flags: a path, with or without file://, or the JSON itself.
  const path = value.startsWith("file://") ? value.slice("file://".length) : value;
  const isFile = path.startsWith("/");
  try {
    const message = JSON.parse(isFile ? readTextFile(path) : value);
    return parseContainerDns(message, isFile ? path : `--${name}`);
  } catch (error) {
    const why = error instanceof SyntaxError
      ? `${isFile ? path : value} is neither JSON nor the absolute path of a file; such as ` +
        `'{"mesos": [{"network_mode": "CNI", "dns": {"nameservers": ["192.0.2.53"]}}]}'`
      : messageOf(error);
    const known = call.given(name) === undefined ? call.found(name) : undefined;
    if (known) throw wrongFound(known, `${name}: ${why}`);
    throw new UsageError(`--${name}: ${why}`, { cause: error });
  }
}
