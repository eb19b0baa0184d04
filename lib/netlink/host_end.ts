/** The agent's side of a container's wire. */
import type { Link } from "./mod.ts";

/**
 * The host's end of a container's veth. A container may make a pair of its own with the indices of another's, and
 * so may a plugin whose other end is elsewhere: the kernel says in which network an end's peer is.
 *
 * @param link of the container's namespace
 * @returns undefined when there is none here: another kind of interface, or its peer was moved
 */
export function hostEnd(
  host: {
    linkAt(index: number): Link | undefined;
    namespaceId(netns: string): number | undefined;
  },
  netns: string,
  { index, peerIndex }: Link,
): Link | undefined {
  const end = peerIndex === undefined ? undefined : host.linkAt(peerIndex);
  const isOtherEnd = end?.kind === "veth" && end.peerIndex === index &&
    end.peerNamespaceId !== undefined && end.peerNamespaceId === host.namespaceId(netns);
  return isOtherEnd ? end : undefined;
}
