/**
 * The flags with which systemd would start an agent on this machine: what counts while none runs.
 * Unit files are read as systemd.unit(5) and systemd.service(5) describe them, as far as flags
 * depend on them: continued lines, drop-ins, quotes, `Environment=` and `EnvironmentFile=`.
 */
import { exists } from "../base/exists.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { flagsOfCommandLine, flagsOfEnvironment } from "./running_agent.ts";
import { tried, unlessRefused } from "../base/unless.ts";

export interface AgentUnit {
  /** The path of the unit's file. */
  file: string;
  flags: ReadonlyMap<string, string>;
}

/** Where units are, the first one that has a name hiding those behind it. */
const DIRECTORIES = [
  "/etc/systemd/system",
  "/run/systemd/system",
  "/usr/local/lib/systemd/system",
  "/usr/lib/systemd/system",
  "/lib/systemd/system",
];
const NAMES = ["mesos-agent.service", "mesos-slave.service"];
/** Bytes of a unit's file that are too many. */
const LONGEST = 1 << 20;

/** The agent's unit; undefined where there is none, or none that can be read. */
export function findAgentUnit(): AgentUnit | undefined {
  for (const name of NAMES) {
    const file = DIRECTORIES.map((directory) => `${directory}/${name}`).find(exists);
    if (file === undefined) continue;
    const texts = [file, ...dropIns(name)].map(readable);
    return { file, flags: flagsOf(texts.join("\n")) };
  }
  return undefined;
}

function dropIns(name: string): string[] {
  return DIRECTORIES.toReversed().flatMap((directory) =>
    // Most units have none.
    tried(() => [...Deno.readDirSync(`${directory}/${name}.d`)], []).map((entry) => entry.name)
      .filter((entry) => entry.endsWith(".conf")).sort()
      .map((entry) => `${directory}/${name}.d/${entry}`)
  );
}

/** What can't be read says nothing of the agent; whoever starts it is told by systemd. */
function readable(path: string): string {
  return unlessRefused(() => readTextFile(path, LONGEST)) ?? "";
}

/** @param text the unit with its drop-ins, in the order in which they count */
function flagsOf(text: string): ReadonlyMap<string, string> {
  let command = "";
  let assigned: string[] = [];
  let files: string[] = [];
  for (const [key, value] of settingsIn(text)) {
    // An empty value takes back what was said before.
    if (key === "ExecStart") command = value;
    else if (key === "Environment") assigned = value === "" ? [] : [...assigned, ...words(value)];
    else if (key === "EnvironmentFile") files = value === "" ? [] : [...files, value];
  }
  const environment = new Map(
    [...assigned, ...files.flatMap(assignmentsIn)].map((one) => {
      const equals = one.indexOf("=");
      return [one.slice(0, equals), one.slice(equals + 1)] as const;
    }),
  );
  const expanded = words(command).map((word) =>
    word.replaceAll(
      /\$(?:\{(\w+)\}|(\w+))/g,
      (_, braced, bare) => environment.get(braced ?? bare) ?? "",
    )
  );
  return new Map([
    ...flagsOfEnvironment([...environment].map(([name, value]) => `${name}=${value}`)),
    ...flagsOfCommandLine(expanded),
  ]);
}

function* settingsIn(text: string): Generator<[key: string, value: string]> {
  for (const line of text.replaceAll(/\\\n(?:[#;].*\n)*/g, " ").split("\n")) {
    const [, key, value] = /^\s*([A-Za-z]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (key !== undefined) yield [key, value!];
  }
}

/** An environment file has an assignment a line, its value with or without quotes. */
function assignmentsIn(path: string): string[] {
  return readable(path.replace(/^-/, "")).split("\n")
    .filter((line) => /^\s*\w+=/.test(line))
    .map((line) => words(line.trim().replace(/=(?!["'])(.*)$/, '="$1"')).join(" "));
}

/** Words as systemd splits them: by spaces, with quotes around a word or a part of it. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:"(?:\\.|[^"])*"|'(?:\\.|[^'])*'|\\.|[^\s"'])+/g)].map(([word]) =>
    word.replaceAll(/"((?:\\.|[^"])*)"|'((?:\\.|[^'])*)'/g, (_, one, other) => one ?? other)
      .replaceAll("%%", "%")
  );
}
