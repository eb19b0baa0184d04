/** Whose rules and ports: the names that records and comments have. */

/** One interface of one container. */
export interface Owner {
  containerId: string;
  network: string;
  ifName: string;
}

/** The name of an owner's files: ids, networks and interfaces have no colon. */
export function keyOf({ containerId, network, ifName }: Owner): string {
  return shortened(`${containerId}:${network}:${ifName}`, 200);
}

/** Text of any length as one of at most `limit`; `~` is in no id, so two never meet. */
function shortened(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // Loaded for the few ids that are this long: it would be half of a plugin's start.
  // deno-lint-ignore no-process-global
  const { createHash } = process.getBuiltinModule("node:crypto");
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 32);
  return `${text.slice(0, limit - 33)}~${hash}`;
}

/** nftables keeps 127 bytes of a comment, of which 14 are `container_id: `. */
const LONGEST_ID = 100;

/** What marks a container's ports in both backends, and those of the original port mapper. */
export function commentOf(containerId: string): string {
  return `container_id: ${shortened(containerId, LONGEST_ID)}`;
}

/** The comments that rules of a container's ports may have: the original plugin shortens no id. */
export function possibleComments(containerId: string): string[] {
  return [...new Set([commentOf(containerId), `container_id: ${containerId}`])];
}

/** What marks an attachment's rules as containernetworking/plugins write them (pkg/utils). */
export function attachedComment({ network, containerId }: Omit<Owner, "ifName">): string {
  return `name: "${network}" id: "${containerId}"`;
}

/** Whose a rule is, as far as its comment says. */
export interface Named {
  /** A long one may be shortened, or cut. */
  containerId: string;
  network?: string;
}

/** Every form of a comment that names a container. */
const FORMS: readonly RegExp[] = [
  // The original port mapper, and this one.
  /^container_id: (?<containerId>.+)$/,
  // The reference's bridge and ptp; its portmap, which cuts what is too long.
  /^(?:dnat )?name: "(?<network>[^"]+)" id: "(?<containerId>[^"]+)/,
];

/** Reads a comment, whoever wrote it; undefined if it names no container. */
export function namedIn(comment = ""): Named | undefined {
  for (const form of FORMS) {
    const found = form.exec(comment)?.groups;
    if (found) return { ...found } as unknown as Named;
  }
  return undefined;
}

/** Whether a comment may name this container. */
export function names({ containerId: named }: Named, containerId: string): boolean {
  return named === containerId || named === shortened(containerId, LONGEST_ID);
}
