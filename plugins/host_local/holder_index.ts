/**
 * Which addresses a container's interface holds, so that a store of 10,000 leases is not read from
 * end to end for one. It is a cache in /run, beside the store and not in it, where the reference
 * would take its files for leases. What it says is checked against the leases. That it says all
 * there is to say is known from the time of the store's directory: whoever works on the store
 * through this gives the directory a random time at the end, and any other program that adds or
 * removes a lease changes that.
 */
import { readCheckpoint, removeCheckpoint, removeDirectory } from "../../lib/kernel/atomic_file.ts";
import { messageOf } from "../../lib/base/error.ts";
import { log } from "../../lib/base/log.ts";

/** Who an address is leased to. */
export interface Holder {
  containerId: string;
  ifName: string;
}

const DIRECTORY = "/run/mesos-cni/leases";
/** File names have at most 255 bytes; holders whose names begin alike for longer share a file. */
const LONGEST_NAME = 240;
/** A mark, which no holder's file is called as: those have a colon. */
const LOST = "lost";
/** How many leases are read before other work of this program gets its turn. */
const SLICE = 500;

export class HolderIndex {
  #needsSeal = false;
  #mayHaveLost = false;
  /** What the store says, where the index can't be written: on a full disk, leases must still go. */
  #memory?: Map<string, string[]>;

  private constructor(private readonly path: string) {}

  /** Whether the store's directory is to be given a new time. */
  get needsSeal(): boolean {
    return this.#needsSeal && this.#memory === undefined;
  }

  /**
   * @param store what tells the store's directory from others
   * @param modified the directory's time, in ns, which says whether the index is complete
   * @param leases reads the store, for an index that is not
   */
  static async open(
    store: string,
    modified: bigint,
    leases: () => Iterable<[address: string, Holder]>,
  ): Promise<HolderIndex> {
    const index = new HolderIndex(`${DIRECTORY}/${store}`);
    if (readCheckpoint(`${index.path}/sealed`) !== `${modified}`) await index.#rebuild(leases());
    return index;
  }

  async #rebuild(leases: Iterable<[address: string, Holder]>): Promise<void> {
    const before = this.#addresses();
    const left = new Set<string>();
    const known = new Map<string, string[]>();
    let count = 0;
    for (const [address, holder] of leases) {
      const file = this.#fileOf(holder);
      known.set(file, [...known.get(file) ?? [], address]);
      left.add(address);
      if (++count % SLICE === 0) await othersTurn();
    }
    this.#mayHaveLost = !before || before.some((address) => !left.has(address));
    try {
      removeDirectory(this.path);
      Deno.mkdirSync(this.path, { recursive: true, mode: 0o700 });
      count = 0;
      for (const [file, addresses] of known) {
        Deno.writeTextFileSync(file, addresses.join("\n"));
        if (++count % SLICE === 0) await othersTurn();
      }
      this.#needsSeal = true;
    } catch (error) {
      log.warning("the index of leases can't be written: leases are looked for in the store", {
        directory: this.path,
        error: messageOf(error),
      });
      this.#memory = known;
    }
  }

  /**
   * Whether live containers may have addresses that no lease names: a lease has gone of which this
   * heard nothing, or nothing is known of the time before.
   */
  get mayHaveLost(): boolean {
    return this.#mayHaveLost || readCheckpoint(`${this.path}/${LOST}`) !== undefined;
  }

  /** Notes whether the next call has to look for such addresses again. */
  setLost(lost: boolean): void {
    this.#mayHaveLost = lost;
    this.#trying(() => {
      if (lost) Deno.writeTextFileSync(`${this.path}/${LOST}`, "");
      else removeCheckpoint(`${this.path}/${LOST}`);
    });
  }

  /** All that the index as it is on disk names; undefined without one. */
  #addresses(): string[] | undefined {
    try {
      return [...Deno.readDirSync(this.path)].filter(({ name }) => name.includes(":"))
        .flatMap(({ name }) => readCheckpoint(`${this.path}/${name}`)?.split("\n") ?? []);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** Addresses that the holder, or its container as leases of old named it, may hold. */
  addressesOf(holder: Holder): string[] {
    return [...this.#read(holder), ...this.#read({ ...holder, ifName: "" })];
  }

  add(holder: Holder, address: string): void {
    this.#write(holder, [...this.#read(holder), address]);
  }

  remove(holder: Holder, addresses: readonly string[]): void {
    for (const one of [holder, { ...holder, ifName: "" }]) {
      const known = this.#read(one);
      const left = known.filter((address) => !addresses.includes(address));
      if (left.length < known.length) this.#write(one, left);
    }
    this.#needsSeal = true;
  }

  /** Notes that the index is complete as long as the store's directory has this time. */
  seal(modified: bigint): void {
    this.#trying(() => Deno.writeTextFileSync(`${this.path}/sealed`, `${modified}`));
  }

  #read(holder: Holder): string[] {
    const file = this.#fileOf(holder);
    return this.#memory?.get(file) ?? readCheckpoint(file)?.split("\n") ?? [];
  }

  #write(holder: Holder, addresses: readonly string[]): void {
    this.#needsSeal = true;
    const file = this.#fileOf(holder);
    this.#trying(() => {
      if (addresses.length > 0) Deno.writeTextFileSync(file, addresses.join("\n"));
      else Deno.removeSync(file);
    });
  }

  /** An index that is not sealed is made anew by whoever comes next. */
  #trying(change: () => void): void {
    try {
      if (this.#memory === undefined) change();
    } catch (error) {
      log.warning("the index of leases can't be written", { error: messageOf(error) });
      this.#memory = new Map();
    }
  }

  #fileOf({ containerId, ifName }: Holder): string {
    // A colon can be part of neither.
    return `${this.path}/${containerId}:${ifName}`.slice(0, this.path.length + 1 + LONGEST_NAME);
  }
}

function othersTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
