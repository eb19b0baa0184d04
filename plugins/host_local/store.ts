/**
 * The leases of a network, in the reference's format: a file for each address, which holds its
 * container's id and interface, and `last_reserved_ip.N`; all under the flock of `lock`. Other
 * programs may work on the same directory at the same time.
 */
import { OperatorError } from "../../lib/base/error.ts";
import { withFile } from "../../lib/base/file_error.ts";
import { log } from "../../lib/base/log.ts";
import { isAddress } from "../../lib/base/ip.ts";
import {
  type Holder,
  holderIn,
  leasedAddresses,
  type LeasedFor,
  leaseNetwork,
  markLease,
} from "../../lib/containers/lease.ts";
import {
  createWhole,
  type Handle,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  open,
  openAt,
  readRegular,
  removeAt,
  write,
} from "../../lib/kernel/files.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { FileLock } from "../../lib/kernel/lock.ts";
import { bootId } from "../../lib/kernel/process_identity.ts";
import { type AttachedNetwork, leadsTo } from "../../lib/netlink/attached_network.ts";
import { errno, unless, unlessRefused } from "../../lib/base/unless.ts";
import { readAttribute, setAttribute } from "../../lib/kernel/attributes.ts";

/** How long, in ms, to wait for other programs at work on the store. */
const PATIENCE = 60_000;
const LEASE_MODE = 0o600;
const LOCK = "lock";
const LOCK_MODE = 0o750;
/** As the attribute of a lease, the reference sees nothing of it. */
const COMPARED = "trusted.mesos_cni";
export interface Leaseholder extends Holder {
  network?: AttachedNetwork | undefined;
}

/** A store whose lock is held, until the end of its `using` block. */
export class LeaseStore implements Disposable {
  /** How each mark was before this call moved it; empty: not there. */
  readonly #marks = new Map<string, string>();

  private constructor(
    readonly path: string,
    private readonly dir: Handle,
    private readonly lock: FileLock,
  ) {}

  /**
   * Opens the store of a network, made if need be, once nobody else is at work on it.
   *
   * @throws {SystemError}
   * @throws {OperatorError} `store_busy`
   */
  static async open(path: string): Promise<LeaseStore> {
    withFile("make", path, () => Deno.mkdirSync(path, { recursive: true, mode: 0o755 }));
    const lock = await FileLock.take(`${path}/${LOCK}`, PATIENCE, LOCK_MODE);
    if (!lock) throw new OperatorError("store_busy", `another program keeps holding ${path}/lock`);
    try {
      return new LeaseStore(path, open(path, O_DIRECTORY), lock);
    } catch (error) {
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** The addresses that a container's interface holds. */
  addressesOf({ containerId, ifName, netns }: Holder & { netns?: string | undefined }): string[] {
    return [...this.holders()].filter(([address, holder]) => {
      if (holder.containerId === "") {
        const lost = netns === undefined ? undefined : this.networkOf(address);
        return lost?.ifName === ifName && leadsTo(netns!, lost);
      }
      // A lease of an old version of the reference names its container alone.
      return holder.containerId === containerId && [ifName, ""].includes(holder.ifName);
    }).map(([address]) => address);
  }

  /**
   * Leases an address.
   *
   * @param range the number of its range set, whose next address comes after this one
   * @returns false if it is somebody's
   * @throws {SystemError}
   */
  reserve(address: string, holder: Leaseholder, range: number): boolean {
    const made = unless(errno("EEXIST"), () => {
      this.#create(address, holder);
      return true;
    });
    if (!made) return false;
    const mark = markOf(range);
    if (!this.#marks.has(mark)) this.#marks.set(mark, this.#read(mark));
    this.#setMark(mark, address);
    return true;
  }

  /** As {@link leaseNetwork}. */
  networkOf(address: string): LeasedFor | undefined {
    return leaseNetwork(`${this.path}/${address}`);
  }

  /** Takes back what was reserved since the store was opened. */
  cancel(addresses: readonly string[]): void {
    this.release(addresses);
    for (const [mark, text] of this.#marks) this.#setMark(mark, text);
  }

  /** Gives addresses back. */
  release(addresses: readonly string[]): void {
    for (const address of addresses) this.#remove(address);
  }

  /** The address that a range set gave last, if that is known. */
  lastReserved(range: number): string | undefined {
    const text = this.#read(markOf(range));
    return isAddress(text) ? text : undefined;
  }

  /**
   * Addresses that live containers have and no lease names, as after somebody has removed the store, or
   * put an older one in its place; usually none, without a look. That a store has been held against what
   * lives, and named all of it, is an attribute of its lock; without attributes each call looks.
   *
   * @param look tells the addresses of this store that live containers have
   * @throws {SystemError}
   */
  async unleased(look: () => Promise<string[]>): Promise<ReadonlySet<string>> {
    const { ino, birthtime } = Deno.statSync(`${this.path}/${LOCK}`);
    const stamp = JSON.stringify({ boot: bootId(), ino, born: birthtime });
    const isNew = Array.from(Deno.readDirSync(this.path)).every(({ name }) => name === LOCK);
    const known = unlessRefused(() => readAttribute(this.lock.handle, COMPARED));
    if (!isNew && known === stamp) return new Set();
    const leased = this.leased();
    const found = (await look()).filter((address) => !leased.has(address));
    // Before the first lease, by which the store would look as if it were complete.
    const now = found.length > 0 ? "" : stamp;
    unlessRefused(() => setAttribute(this.lock.handle, COMPARED, now));
    return new Set(found);
  }

  /** Every address that is leased, without a look at who holds it. */
  leased(): Set<string> {
    return new Set(leasedAddresses(this.path));
  }

  /** Every lease with its holder. */
  *holders(): Generator<[address: string, Holder]> {
    for (const address of leasedAddresses(this.path)) {
      yield [address, holderIn(this.#read(address))];
    }
  }

  /** A mark is a hint: without it, the first address that is free is given. */
  #setMark(name: string, text: string): void {
    const isSet = unless(errno("EISDIR"), () => {
      if (text === "") this.#remove(name);
      else this.#overwrite(name, text);
      return true;
    });
    if (isSet) return;
    log.warning(
      "a directory is in the place of the file that says which address was given last: remove it",
      {
        directory: `${this.path}/${name}`,
      },
    );
  }

  #remove(name: string): void {
    unless(errno("ENOENT"), () => removeAt(this.dir, name, `${this.path}/${name}`));
  }

  /** A file that is there keeps its mode; a pipe or a link in a circle gives way. */
  #overwrite(name: string, text: string): void {
    const what = `${this.path}/${name}`;
    const flags = O_WRONLY | O_CREAT | O_TRUNC;
    const make = () => openAt(this.dir, name, flags, what, LEASE_MODE);
    using file = unless(errno("ENXIO", "ELOOP"), make) ?? (this.#remove(name), make());
    write(file, text, what);
  }

  #create(name: string, { containerId, ifName, network }: Leaseholder): void {
    const what = `${this.path}/${name}`;
    const text = `${containerId}\r\n${ifName}`;
    const mark = (file: Handle) => network && markLease(file, { ...network, ifName });
    try {
      createWhole(this.dir, name, text, LEASE_MODE, what, mark);
    } catch (error) {
      if (!(error instanceof SystemError) || !NO_TMPFILE.includes(error.errnoName)) throw error;
      using file = openAt(this.dir, name, O_WRONLY | O_CREAT | O_EXCL, what, LEASE_MODE);
      mark(file);
      write(file, text, what);
    }
  }

  /** The text of a file of the store; empty if there is none, but a directory or a link in a circle. */
  #read(name: string): string {
    const what = `${this.path}/${name}`;
    return unless(errno("ENOENT", "ELOOP", "EISDIR"), () => {
      // By the directory: the runtime resolves each path anew, for which a store of a thousand pays.
      using file = openAt(this.dir, name, O_RDONLY, what);
      return readRegular(file, what);
    }) ?? "";
  }

  /** Frees the lock. */
  [Symbol.dispose](): void {
    this.dir.close();
    this.lock[Symbol.dispose]();
  }
}

/** What file systems without unnamed files say to O_TMPFILE. */
const NO_TMPFILE = ["EOPNOTSUPP", "EISDIR", "EINVAL", "ENOENT"];

/** The file that says which address a range set gave last. */
const markOf = (range: number) => `last_reserved_ip.${range}`;
