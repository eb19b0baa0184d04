/** All subcommands by name; each file is loaded only when its command is called or explained. */
import type { Command, Entry } from "./command.ts";

/** A command of a group that is also called by its last word. */
function short(
  name: string,
  summary: string,
  load: () => Promise<readonly Command[]>,
): Entry {
  return {
    name,
    summary,
    short: true,
    load: async () => (await load()).find((command) => command.name.endsWith(` ${name}`))!,
  };
}

const ofNetns = async () => (await import("./netns.ts")).commands;
const ofIsolator = async () => (await import("./isolator.ts")).commands;

export const TABLE: readonly Entry[] = [
  {
    name: "status",
    summary: "this agent on one screen: what runs, what is wrong, what to do",
    load: async () => (await import("./status.ts")).command,
  },
  short("list", "the containers with their networks, addresses, ports and health", ofNetns),
  short("inspect", "everything about one container's network", ofNetns),
  short("diagnose", "find the cause of what is wrong with a container's network", ofNetns),
  short("exec", "run a command in a container's network, or in all of them", ofNetns),
  short("shell", "an interactive shell in a container's network", ofNetns),
  short("capture", "tcpdump in a container's network", ofNetns),
  short("topology", "bridges, veth pairs, containers, addresses and ports as a drawing", ofNetns),
  {
    name: "identify",
    summary: "whose container a process belongs to",
    load: async () => (await import("./identify.ts")).command,
  },
  {
    name: "history",
    summary: "what plugins did and why they failed, also for containers that are gone",
    load: async () => (await import("./history.ts")).command,
  },
  {
    name: "bundle",
    summary: "one archive for a ticket: versions, configs, status, rules, history, diagnosis",
    load: async () => (await import("./bundle.ts")).command,
  },
  {
    name: "bundle-part",
    summary: "a part of a bundle",
    hidden: true,
    load: async () => (await import("./bundle_part.ts")).command,
  },
  {
    name: "fleet",
    summary: "many agents beside each other, from what each printed by status --json",
    load: async () => (await import("./fleet.ts")).command,
  },
  short("networks", "the networks that containers can join", ofIsolator),
  short(
    "check",
    "ask the plugins whether a container's networks are as they made them",
    ofIsolator,
  ),
  short("cleanup", "take a container's networks away", ofIsolator),
  short("gc", "find what no live container owns", ofIsolator),
  {
    name: "run",
    summary: "run a command in a container with networks",
    load: async () => (await import("./run.ts")).command,
  },
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
  {
    name: "launch",
    summary: "the first process of a container",
    hidden: true,
    load: async () => (await import("./launch.ts")).command,
  },
  {
    name: "step-inside",
    summary: "a step into a container",
    hidden: true,
    load: async () => (await import("./step_inside.ts")).command,
  },
  {
    name: "lint",
    summary: "find mistakes in network configs",
    load: async () => (await import("./lint.ts")).command,
  },
  {
    name: "netns",
    summary: "look into the networks of containers, and find what is wrong",
    load: ofNetns,
  },
  {
    name: "config",
    summary: "the settings in force, and where each comes from",
    load: async () => (await import("./config.ts")).command,
  },
  {
    name: "install",
    summary: "put this program, its plugin and its service on the machine",
    load: async () => (await import("./install.ts")).installCommand,
  },
  {
    name: "uninstall",
    summary: "remove what install has put on the machine",
    load: async () => (await import("./install.ts")).uninstallCommand,
  },
  {
    name: "completions",
    summary: "print the completion script of a shell",
    load: async () => (await import("./completions.ts")).command,
  },
  {
    name: "complete",
    summary: "the candidates for a word, for the completion scripts",
    hidden: true,
    load: async () => (await import("./complete.ts")).command,
  },
  {
    name: "man",
    summary: "print the manual page",
    load: async () => (await import("./man.ts")).command,
  },
  {
    name: "version",
    summary: "print the version",
    load: async () => (await import("./version.ts")).command,
  },
];
