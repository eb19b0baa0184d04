/**
 * The interfaces of a container from the agent's side. A container may rename its end, flush its
 * addresses, or take it to a namespace of its own making; the end in the agent's namespace is out
 * of its reach, and what passes that end, or not, is the agent's to say.
 */
import { log } from "../base/log.ts";
import { errno, unless } from "../base/unless.ts";
import { isForeign } from "../kernel/namespaces.ts";
import { bootId } from "../kernel/process_identity.ts";
import { deleteLink, setLink } from "../netlink/link_changes.ts";
import { Netlink } from "../netlink/mod.ts";
import { isInNetworkOf } from "../netlink/sight.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Attachment, Layout } from "./layout.ts";
import type { Request, Wire } from "./request.ts";

const isGone = errno("ENODEV");

/**
 * The interfaces of these names in a container's namespace, as they are just after their ADD.
 *
 * @param inside rtnetlink in the container's namespace
 * @throws {SystemError}
 */
export function findWires(inside: Netlink, attachments: readonly Attachment[]): Wire[] {
  using host = Netlink.open();
  const links = inside.links();
  return attachments.flatMap(({ network, ifName }) => {
    const link = links.find(({ name }) => name === ifName);
    if (!link) return [];
    const { index, kind, peerIndex } = link;
    const outer = kind === "veth" && peerIndex !== undefined ? host.linkAt(peerIndex) : undefined;
    const isOtherEnd = outer?.kind === "veth" && outer.peerIndex === index;
    return [{
      network,
      ifName,
      index,
      ...kind === undefined ? {} : { kind },
      ...isOtherEnd ? { host: { index: outer.index, name: outer.name } } : {},
    }];
  });
}

/** The wires of one container that are to be cut and taken away. */
export class Wires {
  /** Ends in the agent's namespace. */
  readonly #outer: { index: number; name: string }[];
  /** Indices in the container's namespace, of what has no end outside of it. */
  readonly #inner: { index: number; name: string }[];
  /** Whether `cut` ends all that passes them. */
  readonly areCuttable: boolean;

  /**
   * @param request what is on record; of a container without, or of an earlier version's, the
   *   wires are those that lead into its namespace now
   */
  constructor(
    private readonly layout: Layout,
    private readonly id: ContainerId,
    request: Request | undefined,
  ) {
    const recorded = request?.wires !== undefined && request.bootId === bootId() &&
      request.agent !== undefined && isInNetworkOf(request.agent);
    this.areCuttable = recorded &&
      layout.listAttachments(id).every(({ network, ifName }) =>
        request.wires!.some((one) => one.network === network && one.ifName === ifName && one.host)
      );
    const own = !request || request.mode === "own" && !request.test;
    if (recorded) {
      const { wires = [] } = request;
      this.#outer = wires.flatMap(({ host }) => host ?? []);
      this.#inner = wires.filter(({ host, kind }) => !host && kind !== undefined)
        .map(({ index, ifName: name }) => ({ index, name }));
    } else {
      this.#outer = own ? leadingInto(layout.namespace(id)) : [];
      this.#inner = [];
    }
  }

  /**
   * Takes the outer ends down: from now on, whatever lives behind them uses none of the addresses
   * that are about to be given back.
   *
   * @throws {SystemError}
   */
  cut(): void {
    if (this.#outer.length === 0) return;
    using host = Netlink.open();
    for (const { index, name } of this.#outer) {
      if (host.linkAt(index)?.kind === "veth") {
        unless(isGone, () => host.change(setLink(index, name, { up: false })));
      }
    }
  }

  /**
   * Removes what the plugins' DEL has left of them: it goes by the names in the container.
   *
   * @returns a line for each
   * @throws {SystemError}
   */
  remove(): string[] {
    const outer = this.#removeFrom(undefined, this.#outer, ({ kind }) => kind === "veth");
    const handle = this.layout.namespace(this.id);
    if (this.#inner.length === 0 || !isForeign(handle)) return outer;
    return [...outer, ...this.#removeFrom(handle, this.#inner, ({ kind }) => kind !== "loopback")];
  }

  #removeFrom(
    netns: string | undefined,
    ends: readonly { index: number; name: string }[],
    isWire: (link: { kind?: string | undefined }) => boolean,
  ): string[] {
    if (ends.length === 0) return [];
    using netlink = Netlink.open(netns);
    const removed: string[] = [];
    for (const { index, name } of ends) {
      const link = netlink.linkAt(index);
      if (!link || !isWire(link)) continue;
      log.info("removing a link that the plugins left", {
        container: this.id,
        link: link.name,
        index,
      });
      unless(isGone, () => netlink.change(deleteLink(index, name)));
      removed.push(`the link ${link.name} (index ${index})`);
    }
    return removed;
  }
}

/** The agent's ends of all wires into a namespace. */
function leadingInto(handle: string): { index: number; name: string }[] {
  if (!isForeign(handle)) return [];
  using host = Netlink.open();
  const namespaceId = host.namespaceId(handle);
  if (namespaceId === undefined) return [];
  return host.links()
    .filter(({ kind, peerNamespaceId }) => kind === "veth" && peerNamespaceId === namespaceId)
    .map(({ index, name }) => ({ index, name }));
}
