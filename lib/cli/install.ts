import { resolve } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { install, uninstall } from "../install/install.ts";
import { isBuiltIn } from "../cni/plugin_type.ts";
import { checkMachine } from "../install/machine.ts";
import { Layout } from "../containers/layout.ts";
import { isRoot } from "../kernel/process.ts";
import { type Call, type Command, JSON_FLAG } from "./command.ts";
import { print, printJson } from "./output.ts";

const PLUGINS_DIR = "/usr/lib/cni";
const CONFIG_DIR = "/etc/mesos/cni";

export const installCommand: Command = {
  name: "install",
  summary: "put this program, its plugin and its service on the machine",
  flags: [
    {
      name: "bin_dir",
      value: "DIR",
      help: "where the program goes",
      default: "/usr/local/bin",
      complete: "directory",
    },
    {
      name: "network_cni_plugins_dir",
      value: "PATH",
      help: "search path of plugins: each directory gets the port mapper",
      default: PLUGINS_DIR,
      complete: "directory",
    },
    {
      name: "network_cni_config_dir",
      value: "DIR",
      help: "directory of network configs, for the service",
      default: CONFIG_DIR,
      complete: "directory",
    },
    {
      name: "unit_dir",
      value: "DIR",
      help: "where the systemd units go",
      default: "/etc/systemd/system",
      complete: "directory",
    },
    JSON_FLAG,
  ],
  examples: [{
    command: "sudo ./mesos-cni install --network_cni_plugins_dir=/usr/lib/cni",
    what: "also the way to upgrade: nothing that runs is disturbed",
  }],
  notes:
    `What was made is listed in /var/lib/mesos-cni/install.json, and is what "mesos-cni uninstall"
removes. No service is started or enabled.`,
  async run(call) {
    requireRoot("installing");
    const pluginsDirs = (call.value("network_cni_plugins_dir") ?? PLUGINS_DIR).split(":")
      .filter((dir) => dir !== "").map((dir) => resolve(dir));
    const placed = await install({
      binDir: resolve(call.value("bin_dir") ?? "/usr/local/bin"),
      configDir: resolve(call.value("network_cni_config_dir") ?? CONFIG_DIR),
      pluginsDirs,
      unitDir: resolve(call.value("unit_dir") ?? "/etc/systemd/system"),
    });
    const missing = checkMachine(
      Deno.env.get("PATH") ?? "",
      pluginsDirs.join(":"),
      (type) => isBuiltIn(call.plugins, type),
    ).filter((requirement) => !requirement.found);
    if (call.has("json")) {
      printJson({ placed, missing: missing.map(({ what, remedy }) => ({ what, remedy })) });
      return 0;
    }
    for (const { path, change } of placed) print(`${change.padEnd(10)} ${path}`);
    for (const { what, remedy } of missing) print(`missing    ${what}: ${remedy}`);
    if (placed.some(({ change }) => change !== "unchanged")) {
      print(
        "\nto start the service: systemctl daemon-reload && systemctl enable --now mesos-cni.socket",
      );
    }
    return 0;
  },
};

export const uninstallCommand: Command = {
  name: "uninstall",
  summary: "remove what install has put on the machine",
  flags: [
    {
      name: "runtime_dir",
      value: "DIR",
      help: "where to look for containers that are still attached",
      default: "/var/run/mesos",
      complete: "directory",
    },
    {
      name: "work_dir",
      value: "DIR",
      help: "where else to look",
      default: "/var/lib/mesos",
      complete: "directory",
    },
    JSON_FLAG,
  ],
  examples: [{
    command: "sudo mesos-cni uninstall",
    what: "refuses while a container is attached",
  }],
  run(call: Call) {
    requireRoot("uninstalling");
    const removed = uninstall([
      new Layout(resolve(call.value("runtime_dir") ?? "/var/run/mesos")),
      new Layout(resolve(call.value("work_dir") ?? "/var/lib/mesos")),
    ]);
    if (call.has("json")) printJson({ removed });
    else for (const path of removed) print(`removed    ${path}`);
    return Promise.resolve(0);
  },
};

function requireRoot(what: string): void {
  if (!isRoot()) throw new OperatorError("not_root", `${what} needs root: use sudo`);
}
