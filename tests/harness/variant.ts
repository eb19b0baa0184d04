/** The program compiled of changed sources, as a release before or after it might be. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { IS_COMPILED } from "./binary.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
/** What `./dev build` reads. */
const SOURCES = ["dev", "deno.json", "deno.lock", "main.ts", "lib", "plugins", "tools"];

/**
 * Builds the program with other constants. A compiled one is kept, since several files want the same,
 * until the program itself is another.
 *
 * @param path where it is put; of a program that is not compiled, its sources stay beside it
 * @param changes of each file, the text that is replaced and what with
 */
export async function makeVariant(path: string, changes: Changes): Promise<void> {
  if (!IS_COMPILED) return await build(path, changes);
  const madeOf = (await Deno.readTextFile(join(ROOT, "dist/made_of"))).slice(0, 32);
  const kept = join(ROOT, "dist/variants");
  const name = `${madeOf}-${await sumOf(JSON.stringify(changes))}`;
  await Deno.mkdir(kept, { recursive: true });
  using lock = await Deno.open(join(kept, ".lock"), { create: true, write: true });
  await lock.lock(true);
  if (!await Deno.stat(join(kept, name)).then(() => true, () => false)) {
    for await (const { name } of Deno.readDir(kept)) {
      if (name !== ".lock" && !name.startsWith(madeOf)) await Deno.remove(join(kept, name));
    }
    await build(`${path}.new`, changes);
    await Deno.copyFile(`${path}.new`, join(kept, `${name}.new`));
    await Deno.rename(join(kept, `${name}.new`), join(kept, name));
    await Deno.remove(`${path}.new`);
  }
  await Deno.copyFile(join(kept, name), path);
}

type Changes = Readonly<Record<string, readonly [before: string, after: string]>>;

async function sumOf(text: string): Promise<string> {
  const sum = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new Uint8Array(sum).toHex().slice(0, 16);
}

async function build(path: string, changes: Changes): Promise<void> {
  const checkout = `${path}.sources`;
  await Deno.mkdir(checkout);
  try {
    await run("cp", ["-r", ...SOURCES, checkout], ROOT);
    await Deno.symlink(join(ROOT, ".tools"), join(checkout, ".tools"));
    for (const [file, [before, after]] of Object.entries(changes)) {
      const text = await Deno.readTextFile(join(checkout, file));
      assert(text.includes(before), `${file} holds ${before}`);
      await Deno.writeTextFile(join(checkout, file), text.replaceAll(before, after));
    }
    await run("./dev", ["build"], checkout);
    const built = IS_COMPILED ? "dist/mesos-cni" : "dist/uncompiled/mesos-cni";
    await Deno.copyFile(join(checkout, built), path);
  } finally {
    // A launcher runs the scripts that lie there.
    if (IS_COMPILED) await Deno.remove(checkout, { recursive: true });
  }
}

async function run(command: string, args: string[], cwd: string): Promise<void> {
  // It is started a few times: that takes less than what would make each start shorter.
  const env = { MESOS_CNI_UNTRAINED: "yes" };
  const { code, stderr } = await new Deno.Command(command, { args, cwd, env }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
}

/** The next version, whose records have another format: one program, since a build takes its time. */
export const NEXT_VERSION = {
  "lib/base/version.ts": ['VERSION = "0.1.0"', 'VERSION = "0.1.9"'],
  "lib/install/manifest.ts": ["format: 1", "format: 2"],
  "lib/isolator/prepare.ts": ["format: 1", "format: 2"],
  "lib/containers/request.ts": ["format: 1", "format: 2"],
} as const;
