/** What of other people's work is in the binary. */
import { join } from "@std/path";

export interface Package {
  name: string;
  version: string;
  /** As in deno.lock: `sha512-…`, base64. */
  integrity: string;
  /** SPDX expression, as its package.json says. */
  license: string;
  /** The text of its licence files; without any, what its package.json says. */
  licenseText: string;
}

interface Lock {
  version: string;
  specifiers: Record<string, string>;
  npm: Record<string, { integrity: string; dependencies?: string[] }>;
}

interface ImportMap {
  imports: Record<string, string>;
}

/** The part of an import map and of a lock file that one program needs. */
export interface Part {
  importMap: ImportMap;
  lock: Lock;
}

/**
 * What the program itself imports, without the packages of its tests and tools.
 *
 * @param specifiers what the program imports: `npm:valibot@1.5.0`
 */
export function partFor(specifiers: readonly string[], importMap: ImportMap, lock: Lock): Part {
  const npm: Lock["npm"] = {};
  const add = (key: string) => {
    if (npm[key]) return;
    const found = lock.npm[key];
    if (!found) throw new Error(`${key} is not in deno.lock`);
    npm[key] = found;
    for (const name of found.dependencies ?? []) {
      const keys = Object.keys(lock.npm).filter((key) =>
        key === name || key.startsWith(`${name}@`)
      );
      if (keys.length !== 1) throw new Error(`${name} is ${keys.length} times in deno.lock`);
      add(keys[0]!);
    }
  };
  for (const specifier of specifiers) add(/^npm:((?:@[^/]+\/)?[^/]+)/.exec(specifier)![1]!);
  return {
    importMap: {
      imports: Object.fromEntries(
        Object.entries(importMap.imports).filter(([, target]) =>
          !target.startsWith("npm:") || specifiers.includes(target)
        ),
      ),
    },
    lock: {
      version: lock.version,
      specifiers: Object.fromEntries(
        specifiers.map((specifier) => [specifier, lock.specifiers[specifier]!]),
      ),
      npm,
    },
  };
}

/** Where Deno unpacks packages: below its cache, a folder for the registry in use. */
export function npmFolder(cache: string): string {
  const npm = join(cache, "npm");
  const [registry] = [...Deno.readDirSync(npm)].filter((entry) => entry.isDirectory);
  if (!registry) throw new Error(`${npm} holds no packages`);
  return join(npm, registry.name);
}

/** @param cache DENO_DIR, in which the packages are unpacked */
export async function packagesOf({ npm }: Lock, cache: string): Promise<Package[]> {
  return await Promise.all(
    Object.entries(npm).map(async ([key, { integrity }]) => {
      const at = key.lastIndexOf("@");
      const [name, version] = [key.slice(0, at), key.slice(at + 1)];
      const directory = join(npmFolder(cache), name, version);
      const about = JSON.parse(await Deno.readTextFile(join(directory, "package.json")));
      const { license = "NOASSERTION", author = "its authors" } = about;
      const licenseText = await licenseTextIn(directory) ||
        `${license}, by ${author.name ?? author}; the package has no file with its licence`;
      return { name, version, integrity, license, licenseText };
    }),
  );
}

async function licenseTextIn(directory: string): Promise<string> {
  const names = [...Deno.readDirSync(directory)]
    .filter(({ isFile, name }) => isFile && /^(licen[cs]e|copying|notice)\b/i.test(name))
    .map(({ name }) => name).sort();
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(directory, name))));
  return texts.map((text) => text.trim()).join("\n\n");
}
