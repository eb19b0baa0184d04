/** All subcommands by name; each file is loaded only when its command is called or explained. */
import type { Command } from "./command.ts";

export interface Entry {
  name: string;
  summary: string;
  /** A command, or the commands of a group (`netns list`, `netns exec`, …). */
  load(): Promise<Command | readonly Command[]>;
}

export const TABLE: readonly Entry[] = [
  {
    name: "lint",
    summary: "find mistakes in network configs",
    load: async () => (await import("./lint.ts")).command,
  },
  {
    name: "version",
    summary: "print the version",
    load: async () => (await import("./version.ts")).command,
  },
];
