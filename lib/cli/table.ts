/** All subcommands by name; each file is loaded only when its command is called or explained. */
import type { Command, Entry } from "./command.ts";

/** A command of a group that is also called by its last word. */
function short(name: string, load: () => Promise<readonly Command[]>): Entry {
  return {
    name,
    short: true,
    load: async () => (await load()).find((command) => command.name.endsWith(` ${name}`))!,
  };
}

const ofNetns = async () => (await import("./netns.ts")).commands;
const ofIsolator = async () => (await import("./isolator.ts")).commands;

export const TABLE: readonly Entry[] = [
  { name: "status", load: async () => (await import("./status.ts")).command },
  short("list", ofNetns),
  short("inspect", ofNetns),
  short("diagnose", ofNetns),
  short("exec", ofNetns),
  short("shell", ofNetns),
  short("capture", ofNetns),
  short("topology", ofNetns),
  { name: "identify", load: async () => (await import("./identify.ts")).command },
  { name: "history", load: async () => (await import("./history.ts")).command },
  { name: "bundle", load: async () => (await import("./bundle.ts")).command },
  {
    name: "bundle-part",
    hidden: true,
    load: async () => (await import("./bundle_part.ts")).command,
  },
  { name: "fleet", load: async () => (await import("./fleet.ts")).command },
  short("networks", ofIsolator),
  short("check", ofIsolator),
  short("cleanup", ofIsolator),
  short("gc", ofIsolator),
  { name: "run", load: async () => (await import("./run.ts")).command },
  {
    name: "isolator",
    summary: "the network/cni isolator, step by step or as a service",
    load: ofIsolator,
  },
  {
    name: "network",
    summary: "one network: what it is made of, who is on it; and removing what it left",
    load: async () => (await import("./network.ts")).commands,
  },
  { name: "launch", hidden: true, load: async () => (await import("./launch.ts")).command },
  {
    name: "step-inside",
    hidden: true,
    load: async () => (await import("./step_inside.ts")).command,
  },
  { name: "lint", load: async () => (await import("./lint.ts")).command },
  {
    name: "netns",
    summary: "look into the networks of containers, and find what is wrong",
    load: ofNetns,
  },
  { name: "config", load: async () => (await import("./config.ts")).command },
  { name: "install", load: async () => (await import("./install.ts")).installCommand },
  { name: "uninstall", load: async () => (await import("./install.ts")).uninstallCommand },
  { name: "completions", load: async () => (await import("./completions.ts")).command },
  { name: "complete", hidden: true, load: async () => (await import("./complete.ts")).command },
  { name: "man", load: async () => (await import("./man.ts")).command },
  { name: "version", load: async () => (await import("./version.ts")).command },
];
