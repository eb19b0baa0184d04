/** Which processes there are, and which share a network namespace. */
import { Pace } from "../base/pace.ts";
import { sharing } from "../base/sharing.ts";
import { entriesOf, findInode, threadsOf } from "./proc.ts";

/** Processes between two looks at the clock. */
const STRIDE = 64;
/**
 * How often /proc is listed again because processes ended and others began meanwhile: one that
 * hands on to a child and ends, over and over, is not to be overlooked.
 */
const MOST_ROUNDS = 16;
/** In ms, how long ago a moment is, and from when on a look is long. */
const LATELY = 1_000;
const SLOW = 20;

/** The processes of a machine by network namespace, as one walk of /proc has found them. */
export class ProcessTable {
  readonly #byNamespace = new Map<number, number[]>();
  readonly #known = new Set<number>();
  readonly #begun = performance.now();
  static #last?: ProcessTable;
  static #took = 0;

  private constructor() {}

  /** Walks /proc in slices, between which other work goes on. */
  static readonly look: () => Promise<ProcessTable> = sharing(async () => {
    const table = new ProcessTable();
    const pace = new Pace();
    for (const _ of table.#walk()) await pace.rest();
    ProcessTable.#took = performance.now() - table.#begun;
    return ProcessTable.#last = table;
  });

  /** Whether the last look took longer than the kernel takes to tell that a namespace has ended. */
  static get isSlow(): boolean {
    return ProcessTable.#took > SLOW;
  }

  /** What was seen a moment ago, for what looks closer at whom it finds; a look of its own if nothing was. */
  static async lately(): Promise<ProcessTable> {
    const last = ProcessTable.#last;
    return last && performance.now() - last.#begun < LATELY ? last : await ProcessTable.look();
  }

  /** The same at one go, for a program that has nothing else to do. */
  static lookNow(): ProcessTable {
    const table = new ProcessTable();
    for (const _ of table.#walk());
    return table;
  }

  /** The ids of the processes in the network namespace of that inode, the lowest first. */
  inNamespace(inode: number): readonly number[] {
    return this.#byNamespace.get(inode) ?? [];
  }

  /** Each network namespace that a process is in: its inode, and the processes. */
  get namespaces(): ReadonlyMap<number, readonly number[]> {
    return this.#byNamespace;
  }

  *#walk(): Generator<void> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const fresh = processIds().filter((pid) => !this.#known.has(pid));
      if (fresh.length === 0) break;
      for (const [i, pid] of fresh.entries()) {
        this.#add(pid);
        if (i % STRIDE === STRIDE - 1) yield;
      }
    }
    for (const pids of this.#byNamespace.values()) pids.sort((a, b) => a - b);
  }

  #add(pid: number): void {
    this.#known.add(pid);
    const inode = networkOf(pid);
    if (inode === undefined) return;
    const others = this.#byNamespace.get(inode);
    if (others) others.push(pid);
    else this.#byNamespace.set(inode, [pid]);
  }
}

/** The ids of all processes that this process can see, the lowest first. */
export function processIds(): number[] {
  return entriesOf("/proc").map(Number).filter((pid) => pid > 0).sort((a, b) => a - b);
}

/** The inode of a process's network namespace; undefined for one that has ended or can't be seen. */
export function networkOf(pid: number): number | undefined {
  // Not there for a zombie, whose other threads may go on; refused for another user namespace's.
  return findInode(`/proc/${pid}/ns/net`) ?? threadNetworks(pid)[0];
}

function threadNetworks(pid: number): number[] {
  return threadsOf(pid).flatMap((thread) => findInode(`/proc/${pid}/task/${thread}/ns/net`) ?? []);
}

/** Whether a process has a thread in another network namespace than that of this inode. */
export function hasThreadElsewhere(pid: number, inode: number): boolean {
  return threadNetworks(pid).some((other) => other !== inode);
}
