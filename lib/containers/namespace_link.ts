/**
 * Names for `ip netns`: symlinks under /var/run/netns to the namespaces of containers. A cleanup
 * takes the container's away; of a stock agent's container, the next use of this file does.
 */
import { join } from "@std/path";
import { makeDirectory } from "../kernel/atomic_file.ts";
import { OperatorError } from "../base/error.ts";
import { entriesIn } from "../base/exists.ts";
import { tried } from "../base/unless.ts";
import type { Layout } from "./layout.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";

/** Where `ip netns` looks (ip-netns(8)). */
const DIRECTORY = "/var/run/netns";

/**
 * Lets `ip netns exec ID` find a container's namespace. Links to containers that are gone are
 * taken away on the occasion.
 *
 * @returns the path of the link
 * @throws {OperatorError} `link_exists` when something else has the name
 */
export function linkNamespace(layout: Layout, id: ContainerId): string {
  pruneLinks(layout);
  const path = join(DIRECTORY, id);
  const target = layout.link(id);
  makeDirectory(DIRECTORY);
  try {
    Deno.symlinkSync(target, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    if (linkTarget(path) !== target) {
      throw new OperatorError("link_exists", `${path} is there already, and not this container's`);
    }
  }
  return path;
}

/** Takes a container's link away, and those of containers that are gone. */
export function unlinkNamespace(layout: Layout, id: ContainerId): void {
  const path = join(DIRECTORY, id);
  if (linkTarget(path) === layout.link(id)) Deno.removeSync(path);
  pruneLinks(layout);
}

/** Removes links to containers whose namespace is gone. What others put there is left alone. */
function pruneLinks({ containers }: Layout): void {
  for (const { name, isSymlink } of entriesIn(DIRECTORY)) {
    const path = join(DIRECTORY, name);
    const target = isSymlink ? linkTarget(path) : undefined;
    if (target?.startsWith(`${containers}/`) && !isNamespaceHandle(target)) Deno.removeSync(path);
  }
}

function linkTarget(path: string): string | undefined {
  // Nothing is there, or what is there is no link: not ours in either case.
  return tried(() => Deno.readLinkSync(path), undefined);
}
