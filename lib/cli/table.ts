/** All subcommands by name; each file is loaded only when its command is called or explained. */
import type { Entry } from "./command.ts";

export const TABLE: readonly Entry[] = [
  {
    name: "run",
    summary: "run a command in a container with networks",
    load: async () => (await import("./run.ts")).command,
  },
  {
    name: "isolator",
    summary: "the network/cni isolator, step by step or as a service",
    load: async () => (await import("./isolator.ts")).commands,
  },
  {
    name: "launch",
    summary: "the first process of a container",
    hidden: true,
    load: async () => (await import("./launch.ts")).command,
  },
  {
    name: "lint",
    summary: "find mistakes in network configs",
    load: async () => (await import("./lint.ts")).command,
  },
  {
    name: "netns",
    summary: "look into the networks of containers, and find what is wrong",
    load: async () => (await import("./netns.ts")).commands,
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
