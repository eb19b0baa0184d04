/** Containers by the beginning of their id, as people type it. */
import { OperatorError } from "../base/error.ts";
import { nearest } from "../base/nearest.ts";
import { type ContainerId, parseContainerId } from "../mesos/container_id.ts";
import type { Layout } from "./layout.ts";

/** Every container that has left anything on disk, sorted. */
export function knownContainers(layout: Layout): ContainerId[] {
  return [...new Set([...layout.listContainers(), ...layout.listRequests()])].sort();
}

/**
 * The container that `text` is the id of, or the only one whose id begins with it.
 *
 * @throws {OperatorError} `ambiguous_id` with the candidates, or `unknown_container`
 */
export function findContainer(layout: Layout, text: string): ContainerId {
  const known = knownContainers(layout);
  const exact = known.find((id) => id === text);
  if (exact) return exact;
  const candidates = known.filter((id) => text !== "" && id.startsWith(text));
  const [first, second] = candidates;
  if (first && !second) return first;
  if (second) {
    throw new OperatorError(
      "ambiguous_id",
      `${text} could be any of:\n${candidates.map((id) => `  ${id}`).join("\n")}`,
    );
  }
  parseContainerId(text);
  throw new OperatorError(
    "unknown_container",
    `no container ${text} in ${layout.containers}` +
      (known.length === 0
        ? ", which has none: is --runtime_dir right?"
        : `${likely(text, known)}: mesos-cni list shows those there are`),
  );
}

/** What an unknown id may have meant, as the end of a sentence. */
export function likely(text: string, known: readonly ContainerId[]): string {
  const guess = known.find((id) => text.length > 2 && id.includes(text)) ?? nearest(text, known);
  return guess ? ` (did you mean ${guess}?)` : "";
}
