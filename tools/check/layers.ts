/**
 * Holds the imports of the product against its layers: an arrow may point to the same folder or to
 * a layer below, never up and never in a circle. A file that nobody imports is dead, and what is
 * dangerous has a home. `./dev check` runs it; the list is the design's (docs/design.md, "What imports
 * what").
 */
import { dirname, fromFileUrl, relative } from "@std/path";

/** From the top to the bottom. Folders of one line may not import each other. */
export const LAYERS: readonly (readonly string[])[] = [
  ["."],
  ["lib/cli", "plugins"],
  ["lib/fleet"],
  ["lib/service", "lib/run", "lib/oci", "lib/install", "lib/diagnose", "lib/lint"],
  ["lib/netns"],
  ["lib/facts"],
  ["lib/isolator"],
  ["lib/containers"],
  ["lib/mesos"],
  ["lib/ports", "lib/cni"],
  ["lib/firewall"],
  ["lib/nft"],
  ["lib/netlink"],
  ["lib/program"],
  ["lib/kernel"],
  ["lib/base"],
];

/** What may be used in a few places only: folders, which end with a slash, and files. */
const HOMES: readonly { what: string; use: RegExp; homes: readonly string[] }[] = [
  {
    what: "the runtime to look below /proc or /sys, which it refuses",
    use:
      /\b(?:Deno\.(?:l?stat|read\w+|realPath|open)(?:Sync)?|exists|statOf|namesIn)\(\s*["'`]\/(?:proc|sys)\b/,
    homes: ["lib/kernel/proc.ts"],
  },
  {
    what: "the foreign function interface",
    use: /\bDeno\.(?:dlopen|Unsafe\w+)/,
    homes: ["lib/kernel/"],
  },
  {
    what: "a child process",
    use: /\bDeno\.Command\b/,
    homes: [
      "lib/program/",
      // Programs of an operator, with his streams; and this program anew, in other namespaces.
      "lib/netns/run_inside.ts",
      "lib/netns/contained.ts",
      "lib/run/launcher.ts",
    ],
  },
];

/** A module with the modules that it imports, as paths below the checkout. */
export type Modules = ReadonlyMap<string, readonly string[]>;

interface Info {
  modules: { specifier: string; dependencies?: { code?: Resolved; type?: Resolved }[] }[];
}
type Resolved = { specifier?: string };

/** Reads the answer of `deno info --json ENTRY`. */
export function modulesOf(info: Info, root: string): Modules {
  const path = (specifier?: string) =>
    specifier?.startsWith("file://") ? relative(root, fromFileUrl(specifier)) : undefined;
  const isOurs = (file: string | undefined): file is string =>
    file !== undefined && /^(?:lib\/|plugins\/|main\.ts$)/.test(file);
  return new Map(info.modules.flatMap(({ specifier, dependencies = [] }) => {
    const file = path(specifier);
    if (!isOurs(file)) return [];
    const imports = dependencies.flatMap(({ code, type }) =>
      [path(code?.specifier), path(type?.specifier)].filter(isOurs)
    );
    return [[file, [...new Set(imports)]] as const];
  }));
}

/** What is wrong, one line each; nothing if all is well. */
export function violations(modules: Modules): string[] {
  return [...arrowsUp(modules), ...circles(modules)];
}

/**
 * Files that nobody imports, and uses of what has a home elsewhere.
 *
 * @param texts all files of the product, by their paths
 */
export function strays(modules: Modules, texts: ReadonlyMap<string, string>): string[] {
  return [...texts].flatMap(([file, text]) => [
    ...modules.has(file) ? [] : [`${file} is imported by nobody`],
    ...HOMES.filter(({ use, homes }) =>
      use.test(withoutComments(text)) && !homes.some((home) => file.startsWith(home))
    ).map(({ what, homes }) => `${file} uses ${what}, whose home is ${homes[0]}`),
  ]);
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "");
}

/** The texts of all files of the product. */
async function readTexts(root: string): Promise<Map<string, string>> {
  const texts = new Map([["main.ts", await Deno.readTextFile(`${root}/main.ts`)]]);
  const read = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(`${root}/${folder}`)) {
      const path = `${folder}/${name}`;
      if (isDirectory) await read(path);
      else if (name.endsWith(".ts")) texts.set(path, await Deno.readTextFile(`${root}/${path}`));
    }
  };
  for (const folder of ["lib", "plugins"]) await read(folder);
  return texts;
}

function layerOf(file: string): number {
  return LAYERS.findIndex((folders) =>
    folders.some((folder) => folder === "." ? !file.includes("/") : file.startsWith(`${folder}/`))
  );
}

/** The folder that stands in the list of layers. */
function folderOf(file: string): string {
  return LAYERS.flat().find((folder) => file.startsWith(`${folder}/`)) ?? dirname(file);
}

function arrowsUp(modules: Modules): string[] {
  return [...modules].flatMap(([file, imports]) => {
    if (layerOf(file) < 0) return [`${file} is in no folder of the list of layers`];
    return imports
      .filter((to) => folderOf(to) !== folderOf(file) && layerOf(to) <= layerOf(file))
      .map((to) => `${file} imports ${to}, which is not below it`);
  });
}

/** Each circle once, by the first of its files that is met. */
function circles(modules: Modules): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    const start = way.indexOf(file);
    if (start >= 0) found.push(`a circle: ${[...way.slice(start), file].join(" -> ")}`);
    if (start >= 0 || done.has(file)) return;
    for (const to of modules.get(file) ?? []) visit(to, [...way, file]);
    done.add(file);
  };
  for (const file of modules.keys()) visit(file, []);
  return found;
}

if (import.meta.main) {
  const [root, deno, ...flags] = Deno.args as [string, string];
  const { stdout, code } = await new Deno.Command(deno, {
    args: ["info", "--json", ...flags, `${root}/main.ts`],
    stderr: "inherit",
  }).output();
  if (code !== 0) Deno.exit(1);
  const modules = modulesOf(JSON.parse(new TextDecoder().decode(stdout)), root);
  const lines = [...violations(modules), ...strays(modules, await readTexts(root))];
  for (const line of lines) console.error(line);
  if (lines.length === 0) {
    console.error(`${modules.size} modules: every import points down, and all are imported`);
  }
  Deno.exit(lines.length === 0 ? 0 : 1);
}
