/**
 * Puts the files of `gather.ts` into a compiled program, between what is executed and what the runtime reads at
 * each start, which it looks for from the file's end.
 *
 *     append.ts PROGRAM FILE
 */
import { concat } from "../../lib/base/bytes.ts";
import { endOfElf } from "./loader.ts";

export async function append(program: string, file: string): Promise<void> {
  const names = namesIn(program, /\.(?:script|pack|made)$/);
  const contents = names.map((name) => Deno.readFileSync(`${program}/${name}`));
  let end = 0;
  const places = contents.map(({ length }) => [(end += length) - length, length]);
  const files = Object.fromEntries(names.map((name, i) => [name, places[i]]));
  const sum = await sumOf(program);
  const index = new TextEncoder().encode(JSON.stringify({ sum, files }));
  const length = new Uint8Array(Uint32Array.of(index.length).buffer);
  const bytes = Deno.readFileSync(file);
  const at = endOfElf(bytes.buffer);
  if (at === 0) {
    throw new Error(`${file} has no table of sections, by which its end would be known`);
  }
  const parts = [bytes.subarray(0, at), length, index, ...contents, bytes.subarray(at)];
  await Deno.writeFile(file, concat(parts));
}

/** By which a start knows its scripts. What V8 made of them is V8's to know. */
export async function sumOf(program: string): Promise<string> {
  const texts = namesIn(program, /\.(?:script|pack)$/)
    .map((name) => Deno.readFileSync(`${program}/${name}`));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(texts))).toHex();
}

function namesIn(directory: string, pattern: RegExp): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name)
    .filter((name) => pattern.test(name)).sort();
}

if (import.meta.main) {
  const [program, file] = Deno.args;
  await append(program!, file!);
}
