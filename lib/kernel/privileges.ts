/**
 * Giving up rights for good, before a program is started that somebody else has chosen:
 * capabilities(7), no_new_privs (prctl(2)), descriptors. What is given up here is given up by the
 * calling thread, and by what it starts.
 */
import { readProcFile } from "./files.ts";
import { check, openLibc } from "./libc.ts";

const libc = openLibc({
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  capset: { parameters: ["buffer", "buffer"], result: "i32" },
  syscall: { parameters: ["i64", "u32", "u32", "u32"], result: "i64" },
});

/** linux/prctl.h */
const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4n;

/** The header of capset(2) for sets of 64 capabilities (linux/capability.h). */
const CAPABILITY_VERSION_3 = 0x20080522;

/** close_range(2), which has this number on every architecture, and its flag. */
const SYS_CLOSE_RANGE = 436n;
const CLOSE_RANGE_CLOEXEC = 4;

/** What a process may do, as proc_pid_status(5) has it. */
export interface Privileges {
  /** Bit sets of capabilities: those it may ever get, those it has. */
  bounding: bigint;
  permitted: bigint;
  noNewPrivileges: boolean;
  /** Whether its system calls pass a filter (seccomp(2)). */
  isFiltered: boolean;
}

/** @param status the text of a file /proc/PID/status */
export function parsePrivileges(status: string): Privileges {
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(status)?.[1] ?? "0";
  return {
    bounding: BigInt(`0x${field("CapBnd")}`),
    permitted: BigInt(`0x${field("CapPrm")}`),
    noNewPrivileges: field("NoNewPrivs") === "1",
    isFiltered: field("Seccomp") !== "0",
  };
}

/** The way down to what another process may do, in two steps. */
export class Limit {
  readonly #allowed: bigint;
  readonly #own: bigint;
  readonly #last: bigint;
  readonly #noNewPrivileges: boolean;

  /** Reads what it needs of /proc, while that is the agent's. @throws {SystemError} */
  constructor({ bounding, permitted, noNewPrivileges }: Privileges) {
    // Where the other can get no new ones, only those that it has.
    this.#allowed = noNewPrivileges ? bounding & permitted : bounding;
    this.#own = parsePrivileges(readProcFile("/proc/thread-self/status")).permitted;
    this.#last = BigInt(readProcFile("/proc/sys/kernel/cap_last_cap").trim());
    this.#noNewPrivileges = noNewPrivileges;
  }

  /**
   * Limits what this thread executes: a program of root's then has no capability beyond the
   * bounding set. The thread itself keeps its own for now.
   *
   * @throws {SystemError}
   */
  limitPrograms(): void {
    limitPrograms(this.#allowed, this.#last, this.#noNewPrivileges);
  }

  /** Limits this thread too. @throws {SystemError} */
  limitThread(): void {
    setCapabilities(this.#allowed & this.#own);
  }
}

function limitPrograms(bounding: bigint, last: bigint, noNewPrivileges: boolean): void {
  check(libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0n, 0n, 0n), "clear capabilities");
  for (let capability = 0n; capability <= last; capability++) {
    if (bounding & (1n << capability)) continue;
    check(libc().prctl(PR_CAPBSET_DROP, capability, 0n, 0n, 0n), `drop capability ${capability}`);
  }
  if (noNewPrivileges) {
    check(libc().prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n, 0n, 0n), "give up new privileges");
  }
}

/** Sets the permitted and effective capabilities, and leaves none to inherit. */
function setCapabilities(set: bigint): void {
  const header = new Uint32Array([CAPABILITY_VERSION_3, 0]);
  const low = Number(set & 0xffffffffn);
  const high = Number(set >> 32n);
  // Two of struct __user_cap_data_struct: effective, permitted, inheritable.
  const data = new Uint32Array([low, low, 0, high, high, 0]);
  const bytes = (array: Uint32Array<ArrayBuffer>) => new Uint8Array(array.buffer);
  check(libc().capset(bytes(header), bytes(data)), "limit capabilities");
}

/** Keeps other processes from looking into this one, and into what it starts until that execs. */
export function hideFromOthers(): void {
  check(libc().prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n), "hide from other processes");
}

/** Sees to it that a program which is started has standard input, output and error, and no more. */
export function closeOthersOnExec(): void {
  // Kernels before 5.11 don't know the flag: there, what the caller left open stays so.
  libc().syscall(SYS_CLOSE_RANGE, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC);
}
