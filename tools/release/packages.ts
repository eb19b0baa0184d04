/** What of other people's work is in the binary. */
import { join } from "@std/path";

export interface Package {
  registry: "npm" | "jsr";
  name: string;
  version: string;
  /** As in deno.lock: npm's `sha512-…` in base64, JSR's SHA-256 in hexadecimal. */
  integrity: string;
  /** SPDX expression, as its package.json says. */
  license: string;
  /** The text of its licence files; without any, what its package.json says. */
  licenseText: string;
}

type Locked = Record<string, { integrity: string; dependencies?: string[] }>;

interface Lock {
  version: string;
  specifiers: Record<string, string>;
  npm: Locked;
  jsr?: Locked;
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
 * @param specifiers what the program imports: `npm:valibot@1.5.0`, `jsr:@std/path@1.1.6`
 * @throws {Error} for a package of which deno.lock has no hash
 */
export function partFor(specifiers: readonly string[], importMap: ImportMap, lock: Lock): Part {
  // What may follow a version is the path of a module in the package; the lock file has none.
  const requirements = specifiers.map((specifier) =>
    /^\w+:(?:@[^/]+\/)?[^/@]+@[^/]+/.exec(specifier)![0]
  );
  const of = (registry: string) =>
    requirements.filter((specifier) => specifier.startsWith(`${registry}:`)).map((specifier) => {
      const [requirement, name, version] = /^\w+:(.+)@(.+)$/.exec(specifier)!;
      return `${name}@${lock.specifiers[requirement] ?? version}`;
    });
  const npm = closure(of("npm"), lock.npm, "");
  const jsr = closure(of("jsr"), lock.jsr ?? {}, "jsr:");
  const isUsed = (specifier: string) => {
    const [, name] = /^jsr:(@[^/]+\/[^@]+)@/.exec(specifier) ?? [];
    return requirements.includes(specifier) ||
      (name !== undefined && Object.keys(jsr).some((key) => key.startsWith(`${name}@`)));
  };
  return {
    importMap: {
      imports: Object.fromEntries(
        Object.entries(importMap.imports).filter(([, target]) =>
          !/^(npm|jsr):/.test(target) || specifiers.includes(target)
        ),
      ),
    },
    lock: {
      version: lock.version,
      specifiers: Object.fromEntries(
        Object.entries(lock.specifiers).filter(([specifier]) => isUsed(specifier)),
      ),
      ...Object.keys(jsr).length > 0 ? { jsr } : {},
      npm,
    },
  };
}

/**
 * Packages and what they need.
 *
 * @param keys names with versions, as in the lock file
 * @param prefix what stands before a name in a list of dependencies
 */
function closure(keys: readonly string[], locked: Locked, prefix: string): Locked {
  const found: Locked = {};
  const add = (key: string) => {
    if (found[key]) return;
    const one = locked[key];
    if (!one) {
      throw new Error(
        `deno.lock has no hash of ${prefix}${key}: run ./dev lock where its registry answers, ` +
          "and commit deno.lock",
      );
    }
    found[key] = one;
    for (const dependency of one.dependencies ?? []) {
      const name = dependency.slice(prefix.length);
      const bare = name.replace(/(?!^)@.*/, "");
      const keys = Object.keys(locked).filter((key) => key === name || key.startsWith(`${bare}@`));
      if (keys.length !== 1) throw new Error(`${name} is ${keys.length} times in deno.lock`);
      add(keys[0]!);
    }
  };
  keys.forEach(add);
  return found;
}

/** Where Deno unpacks packages: below its cache, a folder for the registry in use. */
export function npmFolder(cache: string): string {
  const npm = join(cache, "npm");
  const [registry] = [...Deno.readDirSync(npm)].filter((entry) => entry.isDirectory);
  if (!registry) throw new Error(`${npm} holds no packages`);
  return join(npm, registry.name);
}

/** @param cache DENO_DIR, in which the packages are unpacked */
export async function packagesOf({ npm, jsr = {} }: Lock, cache: string): Promise<Package[]> {
  const ofNpm = Object.entries(npm).map(async ([key, { integrity }]): Promise<Package> => {
    const [name, version] = splitKey(key);
    const directory = join(npmFolder(cache), name, version);
    const about = JSON.parse(await Deno.readTextFile(join(directory, "package.json")));
    const { license = "NOASSERTION", author = "its authors" } = about;
    const licenseText = await licenseTextIn(directory) ||
      `${license}, by ${author.name ?? author}; the package has no file with its licence`;
    return { registry: "npm", name, version, integrity, license, licenseText };
  });
  return [...await Promise.all(ofNpm), ...Object.entries(jsr).map(ofJsr)];
}

/** JSR serves single modules and no licence file. All that this program has from it is Deno's own. */
function ofJsr([key, { integrity }]: [string, { integrity: string }]): Package {
  const [name, version] = splitKey(key);
  if (!name.startsWith("@std/")) throw new Error(`the licence of ${name} is not known here`);
  const licenseText = "Copyright 2018-2026 the Deno authors. MIT License, whose text stands above.";
  return { registry: "jsr", name, version, integrity, license: "MIT", licenseText };
}

function splitKey(key: string): [string, string] {
  const at = key.lastIndexOf("@");
  return [key.slice(0, at), key.slice(at + 1)];
}

async function licenseTextIn(directory: string): Promise<string> {
  const names = [...Deno.readDirSync(directory)]
    .filter(({ isFile, name }) => isFile && /^(licen[cs]e|copying|notice)\b/i.test(name))
    .map(({ name }) => name).sort();
  const texts = await Promise.all(names.map((name) => Deno.readTextFile(join(directory, name))));
  return texts.map((text) => text.trim()).join("\n\n");
}
