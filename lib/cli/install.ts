import { variable } from "../base/environment.ts";
import { dirname, join, resolve } from "@std/path";
import { isBuiltIn } from "../cni/plugin_type.ts";
import { PLUGIN_CHOICES, type PluginChoice } from "../install/plugin_launchers.ts";
import { measureGain } from "../install/gain.ts";
import { install, uninstall } from "../install/install.ts";
import { missingHere } from "../install/machine.ts";
import { checkPlace } from "../install/places.ts";
import { Layout } from "../containers/layout.ts";
import { type Call, type Command, directoryFlag, type Flag, flag, JSON_FLAG } from "./command.ts";
import { SCRIPTS } from "./completions.ts";
import { readSettingsFile, SETTINGS_FILE } from "./found_values.ts";
import { RUNTIME_DIR, WORK_DIR } from "./layout_flags.ts";
import { manualPage } from "./man.ts";
import { print, printJson } from "./output.ts";
import { requireRoot } from "./root.ts";

const PLUGINS_DIR = "/usr/lib/cni";
const CONFIG_DIR = "/etc/mesos/cni";
const DRY_RUN: Flag = flag("--dry-run", "say what would be done, and do nothing");

export const installCommand: Command = {
  name: "install",
  flags: [
    flag("--bin_dir=DIR", "where the program goes", { default: "/usr/local/bin" }),
    directoryFlag(
      "--network_cni_plugins_dir=PATH",
      "search path of plugins: each directory gets the port mapper",
      PLUGINS_DIR,
      `the agent's, or ${PLUGINS_DIR}`,
    ),
    directoryFlag(
      "--network_cni_config_dir=DIR",
      "directory of network configs",
      CONFIG_DIR,
      `the agent's, or ${CONFIG_DIR}`,
    ),
    flag("--unit_dir=DIR", "where the systemd units go", { default: "/etc/systemd/system" }),
    flag("--share_dir=DIR", "where the manual page and the completions go", {
      usual: "share, beside --bin_dir",
    }),
    flag(
      "--plugins=WHICH",
      "launchers of the standard plugins in this program: those that the directories lack, " +
        "all (others are moved aside), or none (and those come back)",
      { default: "missing", complete: [...PLUGIN_CHOICES] },
    ),
    DRY_RUN,
    JSON_FLAG,
  ],
  examples: [
    ["sudo ./mesos-cni install", "also the way to upgrade: nothing that runs is disturbed"],
    ["sudo ./mesos-cni install --dry-run", "what it would make or change"],
  ],
  notes:
    `Directories that are not the usual ones must be there. They are written to ${SETTINGS_FILE}, where
all commands find them. What was made is listed in /var/lib/mesos-cni/install.json, and is what
"mesos-cni uninstall" removes. No service is started or enabled.`,
  async run(call) {
    requireRoot("installing needs root: use sudo");
    const dryRun = call.has("dry-run");
    const pluginsDirs = call.value("network_cni_plugins_dir")!.split(":")
      .filter((dir) => dir !== "").map((dir) => resolve(dir));
    const configDir = resolve(call.value("network_cni_config_dir")!);
    const binDir = resolve(call.value("bin_dir")!);
    const unitDir = resolve(call.value("unit_dir")!);
    const shareDir = resolve(call.value("share_dir") ?? join(dirname(binDir), "share"));
    for (const dir of pluginsDirs) checkPlace(dir, "network_cni_plugins_dir");
    checkPlace(configDir, "network_cni_config_dir");
    checkPlace(binDir, "bin_dir");
    checkPlace(unitDir, "unit_dir");
    if (call.value("share_dir") !== undefined) checkPlace(shareDir, "share_dir");
    const pluginsDir = pluginsDirs.join(":");
    const placed = await install({
      binDir,
      pluginsDirs,
      types: [...call.plugins.values()].filter(({ standard, load }) => standard && load),
      plugins: call.value("plugins") as PluginChoice,
      unitDir,
      shareDir,
      shared: {
        "man/man1/mesos-cni.1": await manualPage(call.commands) + "\n",
        "bash-completion/completions/mesos-cni": SCRIPTS.bash!.trim() + "\n",
        "zsh/site-functions/_mesos-cni": SCRIPTS.zsh!.trim() + "\n",
        "fish/vendor_completions.d/mesos-cni.fish": SCRIPTS.fish!.trim() + "\n",
      },
      settings: { path: SETTINGS_FILE, text: settingsText(configDir, pluginsDir) },
    }, dryRun);
    const missing = missingHere(
      variable("PATH") ?? "",
      pluginsDir,
      (type) => isBuiltIn(call.plugins, type),
    );
    if (call.has("json")) {
      printJson({ placed, missing });
      return;
    }
    const shown = { made: "would make", changed: "would change", unchanged: "unchanged" };
    for (const { path, change } of placed) {
      print(`${(dryRun ? shown[change] : change).padEnd(dryRun ? 12 : 10)} ${path}`);
    }
    for (const { what, remedy } of missing) print(`missing    ${what}: ${remedy}`);
    if (dryRun) return;
    await printGain(call, pluginsDir);
    if (placed.some(({ change }) => change !== "unchanged")) {
      print(`
A stock Mesos agent needs no more: it calls the plugin (docs/tutorial.md).
For a containerizer or an OCI runtime, which calls the isolator as a service:
  systemctl daemon-reload && systemctl enable --now mesos-cni.socket`);
    }
  },
};

/** What another program's bridge costs here, and how it is left and come back to. */
async function printGain({ plugins }: Call, pluginsDir: string): Promise<void> {
  const gain = await measureGain(plugins, pluginsDir, variable("PATH") ?? "").catch(() => {
    // It is a hint: where there is no new network to be had, nothing is said of one.
  });
  if (!gain) return;
  const [theirs, ours] = [gain.theirs, gain.ours].map((ms) => ms.toFixed(0));
  print(`
bridge is ${gain.file}: on this machine an attach takes ${theirs} ms by it, and ${ours} by this
program's own, in the port mapper and in the isolator. To change over: mesos-cni install --plugins=all
and back: mesos-cni install --plugins=none`);
}

/** What the file has already stays, but for the two directories. */
function settingsText(configDir: string, pluginsDir: string): string {
  const settings = {
    ...Object.fromEntries(readSettingsFile()),
    network_cni_config_dir: configDir,
    network_cni_plugins_dir: pluginsDir,
  };
  return JSON.stringify(settings, null, 2) + "\n";
}

export const uninstallCommand: Command = {
  name: "uninstall",
  flags: [
    directoryFlag(
      "--runtime_dir=DIR",
      "where to look for containers that are still attached",
      RUNTIME_DIR,
    ),
    directoryFlag("--work_dir=DIR", "where else to look", WORK_DIR),
    DRY_RUN,
    JSON_FLAG,
  ],
  examples: [["sudo mesos-cni uninstall", "refuses while a container is attached"]],
  notes: `${SETTINGS_FILE} stays if it was changed after install wrote it.`,
  async run(call: Call) {
    requireRoot("uninstalling needs root: use sudo");
    const dryRun = call.has("dry-run");
    const layouts = ["runtime_dir", "work_dir"].map((flag) => new Layout(call.value(flag)!));
    const { removed, kept } = await uninstall(layouts, dryRun);
    if (call.has("json")) {
      printJson({ removed, kept });
      return;
    }
    for (const path of removed) print(`${dryRun ? "would remove" : "removed   "} ${path}`);
    for (const path of kept) print(`kept       ${path}, which is not what install wrote any more`);
  },
};
