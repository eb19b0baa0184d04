/** Links, addresses, routes and neighbours of any network namespace, over rtnetlink(7). */
import { AF_INET, AF_INET6 } from "../kernel/socket.ts";
import { cString } from "../kernel/libc.ts";
import { open } from "../kernel/files.ts";
import { type Address, decodeAddress } from "./address.ts";
import { type Change, changing } from "./change.ts";
import { decodeLink, decodeStatistics, hexPairs, type Link, type LinkStatistics } from "./link.ts";
import { inNamespace, setLink } from "./link_changes.ts";
import { attribute, type Message, opened, structure, u32 } from "./message.ts";
import { decodeNeighbour, type Neighbour } from "./neighbour.ts";
import {
  decodeRoute,
  decodeRouteEntry,
  decodeRule,
  entryQuestion,
  type Flow,
  type Route,
  routeQuestion,
  type Rule,
} from "./route.ts";
import { decodeTokenBucket, header as trafficHeader, type TokenBucket } from "./traffic_changes.ts";
import { IFLA, NETNSA, RTM } from "./numbers.ts";
import { NETLINK_GET_STRICT_CHK, NETLINK_ROUTE, NetlinkSocket } from "./socket.ts";
import { errno, unless } from "../base/unless.ts";

export type { Address, Change, Link, Neighbour, Route, Rule };
export type { LinkStatistics } from "./link.ts";
export type { Flow, NextHop } from "./route.ts";

/** An interface, and what only its kind has. */
export type LinkDescription = NonNullable<ReturnType<Netlink["describeLink"]>>;

/** The index of lo in every namespace. */
const LOOPBACK = 1;

/** rtnetlink in one network namespace. */
export class Netlink implements Disposable {
  readonly #socket: NetlinkSocket;
  #strict = false;

  private constructor(netns?: string) {
    this.#socket = new NetlinkSocket(NETLINK_ROUTE, netns);
  }

  /**
   * @param netns path of the namespace's handle (`/proc/PID/ns/net`, a bind mount of it); the
   *   process's own namespace when absent
   * @throws {SystemError}
   */
  static open(netns?: string): Netlink {
    return new Netlink(netns);
  }

  /** All interfaces, by index. */
  links(): Link[] {
    return this.#socket.dump(RTM.GETLINK, [new Uint8Array(16)], "list links", decodeLink);
  }

  /** One interface. @throws {SystemError} `ENODEV` when there is none of that name */
  link(name: string): Link {
    const [message] = this.#socket.request(RTM.GETLINK, 0, named(name), `read the link ${name}`);
    return decodeLink(message!);
  }

  /** One interface, or undefined when there is none of that name. @throws {SystemError} */
  findLink(name: string): Link | undefined {
    return this.describeLink(name)?.link;
  }

  /**
   * One interface with what is particular to its kind; undefined when there is none of that name.
   *
   * @throws {SystemError}
   */
  describeLink(name: string) {
    const message = this.#unlessGone(RTM.GETLINK, named(name), `read the link ${name}`);
    if (!message) return undefined;
    const [, attributes] = opened(message.body, 16);
    const permanent = attributes.bytes(IFLA.PERM_ADDRESS);
    return {
      link: decodeLink(message),
      /** IFLA_INFO_DATA (linux/if_link.h). */
      data: attributes.nested(IFLA.LINKINFO).nested(IFLA.INFO_DATA),
      /** The hardware address that its driver gave it, as hexadecimal pairs; absent where it chose none. */
      permanentMac: permanent && hexPairs(permanent),
      /** How many want all frames of it (`promiscuity` of `ip -d link`). */
      promiscuity: attributes.u32(IFLA.PROMISCUITY) ?? 0,
      /** In packets. */
      txQueueLength: attributes.u32(IFLA.TXQLEN) ?? 0,
    };
  }

  /**
   * The interface of an index; undefined when there is none (any more).
   *
   * @param namespaceId of another namespace, by its number here; of none, the kernel's `EINVAL`
   * @throws {SystemError}
   */
  linkAt(index: number, namespaceId?: number): Link | undefined {
    const parts = [structure(16, [4, index, 4]), ...inNamespace(namespaceId)];
    const message = this.#unlessGone(RTM.GETLINK, parts, `read the link of index ${index}`);
    return message && decodeLink(message);
  }

  /**
   * What an interface has carried. It is asked for without the rest of the interface, whose names
   * a container may choose so long, and so many, that no answer has room for them.
   *
   * @returns undefined when there is no interface of that index (any more)
   * @throws {SystemError}
   */
  statisticsOf(index: number): LinkStatistics | undefined {
    // struct if_stats_msg: family, padding, index, mask of what is wanted.
    const header = structure(12, [4, index, 4], [8, 1 << (IFLA.STATS_LINK_64 - 1), 4]);
    const what = `read the statistics of the link of index ${index}`;
    const message = this.#unlessGone(RTM.GETSTATS, [header], what);
    return message &&
      decodeStatistics(opened(message.body, 12)[1].bytes(IFLA.STATS_LINK_64));
  }

  #unlessGone(type: number, parts: readonly Uint8Array[], what: string): Message | undefined {
    return unless(errno("ENODEV"), () => this.#socket.request(type, 0, parts, what)[0]);
  }

  /** Makes a change. @throws {SystemError} with the kernel's reason */
  change(change: Change): void {
    this.#socket.requestAll([change]);
  }

  /**
   * Makes several changes with one system call, one after the other; the kernel goes on after one
   * that it refuses.
   *
   * @throws {Refusal} of the first that it refused, which tells of all
   */
  changeAll(changes: readonly Change[]): void {
    if (changes.length > 0) this.#socket.requestAll(changes);
  }

  /**
   * Makes a change for which the kernel may wait, such as 20 ms until nobody uses a deleted
   * interface any more: on another thread, so that other work goes on.
   *
   * @throws {SystemError}
   */
  async changeElsewhere({ type, flags, parts, what }: Change): Promise<void> {
    await this.#socket.requestElsewhere(type, flags, parts, what);
  }

  /**
   * The addresses of one interface, which the kernel lists without a look at the others.
   *
   * @throws {SystemError}
   */
  addressesOf(index: number): Address[] {
    // Without strict checking (Linux 4.20), a dump's header is ignored.
    if (!this.#strict) this.#socket.setOption(NETLINK_GET_STRICT_CHK, 1);
    this.#strict = true;
    const header = structure(8, [4, index, 4]);
    return this.#socket.dump(RTM.GETADDR, [header], "list addresses", decodeAddress)
      .filter(({ link }) => link === index);
  }

  /** All addresses of all interfaces. */
  addresses(): Address[] {
    return this.#socket.dump(RTM.GETADDR, [new Uint8Array(8)], "list addresses", decodeAddress);
  }

  /** The routes of all tables, IPv4 first. */
  routes(): Route[] {
    return this.#socket.dump(RTM.GETROUTE, [new Uint8Array(12)], "list routes", decodeRoute);
  }

  /**
   * The routes of all tables through one interface, with what the kernel says of each, to be copied
   * or deleted as it is.
   *
   * @throws {SystemError}
   */
  listedRoutesOf(link: number): { route: Route; listed: Uint8Array }[] {
    return this.#socket.dump(RTM.GETROUTE, [new Uint8Array(12)], "list routes", (message) => {
      const route = decodeRoute(message);
      return route?.link === link ? { route, listed: message.body.slice() } : undefined;
    });
  }

  /** The rules that choose among the tables, in the order they are tried. */
  rules(): Rule[] {
    return this.listedRules().map(({ rule }) => rule);
  }

  /** As {@link rules}, with what the kernel says of each, to be copied as it is. */
  listedRules(): { rule: Rule; listed: Uint8Array }[] {
    const what = "list routing rules";
    return this.#socket.dump(RTM.GETRULE, [new Uint8Array(12)], what, (message) => {
      const rule = decodeRule(message);
      return rule && { rule, listed: message.body.slice() };
    });
  }

  /** The ARP and neighbour-discovery caches. */
  neighbours(): Neighbour[] {
    // Each by itself: of no family, the kernel lists the forwarding tables of all bridges as well, which
    // a neighbour can fill with hundreds of thousands of entries.
    return [AF_INET, AF_INET6].flatMap((family) => {
      const header = structure(12, [0, family, 1]);
      return this.#socket.dump(RTM.GETNEIGH, [header], "list neighbours", decodeNeighbour);
    });
  }

  /** The token bucket that limits what leaves by an interface. @throws {SystemError} */
  tokenBucketOf(index: number): TokenBucket | undefined {
    return this.#socket.dump(
      RTM.GETQDISC,
      [trafficHeader(index, 0, 0)],
      "list queueing disciplines",
      ({ body }) => decodeTokenBucket(body),
    ).find(({ link }) => link === index)?.bucket;
  }

  /**
   * The route that a packet to `destination` takes.
   *
   * @param from for a packet that is forwarded: its source and the interface it arrives by
   * @param flow what policy rules may ask for besides
   * @throws {SystemError} `ENETUNREACH` without a route, `EHOSTUNREACH` or `EINVAL` for one that
   *   the kernel would drop
   */
  routeTo(destination: string, from?: { source: string; inputLink: number }, flow?: Flow): Route {
    const parts = routeQuestion(destination, from, flow);
    const what = `find the route to ${destination}`;
    const [message] = this.#socket.request(RTM.GETROUTE, 0, parts, what);
    return decodeRouteEntry(message!);
  }

  /**
   * The entry of a table by which the kernel chooses the route to an address: of several next hops it
   * has all (RTM_F_FIB_MATCH, Linux 4.13).
   *
   * @param from as of {@link routeTo} @throws {SystemError} as it
   */
  routeEntryTo(destination: string, from?: { source: string; inputLink: number }): Route {
    const what = `find the route to ${destination}`;
    const [message] = this.#socket.request(RTM.GETROUTE, 0, entryQuestion(destination, from), what);
    return decodeRouteEntry(message!);
  }

  /**
   * Which number this namespace knows another one by, as in a link's `peerNamespaceId`.
   *
   * @returns undefined when it has given it none
   * @throws {SystemError}
   */
  namespaceId(netns: string): number | undefined {
    using handle = open(netns);
    const [message] = this.#socket.request(RTM.GETNSID, 0, [
      new Uint8Array(4),
      attribute(NETNSA.FD, u32(handle.fd)),
    ], `look up the id of ${netns}`);
    const id = opened(message!.body, 4)[1].i32(NETNSA.NSID) ?? -1;
    return id < 0 ? undefined : id;
  }

  /**
   * Gives another namespace a number here.
   *
   * @param wanted one from 0 on, if the kernel is not to choose
   * @returns false when it had one, or another has the wanted one
   * @throws {SystemError}
   */
  numberNamespace(netns: string, wanted = -1): boolean {
    using handle = open(netns);
    const number = attribute(NETNSA.NSID, u32(wanted));
    const parts = [new Uint8Array(4), number, attribute(NETNSA.FD, u32(handle.fd))];
    return unless(errno("EEXIST", "ENOSPC"), () => {
      this.change(changing(RTM.NEWNSID, `give ${netns} an id`, parts));
      return true;
    }) ?? false;
  }

  /**
   * Whether the namespace of a number goes on: a process, a handle or an open file holds it, wherever that
   * is. A kernel before 4.16 says so of each.
   *
   * @throws {SystemError}
   */
  hasNamespace(id: number): boolean {
    return unless(errno("EINVAL"), () => this.linkAt(LOOPBACK, id)) !== undefined;
  }

  /** Brings an interface up. @throws {SystemError} */
  setLinkUp(name: string): void {
    this.change({ ...setLink(0, name, { name, up: true }), what: `bring up ${name}` });
  }

  [Symbol.dispose](): void {
    this.#socket[Symbol.dispose]();
  }
}

/** A question for the interface of a name. */
function named(name: string): Uint8Array[] {
  return [new Uint8Array(16), attribute(IFLA.IFNAME, cString(name))];
}
