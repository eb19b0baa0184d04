/** Who reads a network config: not all of them take the same. */
import type { Document } from "./document.ts";
import { entries, property } from "./tree.ts";

/**
 * stock-agent: Apache Mesos' own network/cni isolator, which knows single plugins and results of
 * before 0.3.0. isolator: this program's, which reads what either of the others does. libcni:
 * containerd, podman, Nomad, which choose the parser by the file's extension.
 */
export const READERS = ["stock-agent", "isolator", "libcni"] as const;
export type Reader = (typeof READERS)[number];

/**
 * The reader that was named, or the one that a file needs: a stock agent knows neither lists nor
 * capabilities. Undefined if any agent may read it.
 */
export function readerOf(document: Document, context: { reader?: Reader }): Reader | undefined {
  if (context.reader) return context.reader;
  const hasCapabilities = document.plugins.some((plugin) => {
    const [first] = entries(property(plugin.node, "capabilities"));
    return first !== undefined;
  });
  return document.kind === "conflist" || hasCapabilities ? "isolator" : undefined;
}
