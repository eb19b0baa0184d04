/** The isolator's settings, named like the agent's flags. */
import { SYSTEM_PATH, variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import type { ContainerDns } from "../mesos/messages.ts";
import type { Layout } from "../containers/layout.ts";

export interface Settings {
  /**
   * `--network_cni_config_dir`, without which there is the host's network only, and
   * `--network_cni_plugins_dir`, empty where all plugins are built in.
   */
  cni?: { configDir: string; pluginsDir: string };
  layout: Layout;
  defaultDns: ContainerDns;
  /** `--network_cni_metrics` */
  metrics: boolean;
  /** PATH for plugins, which look for iptables in it. */
  path: string;
}

/** All directories are absolute. */
export interface SettingValues extends Pick<Settings, "layout"> {
  configDir?: string;
  pluginsDir?: string;
  defaultDns?: ContainerDns;
  metrics?: boolean;
}

/** @throws {OperatorError} `bad_settings` */
export function settingsOf(values: SettingValues): Settings {
  const { configDir, pluginsDir } = values;
  if (configDir === undefined && pluginsDir !== undefined) {
    throw new OperatorError(
      "bad_settings",
      "--network_cni_plugins_dir is given and --network_cni_config_dir is not: networks are " +
        "found there",
    );
  }
  return {
    cni: configDir === undefined ? undefined : { configDir, pluginsDir: pluginsDir ?? "" },
    layout: values.layout,
    defaultDns: values.defaultDns ?? {},
    metrics: values.metrics ?? true,
    path: variable("PATH") || SYSTEM_PATH,
  };
}
