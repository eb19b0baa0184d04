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
import { hostEnd } from "../netlink/host_end.ts";
import { isInNetworkOf } from "../netlink/sight.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { Attachment, Layout } from "./layout.ts";
import type { Request, Wire } from "./request.ts";

const isGone = errno("ENODEV");
const VETH = "veth";

/**
 * The interfaces of these names in a container's namespace, as they are just after their ADD.
 *
 * @param inside rtnetlink in the container's namespace
 * @param netns its handle
 * @throws {SystemError}
 */
export function findWires(
  inside: Netlink,
  netns: string,
  attachments: readonly Attachment[],
): Wire[] {
  using host = Netlink.open();
  const links = inside.links();
  return attachments.flatMap(({ network, ifName }) => {
    const link = links.find(({ name }) => name === ifName);
    if (!link) return [];
    const { index, kind } = link;
    const outer = hostEnd(host, netns, link);
    return [{
      network,
      ifName,
      index,
      ...kind === undefined ? {} : { kind },
      ...outer ? { host: { index: outer.index, name: outer.name } } : {},
    }];
  });
}

/** An interface as it was made: a container may give its index to another one, of another kind. */
interface End {
  index: number;
  name: string;
  kind: string;
}

/** The wires of one container that are to be cut and taken away. */
export class Wires {
  /** Ends in the agent's namespace. */
  readonly #outer: End[];
  /** Indices in the container's namespace, of what has no end outside of it. */
  readonly #inner: End[];
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
      this.#outer = wires.flatMap(({ host }) => host ? { ...host, kind: VETH } : []);
      this.#inner = wires.flatMap(({ host, kind, index, ifName: name }) =>
        host || kind === undefined || kind === "loopback" ? [] : { index, name, kind }
      );
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
      if (host.linkAt(index)?.kind === VETH) {
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
    const outer = this.#removeFrom(undefined, this.#outer);
    const handle = this.layout.namespace(this.id);
    if (this.#inner.length === 0 || !isForeign(handle)) return outer;
    return [...outer, ...this.#removeFrom(handle, this.#inner)];
  }

  #removeFrom(netns: string | undefined, ends: readonly End[]): string[] {
    if (ends.length === 0) return [];
    using netlink = Netlink.open(netns);
    const removed: string[] = [];
    for (const { index, name, kind } of ends) {
      const link = netlink.linkAt(index);
      if (link?.kind !== kind) continue;
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
function leadingInto(handle: string): End[] {
  if (!isForeign(handle)) return [];
  using host = Netlink.open();
  const namespaceId = host.namespaceId(handle);
  if (namespaceId === undefined) return [];
  return host.links()
    .filter(({ kind, peerNamespaceId }) => kind === VETH && peerNamespaceId === namespaceId)
    .map(({ index, name }) => ({ index, name, kind: VETH }));
}
