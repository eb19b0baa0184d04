/** Containers by the beginning of their id, as people type it. */
import { OperatorError } from "../base/error.ts";
import { nearest } from "../base/nearest.ts";
import { type ContainerId, isContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";

/** Every container that has left anything on disk, sorted. */
export function knownContainers(layout: Layout): ContainerId[] {
  return [...new Set([...layout.listContainers(), ...layout.listRequests()])].sort();
}

/**
 * The container whose id is `text`, or begins with it.
 *
 * @param choose picks one of several; without it, they are an error
 * @throws {OperatorError} `unknown_container`, `ambiguous_container` with the candidates
 */
export function findContainer(
  layout: Layout,
  text: string,
  choose?: (candidates: ContainerId[]) => ContainerId | undefined,
): ContainerId {
  // A whole id needs no look at all the others.
  if (isContainerId(text) && layout.has(text)) return text;
  const known = knownContainers(layout);
  const candidates = known.filter((id) => text !== "" && id.startsWith(text));
  if (candidates.length === 1) return candidates[0]!;
  if (candidates.length === 0) {
    throw new OperatorError(
      "unknown_container",
      `no container ${JSON.stringify(text)} under ${layout.containers}${likely(text, known)}: ` +
        "`mesos-cni list` shows those there are; --runtime_dir names another place",
    );
  }
  const chosen = choose?.(candidates);
  if (chosen) return chosen;
  const shown = candidates.slice(0, 20);
  const more = candidates.length - shown.length;
  throw new OperatorError(
    "ambiguous_container",
    `${JSON.stringify(text)} begins ${candidates.length} ids; give more of the one you mean:\n` +
      shown.map((id) => `  ${id}`).join("\n") + (more > 0 ? `\n  … and ${more} more` : ""),
  );
}

/** What an unknown id may have meant, as the end of a sentence. */
function likely(text: string, known: readonly ContainerId[]): string {
  const guess = known.find((id) => text.length > 2 && id.includes(text)) ?? nearest(text, known);
  return guess ? ` (did you mean ${guess}?)` : "";
}
