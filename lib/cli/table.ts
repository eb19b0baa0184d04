/** All subcommands by name; each file is loaded only when its command is called or explained. */
import type { Command, Entry } from "./command.ts";

const GROUPS = {
  isolator: async () => (await import("./isolator.ts")).commands,
  netns: async () => (await import("./netns.ts")).commands,
  network: async () => (await import("./network.ts")).commands,
};

/** Commands of a group that are also called by their last word. */
function shorts(group: keyof typeof GROUPS, ...names: string[]): Entry[] {
  return names.map((name) => {
    const short = `${group} ${name}`;
    const load = async () =>
      (await GROUPS[group]()).find((command: Command) => command.name === short)!;
    return { name, short, load };
  });
}

export const TABLE: readonly Entry[] = [
  { name: "status", load: async () => (await import("./status.ts")).command },
  ...shorts("netns", "list", "inspect", "diagnose", "exec", "shell", "capture", "topology"),
  { name: "identify", load: async () => (await import("./identify.ts")).command },
  { name: "history", load: async () => (await import("./history.ts")).command },
  { name: "bundle", load: async () => (await import("./bundle.ts")).command },
  {
    name: "bundle-part",
    hidden: true,
    load: async () => (await import("./bundle_part.ts")).command,
  },
  { name: "fleet", load: async () => (await import("./fleet.ts")).command },
  ...shorts("isolator", "networks", "check", "cleanup", "gc"),
  { name: "run", load: async () => (await import("./run.ts")).command },
  { name: "isolator", load: GROUPS.isolator },
  { name: "network", load: GROUPS.network },
  { name: "launch", hidden: true, load: async () => (await import("./launch.ts")).command },
  {
    name: "step-inside",
    hidden: true,
    load: async () => (await import("./step_inside.ts")).command,
  },
  { name: "lint", load: async () => (await import("./lint.ts")).command },
  { name: "netns", load: GROUPS.netns },
  { name: "config", load: async () => (await import("./config.ts")).command },
  { name: "install", load: async () => (await import("./install.ts")).installCommand },
  { name: "uninstall", load: async () => (await import("./install.ts")).uninstallCommand },
  { name: "completions", load: async () => (await import("./completions.ts")).command },
  { name: "complete", hidden: true, load: async () => (await import("./complete.ts")).command },
  { name: "man", load: async () => (await import("./man.ts")).command },
  { name: "version", load: async () => (await import("./version.ts")).command },
];
