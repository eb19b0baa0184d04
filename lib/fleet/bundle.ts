/**
 * All that is known of an agent, for somebody who can't log in there. What is asked for is a table of
 * programs, most of them this one: one that fails, or does not end, costs its own file and no other.
 */
import { messageOf } from "../base/error.ts";
import { type JsonObject, parseJson } from "../base/json.ts";
import { plainLine } from "../base/printable.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { findTool } from "../program/tool.ts";
import { runProgram } from "../program/run.ts";
import type { ArchivedFile } from "./tar.ts";
import { withoutSecrets } from "./secrets.ts";

/** A file of the archive and where it comes from. */
export interface Part {
  path: string;
  /** A program's words; `mesos-cni` is this one. */
  command?: readonly string[];
  /** A file to copy. */
  file?: string;
  /** What this process makes itself. */
  make?: () => string;
  /** Whether it is JSON in which there may be secrets. */
  isConfig?: boolean;
  /** Whether it prints files, as a JSON object by their paths. */
  isMany?: boolean;
  /** How long, in ms, it may take. */
  patience?: number;
}

/** How long, in ms, one program may take, and after which nothing is begun. */
const PATIENCE_MS = 10_000;
const WHOLE_MS = 27_000;
const AT_A_TIME = 4;
const MOST_BYTES = 64 << 20;
/** Characters of a command that the manifest has. */
const MOST_SAID = 120;

/** @param progress told after each @returns the files, the manifest first */
export async function collect(
  parts: readonly Part[],
  { env, withSecrets, progress }: {
    /** Of the programs, with PATH. */
    env: Readonly<Record<string, string>>;
    withSecrets: boolean;
    progress: (done: number, all: number) => void;
  },
): Promise<ArchivedFile[]> {
  const end = performance.now() + WHOLE_MS;
  const found: (ArchivedFile & { note: string })[][] = [];
  const waiting = [...parts.entries()];
  let done = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [i, part] = next;
      const { text, note } = await contentOf(part, env, end - performance.now());
      const shown = (text: string, isJson: boolean | undefined) =>
        isJson && !withSecrets && text !== "" ? withoutSecrets(text) : text;
      const many = part.isMany ? manyIn(text) : undefined;
      found[i] = many
        ? many.map(({ path, text }) => ({ path, text: shown(text, path.endsWith(".json")), note }))
        : [{ path: part.path, text: shown(text, part.isConfig), note }];
      progress(++done, parts.length);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  const files = found.flat();
  const lines = files.map(({ path, text, note }) => `${path}\t${text.length}\t${note}\n`);
  const secrets = withSecrets
    ? "Secrets are in it: it was made with --with-secrets.\n"
    : "Labels, environments, tokens and the like are left out.\n";
  return [
    { path: "MANIFEST", text: `${secrets}\nfile\tcharacters\tfrom\n${lines.join("")}` },
    ...files,
  ];
}

/** The files of a part that prints them; undefined if it did not come to its end. */
function manyIn(text: string): ArchivedFile[] | undefined {
  try {
    return Object.entries(parseJson(text) as JsonObject).map(([path, content]) => ({
      path,
      text: typeof content === "string" ? content : JSON.stringify(content, null, 2),
    }));
  } catch {
    return undefined;
  }
}

async function contentOf(
  { command, file, make, patience = PATIENCE_MS }: Part,
  env: Readonly<Record<string, string>>,
  left: number,
): Promise<{ text: string; note: string }> {
  if (make) return { text: make(), note: "this program" };
  if (file !== undefined) {
    try {
      return { text: readTextFile(file), note: file };
    } catch (error) {
      return { text: "", note: `not read: ${messageOf(error)}` };
    }
  }
  const [name, ...args] = command!;
  const said = command!.join(" ").slice(0, MOST_SAID);
  const program = name === "mesos-cni" ? Deno.execPath() : findTool(name!, env.PATH!);
  if (!program) return { text: "", note: `not there: ${name} (${said})` };
  if (left <= 0) return { text: "", note: `left out: there was no time left for ${said}` };
  try {
    const run = await runProgram(program, {
      args,
      env: { ...env, NO_COLOR: "1", LC_ALL: "C" },
      timeoutMs: Math.min(left, patience),
      outputLimit: MOST_BYTES,
      stderrKept: 64 << 10,
    });
    const why = run.stopped ? `stopped (${run.stopped}) in the midst of ${said}` : said;
    // What it has to say of its own output; what failed has said it there.
    const words = run.stdout && run.stderr ? `: ${plainLine(run.stderr.trim())}` : "";
    const failed = run.stdout === "" && run.code !== 0 ? `failed with ${run.code}: ` : "";
    return { text: run.stdout || run.stderr, note: failed + why + words };
  } catch (error) {
    return { text: "", note: `failed: ${messageOf(error)} (${said})` };
  }
}
