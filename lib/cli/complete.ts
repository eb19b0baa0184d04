/** What the completion scripts ask: the candidates for the word at the cursor. */
import { resolve } from "@std/path";
import { Catalog } from "../cni/catalog.ts";
import { knownContainers } from "../containers/ids.ts";
import type { Layout } from "../containers/layout.ts";
import { configureLog } from "../base/log.ts";
import { type Command, COMMON_FLAGS, type Entry, type Flag, isGroup, lastWord } from "./command.ts";
import { foundValue } from "./found_values.ts";
import { LAYOUT_FLAGS, layoutIn } from "./layout_flags.ts";
import { print } from "./output.ts";

export const command: Command = {
  name: "complete",
  operands: "-- [WORD…]",
  flags: [],
  examples: [["mesos-cni complete -- netns in", "prints inspect"]],
  notes: `A line "\x1bfiles" or "\x1bdirectories" stands for those: the shell knows them itself.`,
  async run(call) {
    // A warning about a network config would land in the middle of the line being typed.
    configureLog({ level: "error" });
    for (const candidate of await candidates(call.commands, call.rest ?? [])) print(candidate);
  },
};

/** Stand for what every shell completes by itself. */
export const FILES = "\x1bfiles";
export const DIRECTORIES = "\x1bdirectories";

/** @param table the commands @param words the words of the line after the program, the last one being completed */
export async function candidates(
  table: readonly Entry[],
  words: readonly string[],
): Promise<string[]> {
  const word = words.at(-1) ?? "";
  const before = words.slice(0, -1);
  if (before.includes("--")) return [FILES];
  const matching = (all: readonly string[]) => all.filter((one) => one.startsWith(word));

  const [first, second] = before;
  if (first === undefined || first === "help") {
    return matching(table.filter((entry) => !entry.hidden).map((entry) => entry.name));
  }
  const loaded = await table.find((entry) => entry.name === first)?.load();
  if (loaded === undefined) return [];
  if (!isGroup(loaded)) return await ofCommand(loaded, before.slice(1), word);
  if (second === undefined) return matching(loaded.map(lastWord));
  const found = loaded.find((one) => lastWord(one) === second);
  return found ? await ofCommand(found, before.slice(2), word) : [];
}

async function ofCommand(
  command: Command,
  before: readonly string[],
  word: string,
): Promise<string[]> {
  const flags = [...command.flags, ...COMMON_FLAGS];
  if (!word.startsWith("-")) return await ofKind(command.complete, before, word);
  const [name, value] = split(word);
  if (value === undefined) {
    return flags.map((flag) => `--${flag.name}${flag.value ? "=" : ""}`)
      .filter((flag) => canonical(flag).startsWith(canonical(word)));
  }
  const flag = flags.find((flag) => canonical(flag.name) === canonical(name));
  const list = value.slice(0, value.lastIndexOf(",") + 1);
  const found = await ofKind(flag?.complete, before, value.slice(list.length));
  return found.map((candidate) =>
    candidate.startsWith("\x1b") ? candidate : `--${name}=${list}${candidate}`
  );
}

async function ofKind(
  kind: Flag["complete"],
  before: readonly string[],
  word: string,
): Promise<string[]> {
  const matching = (all: readonly string[]) => all.filter((one) => one.startsWith(word));
  if (kind === undefined) return [];
  if (kind === "file") return [FILES];
  if (kind === "directory") return [DIRECTORIES];
  if (kind === "container") return matching(knownContainers(layoutOf(before)));
  if (kind === "network") return matching(await networkNames(before));
  return matching(kind);
}

function layoutOf(words: readonly string[]): Layout {
  const persist = words.some((word) => canonical(word) === "--network_cni_root_dir_persist") ||
    foundValue("network_cni_root_dir_persist")?.value === "true";
  return layoutIn({
    has: () => persist,
    value: (flag) =>
      valueOf(words, flag) ?? LAYOUT_FLAGS.find(({ name }) => name === flag)?.default,
  });
}

function networkNames(words: readonly string[]): string[] {
  const configDir = valueOf(words, "network_cni_config_dir");
  const pluginsDir = valueOf(words, "network_cni_plugins_dir") ?? "/usr/lib/cni";
  if (configDir === undefined) return [];
  // A name is worth offering even if its plugin is not there yet.
  const catalog = new Catalog(resolve(configDir), pluginsDir, { isBuiltIn: () => true });
  catalog.load();
  return catalog.names();
}

function valueOf(words: readonly string[], flag: string): string | undefined {
  return words.map(split).findLast(([name]) => canonical(name) === flag)?.[1] ??
    foundValue(flag)?.value;
}

function split(word: string): [name: string, value: string | undefined] {
  const equals = word.indexOf("=");
  const name = (equals < 0 ? word : word.slice(0, equals)).replace(/^--?/, "");
  return [name, equals < 0 ? undefined : word.slice(equals + 1)];
}

function canonical(flag: string): string {
  return flag.split("=")[0]!.replace(/^--?/, (dashes) => dashes).replaceAll(/(?<=\w)-/g, "_");
}
