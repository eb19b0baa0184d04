/** A network namespace as it is now: everything that the kernel tells about it, read once. */
import { SystemError } from "../kernel/libc.ts";
import { readProcFile } from "../kernel/files.ts";
import { inNamespaces, type Synchronous } from "../kernel/namespaces.ts";
import { stateOf } from "../kernel/proc.ts";
import { readSysctl, withSysctlsOf } from "../kernel/sysctl.ts";
import {
  type Address,
  type Flow,
  type Link,
  type Neighbour,
  Netlink,
  type Route,
  type Rule,
} from "./mod.ts";
import { errno, isA, unless } from "../base/unless.ts";

/** States of neighbours (linux/neighbour.h) in which the hardware address is one; of NOARP it is a link's own. */
const KNOWN = ["REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT"];

/** A packet that comes from elsewhere and is led on: its source, and the link that it comes in by. */
export interface Forwarded {
  source: string;
  inputLink: number;
}

/** What readers ask of a namespace; each list is read when first asked for, and then stays as it is. */
export abstract class Space {
  #byIndex?: Map<number, Link>;
  #byLink?: Map<number, Address[]>;
  #byAddress?: Map<string, Address>;
  #byTable?: Map<string, Route[]>;

  /** Path of the handle; absent for this process's own namespace. */
  abstract readonly netns?: string;
  abstract readonly links: readonly Link[];
  abstract readonly addresses: readonly Address[];
  abstract readonly routes: readonly Route[];
  abstract readonly rules: readonly Rule[];
  abstract readonly neighbours: readonly Neighbour[];

  /** The table of neighbours as it is now. */
  abstract neighboursNow(): readonly Neighbour[];

  /** A setting of the namespace, such as `ipv4/ip_forward`. */
  abstract setting(name: string): string | undefined;

  /** Several settings, for which the namespace is entered once. */
  settingsOf(names: readonly string[]): (string | undefined)[] {
    return names.map((name) => this.setting(name));
  }

  /** The text of a file below /proc, as this namespace has it; undefined where this kernel has none. */
  abstract proc(path: string): string | undefined;

  /** How often something has happened in the namespace, as a file below /proc/net tells in lines or in columns. */
  counted(file: "netstat" | "snmp" | "snmp6", name: string): number {
    const lines = (this.proc(`net/${file}`) ?? "").split("\n").map((line) =>
      line.trim().split(/\s+/)
    );
    const at = lines.findIndex((words) => words.includes(name));
    const column = lines[at]?.indexOf(name);
    return Number((column ? lines[at + 1]?.[column] : lines[at]?.[1]) ?? 0);
  }

  /** Whether a setting is one that this namespace may change: some are the whole machine's. */
  abstract mayChange(name: string): boolean;

  /** What the kernel says of the way; errno's name where it has none. */
  abstract routeTo(destination: string, from?: Forwarded, flow?: Flow): Route | string;

  /** The entry of a table by which the kernel chooses the way, with all of its next hops. */
  abstract entryTo(destination: string, from?: Forwarded): Route | undefined;

  /** Which number this namespace knows another one by. */
  abstract namespaceId(netns: string): number | undefined;

  link(name: string): Link | undefined {
    return this.links.find((link) => link.name === name);
  }

  linkAt(index: number | undefined): Link | undefined {
    // An agent's own has a link for each container, and each container's is looked up.
    this.#byIndex ??= new Map(this.links.map((link) => [link.index, link]));
    return index === undefined ? undefined : this.#byIndex.get(index);
  }

  /** The addresses of one interface. */
  addressesOf({ index }: Link): readonly Address[] {
    this.#byLink ??= Map.groupBy(this.addresses, ({ link }) => link);
    return this.#byLink.get(index) ?? [];
  }

  /** The addresses of an interface by which others know it. */
  globalsOf(link: Link, family: 4 | 6): readonly Address[] {
    const name = family === 4 ? "inet" : "inet6";
    return this.addressesOf(link).filter((one) => one.family === name && one.scope === "global");
  }

  /** The routes of a family, of all tables or of one: as many may be asked for as there are rules. */
  routesOf(family: 4 | 6, table?: string): readonly Route[] {
    const name = family === 4 ? "inet" : "inet6";
    if (table === undefined) return this.routes.filter((one) => one.family === name);
    this.#byTable ??= Map.groupBy(this.routes, (one) => `${one.family} ${one.table}`);
    return this.#byTable.get(`${name} ${table}`) ?? [];
  }

  /** The policy rules of a family, in the order they are tried. */
  rulesOf(family: 4 | 6): readonly Rule[] {
    const name = family === 4 ? "inet" : "inet6";
    return this.rules.filter((one) => one.family === name);
  }

  /** The route to an address and the link that it leads by, where the kernel has one. */
  wayTo(destination: string): { route?: Route; link?: Link } {
    const route = this.routeTo(destination);
    return typeof route === "string" ? {} : { route, link: this.linkAt(route.link) };
  }

  /** The interface that has this address. */
  ownerOf(address: string): Link | undefined {
    this.#byAddress ??= new Map(this.addresses.toReversed().map((one) => [one.address, one]));
    return this.linkAt(this.#byAddress.get(address)?.link);
  }

  /** Who is known on a link: his hardware address was told, or entered by hand. */
  knownOn({ index }: Link): readonly Neighbour[] {
    return this.neighbours.filter(({ link, mac, state }) =>
      link === index && mac !== undefined && KNOWN.includes(state)
    );
  }

  /** The table's entry for a neighbour as it is now. */
  neighbourNow(address: string, { index }: Link): Neighbour | undefined {
    return this.neighboursNow().find((one) => one.address === address && one.link === index);
  }
}

/** A namespace of this machine. */
export class NamespaceView extends Space implements Disposable {
  readonly netlink: Netlink;
  #links?: Link[];
  #addresses?: Address[];
  #routes?: Route[];
  #rules?: Rule[];
  #neighbours?: Neighbour[];

  /**
   * @param netns path of the handle; this process's own namespace when absent
   * @throws {SystemError}
   */
  constructor(readonly netns?: string) {
    super();
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

  neighboursNow(): Neighbour[] {
    return this.netlink.neighbours();
  }

  routeTo(destination: string, from?: Forwarded, flow?: Flow): Route | string {
    try {
      return this.netlink.routeTo(destination, from, flow);
    } catch (error) {
      if (error instanceof SystemError) return error.errnoName;
      throw error;
    }
  }

  entryTo(destination: string, from?: Forwarded): Route | undefined {
    return unless(isA(SystemError), () => this.netlink.routeEntryTo(destination, from));
  }

  namespaceId(netns: string): number | undefined {
    return this.netlink.namespaceId(netns);
  }

  /**
   * The text of a file under /proc/sys/net or /proc/net as this namespace has it.
   *
   * @param path below /proc: `sys/net/ipv4/ip_forward`, `net/tcp`
   * @returns undefined when this kernel has no such file
   */
  proc(path: string): string | undefined {
    // /proc/net is a link to that of the process, whose main thread is not the only one.
    return this.#look(() => readProcFile(`/proc/${path.replace(/^net\//, "thread-self/net/")}`));
  }

  setting(name: string): string | undefined {
    return this.settingsOf([name])[0];
  }

  override settingsOf(names: readonly string[]): (string | undefined)[] {
    const values: (string | undefined)[] = [];
    const read = () => {
      for (const name of names) {
        values.push(unless(errno("ENOENT"), () => readSysctl(`net/${name}`)));
      }
      return undefined;
    };
    if (this.netns === undefined) read();
    else unless(errno("ENOENT"), () => withSysctlsOf(this.netns!, read));
    return values;
  }

  mayChange(name: string): boolean {
    const mode = this.#look(() => stateOf(`/proc/sys/net/${name}`).mode);
    return ((mode ?? 0) & 0o200) !== 0;
  }

  /** Looks at a file as this namespace has it; undefined when there is none. */
  #look<R>(look: () => Synchronous<R>): R | undefined {
    const namespaces = this.netns === undefined ? {} : { net: this.netns };
    return unless(errno("ENOENT"), () => inNamespaces(namespaces, look));
  }

  [Symbol.dispose](): void {
    this.netlink[Symbol.dispose]();
  }
}
