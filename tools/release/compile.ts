/** Compiling a commit so that its bytes depend on the commit alone. */
import $ from "@david/dax";
import { dirname, join, relative } from "@std/path";
import { exists } from "../../lib/base/exists.ts";
import { append } from "../pack/append.ts";
import { gather } from "../pack/gather.ts";
import { npmFolder, partFor } from "./packages.ts";

export const TARGETS = {
  x64: "x86_64-unknown-linux-gnu",
  arm64: "aarch64-unknown-linux-gnu",
} as const;

/**
 * Where `@std` comes from: `jsr`, its own registry, or `stand-in`, our modules of
 * tools/closed_network, whose functions have the same types and only nearly the same behaviour.
 */
export type Std = "jsr" | "stand-in";

/** A commit, checked out with what it imports. */
export type Workplace = Awaited<ReturnType<typeof makeWorkplace>>;

/**
 * Checks a commit out and fetches what it needs, each package checked against deno.lock.
 *
 * Paths and times of files end up in the binary. So both are the same everywhere: a directory of
 * a fixed name, and the commit's time.
 *
 * @param directory must not exist; the caller removes it
 * @param seed a DENO_DIR to take packages from, where there is no network
 */
export async function makeWorkplace(
  repository: string,
  commit: string,
  directory: string,
  std: Std,
  seed?: string,
) {
  await Deno.mkdir(directory, { mode: 0o700 });
  const source = join(directory, "source");
  const cache = join(directory, "cache");
  await Deno.mkdir(source);
  await $`git -C ${repository} archive --output=${directory}/source.tar ${commit}`;
  await $`tar -x -f ${directory}/source.tar -C ${source}`;

  const { flags, lock } = await writePart(source, std, seed);
  await Deno.mkdir(cache);
  if (seed) await seedCache(cache, seed, Object.keys(lock.npm));
  await $`${Deno.execPath()} cache --quiet ${flags} main.ts`.cwd(source).env({ DENO_DIR: cache });
  const time = new Date(
    (await $`git -C ${repository} show -s --format=%cI ${commit}`.text()).trim(),
  );
  await takeBundler(cache);
  return {
    /** The sources, whose files have the commit's time. */
    source,
    /** DENO_DIR, with the packages of this program and no others. */
    cache,
    flags,
    lock,
    /** The commit's. */
    time,
  };
}

/** The import map and the lock file of the program without its tests and tools. */
async function writePart(source: string, std: Std, seed?: string) {
  const closed = join(source, "tools/closed_network/import_map.json");
  const map = std === "jsr" ? join(source, "deno.json") : closed;
  const lock = join(source, "deno.lock");
  const all = [...std === "jsr" ? [] : [`--import-map=${map}`], `--lock=${lock}`];
  const info = await $`${Deno.execPath()} info --json ${all} main.ts`
    .cwd(source).env(seed ? { DENO_DIR: seed } : {}).json<{ redirects: Record<string, string> }>();
  const part = partFor(
    Object.keys(info.redirects).filter((specifier) => /^(npm|jsr):/.test(specifier)).sort(),
    JSON.parse(await Deno.readTextFile(map)),
    JSON.parse(await Deno.readTextFile(lock)),
  );
  // Beside the map that it is a part of: its targets are relative.
  const ownMap = join(dirname(map), "release_map.json");
  const ownLock = join(source, "release.lock");
  await Deno.writeTextFile(ownMap, JSON.stringify(part.importMap));
  await Deno.writeTextFile(ownLock, JSON.stringify(part.lock));
  return {
    flags: ["--no-config", `--import-map=${ownMap}`, `--lock=${ownLock}`, "--frozen"],
    lock: part.lock,
  };
}

async function seedCache(cache: string, seed: string, packages: readonly string[]): Promise<void> {
  const from = npmFolder(seed);
  const to = join(cache, relative(seed, from));
  for (const key of packages) {
    const path = key.replace(/@(?!.*@)/, "/");
    await Deno.mkdir(dirname(join(to, path)), { recursive: true });
    await $`cp -r ${join(from, path)} ${dirname(join(to, path))}`;
    // What its registry says of a package is fetched only where the lock file does not say it.
    const registry = join(from, dirname(path), "registry.json");
    if (exists(registry)) await $`cp ${registry} ${dirname(join(to, path))}`;
  }
}

async function setTimes(path: string, time: Date): Promise<void> {
  if ((await Deno.lstat(path)).isSymlink) return;
  await Deno.utime(path, time, time);
  if (!(await Deno.stat(path)).isDirectory) return;
  for (const { name } of Deno.readDirSync(path)) await setTimes(join(path, name), time);
}

/** The bundler's engine, which `./dev` has fetched and checked. */
async function takeBundler(cache: string): Promise<void> {
  const checked = Deno.env.get("DENO_DIR");
  if (checked === undefined) throw new Error("DENO_DIR is not set: call ./dev release");
  await $`cp -r ${join(checked, "dl")} ${cache}`;
}

/**
 * Bundles, gathers, trains and compiles, as `./dev build` does. For another architecture than this
 * machine's nothing can be trained: that program compiles at each start what it needs.
 *
 * @param flags what the binary may do and V8's flags
 */
export async function compile(
  { source, cache, flags: imports, time }: Workplace,
  target: string,
  flags: readonly string[],
  output: string,
): Promise<void> {
  const [bundle, program, trainer] = ["bundle", "program", "trainer"]
    .map((name) => join(dirname(source), name)) as [string, string, string];
  const bundled = async (entry: string, to: string, ...more: string[]) =>
    await deno("bundle", ["--quiet", to, ...more, ...imports, entry], source, cache);
  const compiled = async (directory: string, entry: string, ...more: string[]) => {
    const fixed = ["--quiet", "--no-check", "--no-config", "--no-lock", "--no-code-cache"];
    await deno("compile", [...fixed, ...flags, ...more, entry], directory, cache);
  };
  await $`rm -rf ${program}`;
  await Deno.mkdir(program);
  await bundled("main.ts", `--outdir=${bundle}`, "--code-splitting");
  await bundled("tools/pack/start.ts", `--output=${program}/start.js`);
  await gather(bundle, program);
  if (target === Deno.build.target) {
    await bundled("tools/pack/trainer.ts", `--output=${trainer}.js`);
    await compiled(dirname(source), "trainer.js", `--output=${trainer}`);
    await train(join(source, "tools/pack/train.ts"), trainer, program);
  }
  await setTimes(program, time);
  await compiled(program, "start.js", `--target=${target}`, `--output=${output}`);
  await append(program, output);
  // Where the runtime looks for its own data is its library's to decide.
  if (target === Deno.build.target) await $`${output} version`.quiet();
}

async function train(script: string, trainer: string, program: string): Promise<void> {
  const apart = Deno.uid() === 0 ? [] : ["--map-root-user", "--uts"];
  const allowed = ["read", "write", "env", "run"].map((what) => `--allow-${what}`);
  const deno = [Deno.execPath(), "run", "--quiet", "--no-check", "--no-config", ...allowed];
  await $`unshare --net --mount ${apart} ${deno} ${script} ${trainer} ${program}`;
}

/** dax would take the subcommand `bundle` for a script. */
async function deno(subcommand: string, args: string[], cwd: string, cache: string): Promise<void> {
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [subcommand, ...args],
    cwd,
    env: { DENO_DIR: cache },
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`deno ${subcommand} ended with ${code}`);
}
