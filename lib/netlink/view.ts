/** A network namespace as it is now: everything that the kernel tells about it, read once. */
import { isGone, stateOf } from "../kernel/proc.ts";
import { SystemError } from "../kernel/libc.ts";
import { readProcFile } from "../kernel/files.ts";
import { inNamespaces } from "../kernel/namespaces.ts";
import { type Address, type Link, type Neighbour, Netlink, type Route, type Rule } from "./mod.ts";

/** What is in a namespace. Each list is read when first asked for, and then stays as it is. */
export class NamespaceView implements Disposable {
  readonly netlink: Netlink;
  #links?: Link[];
  #linksByIndex?: Map<number, Link>;
  #addresses?: Address[];
  #routes?: Route[];
  #rules?: Rule[];
  #neighbours?: Neighbour[];

  /**
   * @param netns path of the handle; this process's own namespace when absent
   * @throws {SystemError}
   */
  constructor(readonly netns?: string) {
    this.netlink = Netlink.open(netns);
  }

  get links(): Link[] {
    return this.#links ??= this.netlink.links();
  }

  get addresses(): Address[] {
    return this.#addresses ??= this.netlink.addresses();
  }

  get routes(): Route[] {
    return this.#routes ??= this.netlink.routes();
  }

  get rules(): Rule[] {
    return this.#rules ??= this.netlink.rules();
  }

  get neighbours(): Neighbour[] {
    return this.#neighbours ??= this.netlink.neighbours();
  }

  link(name: string): Link | undefined {
    return this.links.find((link) => link.name === name);
  }

  linkAt(index: number | undefined): Link | undefined {
    // An agent's own has a link for each container, and each container's is looked up.
    this.#linksByIndex ??= new Map(this.links.map((link) => [link.index, link]));
    return index === undefined ? undefined : this.#linksByIndex.get(index);
  }

  /** The addresses of one interface. */
  addressesOf(link: Link): Address[] {
    return this.addresses.filter((address) => address.link === link.index);
  }

  /** The interface that has this address. */
  ownerOf(address: string): Link | undefined {
    return this.linkAt(this.addresses.find((one) => one.address === address)?.link);
  }

  /**
   * The text of a file under /proc/sys/net or /proc/net as this namespace has it.
   *
   * @param path below /proc: `sys/net/ipv4/ip_forward`, `net/tcp`
   * @returns undefined when this kernel has no such file
   */
  proc(path: string): string | undefined {
    // /proc/net is a link to that of the process, whose main thread is not the only one.
    const read = () => readProcFile(`/proc/${path.replace(/^net\//, "thread-self/net/")}`);
    try {
      return this.netns === undefined ? read() : inNamespaces({ net: this.netns }, read);
    } catch (error) {
      if (error instanceof SystemError && error.errnoName === "ENOENT") return undefined;
      throw error;
    }
  }

  /** A setting of the namespace, such as `ipv4/ip_forward`. */
  setting(name: string): string | undefined {
    return this.proc(`sys/net/${name}`)?.trim();
  }

  /** Whether a setting is one that this namespace may change: some are the whole machine's. */
  mayChange(name: string): boolean {
    const look = () => stateOf(`/proc/sys/net/${name}`).mode & 0o200;
    try {
      return (this.netns === undefined ? look() : inNamespaces({ net: this.netns }, look)) !== 0;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  /** Changes something there, also when this view is closed. @throws {SystemError} */
  change(work: (netlink: Netlink) => void): void {
    using netlink = Netlink.open(this.netns);
    work(netlink);
  }

  [Symbol.dispose](): void {
    this.netlink[Symbol.dispose]();
  }
}

/**
 * The host's end of a container's veth.
 *
 * @returns undefined when there is none here: another kind of interface, or its peer was moved
 */
export function hostEnd(
  host: NamespaceView,
  inside: NamespaceView & { netns: string },
  link: Link,
): Link | undefined {
  if (link.peerIndex === undefined) return undefined;
  const peer = host.linkAt(link.peerIndex);
  if (peer?.peerIndex !== link.index) return undefined;
  // An index alone may be any link's: the host must also know the namespace by the peer's number.
  return peer.peerNamespaceId === host.netlink.namespaceId(inside.netns) ? peer : undefined;
}
