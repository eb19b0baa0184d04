/**
 * All that is known of an agent, for somebody who can't log in there. What is asked for is a table of
 * programs, most of them this one: one that fails, or does not end, costs its own file and no other.
 */
import { fileErrorText } from "../base/file_error.ts";
import { messageOf } from "../base/error.ts";
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
  make?: () => string | Promise<string>;
  /** Whether it is JSON in which there may be secrets. */
  isConfig?: boolean;
}

/** How long, in ms, one program may take, and the whole from its start. */
const PATIENCE_MS = 15_000;
const WHOLE_MS = 25_000;
const AT_A_TIME = 6;
const MOST_BYTES = 64 << 20;

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
  const files: (ArchivedFile & { note: string })[] = [];
  const waiting = [...parts.entries()];
  let done = 0;
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [i, part] = next;
      const { text, note } = await contentOf(part, env, end - performance.now());
      const shown = part.isConfig && !withSecrets ? withoutSecrets(text) : text;
      files[i] = { path: part.path, text: text === "" ? "" : shown, note };
      progress(++done, parts.length);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  const lines = files.map(({ path, text, note }) => `${path}\t${text.length}\t${note}\n`);
  const secrets = withSecrets
    ? "Secrets are in it: it was made with --with-secrets.\n"
    : "Labels, environments, tokens and the like are left out.\n";
  return [
    { path: "MANIFEST", text: `${secrets}\nfile\tcharacters\tfrom\n${lines.join("")}` },
    ...files,
  ];
}

async function made(make: () => string | Promise<string>, left: number) {
  let timer: number | undefined;
  const late = new Promise<undefined>((resolve) => timer = setTimeout(resolve, left));
  try {
    const text = await Promise.race([make(), late]);
    return text === undefined
      ? { text: "", note: "left out: there was no time left" }
      : { text, note: "this program" };
  } catch (error) {
    return { text: "", note: `failed: ${messageOf(error)}` };
  } finally {
    clearTimeout(timer);
  }
}

async function contentOf(
  { command, file, make }: Part,
  env: Readonly<Record<string, string>>,
  left: number,
): Promise<{ text: string; note: string }> {
  if (make) return await made(make, left);
  if (file !== undefined) {
    try {
      return { text: Deno.readTextFileSync(file), note: file };
    } catch (error) {
      return { text: "", note: `not read: ${fileErrorText(error)}` };
    }
  }
  const [name, ...args] = command!;
  const said = command!.join(" ");
  const program = name === "mesos-cni" ? Deno.execPath() : findTool(name!, env.PATH!);
  if (!program) return { text: "", note: `not there: ${name} (${said})` };
  if (left <= 0) return { text: "", note: `left out: there was no time left for ${said}` };
  try {
    const run = await runProgram(program, {
      args,
      env: { ...env, NO_COLOR: "1", LC_ALL: "C" },
      timeoutMs: Math.min(left, PATIENCE_MS),
      outputLimit: MOST_BYTES,
      stderrKept: 64 << 10,
    });
    const why = run.stopped ? `stopped (${run.stopped}) in the midst of ${said}` : said;
    const failed = run.stdout === "" && run.code !== 0 ? `failed with ${run.code}: ` : "";
    return { text: run.stdout || run.stderr, note: failed + why };
  } catch (error) {
    return { text: "", note: `failed: ${messageOf(error)} (${said})` };
  }
}
