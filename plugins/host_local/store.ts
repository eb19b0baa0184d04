/**
 * The leases of a network, in the reference's format: a file for each address, which holds its
 * container's id and interface, and `last_reserved_ip.N`; all under the flock of `lock`. Other
 * programs may work on the same directory at the same time.
 */
import { OperatorError } from "../../lib/base/error.ts";
import { isAddress } from "../../lib/base/ip.ts";
import {
  createWhole,
  type Handle,
  identityOf,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_TRUNC,
  O_WRONLY,
  open,
  openAt,
  readAll,
  removeAt,
  setModified,
  write,
} from "../../lib/kernel/files.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { FileLock } from "../../lib/kernel/lock.ts";
import { addressesInUse } from "./unleased.ts";
import { type Holder, HolderIndex } from "./holder_index.ts";

/** How long, in ms, to wait for other programs at work on the store. */
const PATIENCE = 60_000;
const LEASE_MODE = 0o600;
const LOCK_MODE = 0o750;
/**
 * Bytes of a lease: an id and the name of an interface. An id comes in an environment's variable, which
 * has at most 128 KiB (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h).
 */
const LONGEST_LEASE = 128 << 10;

/** A store whose lock is held, until the end of its `using` block. */
export class LeaseStore implements Disposable {
  /** How each mark was before this call moved it; empty: not there. */
  readonly #marks = new Map<string, string>();

  private constructor(
    readonly path: string,
    private readonly dir: Handle,
    private readonly lock: FileLock,
    private readonly index: HolderIndex,
  ) {}

  /**
   * Opens the store of a network, made if need be, once nobody else is at work on it.
   *
   * @throws {SystemError}
   * @throws {OperatorError} `store_busy`
   */
  static async open(path: string): Promise<LeaseStore> {
    Deno.mkdirSync(path, { recursive: true, mode: 0o755 });
    const lock = await FileLock.take(`${path}/lock`, PATIENCE, LOCK_MODE);
    if (!lock) throw new OperatorError("store_busy", `another program keeps holding ${path}/lock`);
    const dir = open(path, O_DIRECTORY);
    try {
      const { id, modified } = identityOf(dir, path);
      const index = await HolderIndex.open(id, modified, () => leasesIn(path, dir));
      return new LeaseStore(path, dir, lock, index);
    } catch (error) {
      dir.close();
      lock[Symbol.dispose]();
      throw error;
    }
  }

  /** The addresses that a container's interface holds, as the leases themselves say. */
  addressesOf(holder: Holder): string[] {
    // A lease of an old version of the reference names its container alone.
    const texts = [leaseText(holder), holder.containerId];
    return this.index.addressesOf(holder)
      .filter((address) => texts.includes(this.#read(address).trim()));
  }

  /**
   * Leases an address.
   *
   * @param range the number of its range set, whose next address comes after this one
   * @returns false if it is somebody's
   * @throws {SystemError}
   */
  reserve(address: string, holder: Holder, range: number): boolean {
    try {
      this.#create(address, leaseText(holder));
    } catch (error) {
      if (error instanceof SystemError && error.errnoName === "EEXIST") return false;
      throw error;
    }
    this.index.add(holder, address);
    const mark = markOf(range);
    if (!this.#marks.has(mark)) this.#marks.set(mark, this.#read(mark));
    this.#overwrite(mark, address);
    return true;
  }

  /** Takes back what was reserved since the store was opened. */
  cancel(holder: Holder, addresses: readonly string[]): void {
    this.release(holder, addresses);
    for (const [mark, text] of this.#marks) {
      if (text === "") this.#remove(mark);
      else this.#overwrite(mark, text);
    }
  }

  /** Gives addresses back, if they still are this holder's. */
  release(holder: Holder, addresses: readonly string[] = this.addressesOf(holder)): void {
    for (const address of addresses) this.#remove(address);
    if (addresses.length > 0) this.index.remove(holder, addresses);
  }

  /** The address that a range set gave last, if that is known. */
  lastReserved(range: number): string | undefined {
    const text = this.#read(markOf(range));
    return isAddress(text) ? text : undefined;
  }

  /**
   * Addresses that live containers have and no lease names; usually none, without a look.
   *
   * @param setOf the range set of this store that an address is of
   * @throws {SystemError}
   */
  async unleased(
    setOf: (address: string) => number | undefined,
  ): Promise<ReadonlySet<string>> {
    if (!this.index.mayHaveLost) return new Set();
    const leased = this.leased();
    const found = [...await addressesInUse(setOf)].filter((address) => !leased.has(address));
    this.index.setLost(found.length > 0);
    return new Set(found);
  }

  /** Every address that is leased, without a look at who holds it. */
  leased(): Set<string> {
    return new Set(addressesIn(this.path));
  }

  /** Every lease with its holder. */
  holders(): Iterable<[address: string, Holder]> {
    return leasesIn(this.path, this.dir);
  }

  #remove(name: string): void {
    try {
      removeAt(this.dir, name, `${this.path}/${name}`);
    } catch (error) {
      if (!(error instanceof SystemError && error.errnoName === "ENOENT")) throw error;
    }
  }

  /** A file that is there keeps its mode. */
  #overwrite(name: string, text: string): void {
    const what = `${this.path}/${name}`;
    using file = openAt(this.dir, name, O_WRONLY | O_CREAT | O_TRUNC, what, LEASE_MODE);
    write(file, text, what);
  }

  #create(name: string, text: string): void {
    const what = `${this.path}/${name}`;
    try {
      createWhole(this.dir, name, text, LEASE_MODE, what);
    } catch (error) {
      if (!(error instanceof SystemError) || !NO_TMPFILE.includes(error.errnoName)) throw error;
      using file = openAt(this.dir, name, O_WRONLY | O_CREAT | O_EXCL, what, LEASE_MODE);
      write(file, text, what);
    }
  }

  #read(name: string): string {
    return readLease(this.dir, this.path, name);
  }

  /**
   * Frees the lock. If this changed anything, the directory gets a time that nobody else would
   * give it: as long as it has it, the index knows all holders.
   */
  [Symbol.dispose](): void {
    try {
      if (this.index.needsSeal) {
        const marker = BigInt(Math.floor(Date.now() / 1000) - 1) * 1_000_000_000n +
          BigInt(crypto.getRandomValues(new Uint32Array(1))[0]! % 1_000_000_000);
        setModified(this.dir, marker, this.path);
        this.index.seal(identityOf(this.dir, this.path).modified);
      }
    } finally {
      this.dir.close();
      this.lock[Symbol.dispose]();
    }
  }
}

/** What file systems without unnamed files say to O_TMPFILE. */
const NO_TMPFILE = ["EOPNOTSUPP", "EISDIR", "EINVAL", "ENOENT"];

/** The file that says which address a range set gave last. */
const markOf = (range: number) => `last_reserved_ip.${range}`;

function leaseText({ containerId, ifName }: Holder): string {
  return `${containerId}\r\n${ifName}`;
}

function addressesIn(path: string): string[] {
  return Array.from(Deno.readDirSync(path), ({ name }) => name).filter(isAddress);
}

/** All leases; one of an old version of the reference names no interface. */
function* leasesIn(path: string, dir: Handle): Generator<[address: string, Holder]> {
  for (const address of addressesIn(path)) {
    const [containerId = "", ifName = ""] = readLease(dir, path, address).trim().split("\r\n");
    yield [address, { containerId, ifName }];
  }
}

/** The text of a file of the store; empty if there is none. */
function readLease(dir: Handle, path: string, name: string): string {
  try {
    using file = openAt(dir, name, 0, `${path}/${name}`);
    return readAll(file, `${path}/${name}`, LONGEST_LEASE);
  } catch (error) {
    if (error instanceof SystemError && error.errnoName === "ENOENT") return "";
    throw error;
  }
}
