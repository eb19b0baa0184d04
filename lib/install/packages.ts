/** What Debian's package manager has put on the machine: it is neither replaced nor removed. */
import { basename, dirname, join } from "@std/path";
import { variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { runTool } from "../program/tool.ts";
import { namesIn } from "../base/exists.ts";
import { tried } from "../base/unless.ts";

const DIVERT = "/usr/bin/dpkg-divert";

/** dpkg(1), DPKG_ADMINDIR */
function adminDir(): string {
  return variable("DPKG_ADMINDIR") || "/var/lib/dpkg";
}

/** The packages that own these paths; those that belong to none are not among them. */
export function packagesOf(paths: readonly string[]): Map<string, string> {
  const wanted = new Map(
    paths.flatMap((path) => [[path, path], [realPathOf(path), path]] as const),
  );
  const owners = new Map<string, string>();
  const info = `${adminDir()}/info`;
  for (const name of listsIn(info)) {
    for (const line of Deno.readTextFileSync(`${info}/${name}`).split("\n")) {
      const path = wanted.get(line);
      if (path !== undefined) owners.set(path, name.replace(/(?::\w+)?\.list$/, ""));
    }
  }
  return owners;
}

function listsIn(info: string): string[] {
  // None: it is not Debian.
  return namesIn(info).filter((name) => name.endsWith(".list"));
}

/** A file's path by its directory's real one, as on a machine whose /lib is a link to /usr/lib. */
function realPathOf(path: string): string {
  // Its directory may be still to be made.
  return tried(() => join(Deno.realPathSync(dirname(path)), basename(path)), path);
}

/**
 * Tells dpkg that a package's file is called otherwise, now and after each upgrade, until
 * {@link undivert} (dpkg-divert(1)). The file itself stays where it is.
 *
 * @throws {OperatorError} `dpkg_failed`
 */
export async function divert(path: string, aside: string): Promise<void> {
  await run(["--local", "--no-rename", "--divert", aside, "--add", path]);
}

/** Takes that back; where nothing is diverted, nothing happens. @throws {OperatorError} `dpkg_failed` */
export async function undivert(path: string): Promise<void> {
  await run(["--local", "--no-rename", "--remove", path]);
}

async function run(args: string[]): Promise<void> {
  const { code, stderr } = await runTool(DIVERT, [`--admindir=${adminDir()}`, "--quiet", ...args]);
  if (code !== 0) {
    throw new OperatorError("dpkg_failed", `dpkg-divert ${args.join(" ")}: ${stderr}`);
  }
}
