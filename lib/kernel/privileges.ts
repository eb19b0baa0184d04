/**
 * Who a process is, and taking that on for good, before a program is started that somebody else has
 * chosen: credentials(7), capabilities(7), no_new_privs (prctl(2)), the session's keyring
 * (keyctl(2)). What is taken on is so for the calling thread, and for what it starts.
 */
import { unlessRefused } from "../base/unless.ts";
import { readProcFile } from "./files.ts";
import { check, openLibc, SystemError } from "./libc.ts";

const libc = openLibc({
  prctl: { parameters: ["i32", "u64", "u64", "u64", "u64"], result: "i32" },
  capset: { parameters: ["buffer", "buffer"], result: "i32" },
  setsid: { parameters: [], result: "i32" },
  // Of the calling thread alone.
  setfsuid: { parameters: ["u32"], result: "i32" },
  setfsgid: { parameters: ["u32"], result: "i32" },
  // By number: the C library's functions of these names change all threads, some of which wait for us.
  callThree: { name: "syscall", parameters: ["i64", "u32", "u32", "u32"], result: "i64" },
  setgroups: { name: "syscall", parameters: ["i64", "usize", "buffer"], result: "i64" },
});

/** linux/prctl.h */
const PR_SET_KEEPCAPS = 8;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2n;
const PR_CAP_AMBIENT_CLEAR_ALL = 4n;
/** linux/keyctl.h */
const KEYCTL_JOIN_SESSION_KEYRING = 1;

/** The header of capset(2) for sets of 64 capabilities (linux/capability.h). */
const CAPABILITY_VERSION_3 = 0x20080522;

/** asm/unistd_64.h, asm-generic/unistd.h; those above 400 are the same on every architecture. */
const [SYS_SETGROUPS, SYS_SETRESGID, SYS_SETRESUID, SYS_KEYCTL] = Deno.build.arch === "aarch64"
  ? [159n, 149n, 147n, 219n] as const
  : [116n, 119n, 117n, 250n] as const;
const SYS_CLOSE_RANGE = 436n;
const CLOSE_RANGE_CLOEXEC = 4;
const EINVAL = 22;
/** -ENOSYS */
const UNKNOWN = -38n;

/** Who a process is and what it may do, as proc_pid_status(5) has it. */
export type Identity = ReturnType<typeof parseIdentity>;

/** @param status the text of a file /proc/PID/status */
export function parseIdentity(status: string) {
  const field = fieldsOf(status);
  const set = (name: string) => BigInt(`0x${/^[0-9a-f]+$/.exec(field(name))?.[0] ?? "0"}`);
  const numbers = (name: string) => numbersIn(field(name));
  const three = (name: string) => numbers(name).slice(0, 3) as [number, number, number];
  return {
    /** Real, effective, saved. */
    uids: three("Uid"),
    gids: three("Gid"),
    groups: numbers("Groups"),
    /** Bit sets of capabilities: those it may ever get, those it has, … */
    bounding: set("CapBnd"),
    permitted: set("CapPrm"),
    inheritable: set("CapInh"),
    ambient: set("CapAmb"),
    noNewPrivileges: field("NoNewPrivs") === "1",
    /** Whether its system calls pass a filter (seccomp(2)). */
    isFiltered: !["", "0"].includes(field("Seccomp")),
  };
}

function fieldsOf(status: string): (name: string) => string {
  return (name) => new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1] ?? "";
}

const numbersIn = (text: string) => text.split(/\s+/).filter((one) => one !== "").map(Number);

/**
 * Readies the calling thread to become one of a process's kind, while /proc is the agent's. It is then
 * no more than that process is, or could become by executing something; its session and its keyring
 * are its own, and its terminal is none.
 *
 * @returns what takes that on @throws {SystemError} as that does
 */
export function readyToAssume(identity: Identity): () => void {
  const { uids, gids, groups, bounding, permitted, inheritable, ambient } = identity;
  if (uids.length < 3 || gids.length < 3) throw new SystemError(EINVAL, "read who a process is");
  const own = parseIdentity(readProcFile("/proc/thread-self/status")).permitted;
  const last = BigInt(readProcFile("/proc/sys/kernel/cap_last_cap").trim());
  // Where the other can get no new ones, only those that it has.
  const allowed = identity.noNewPrivileges ? bounding & permitted : bounding;
  const kept = own & (uids[1] === 0 ? allowed : permitted);
  const bits = Array.from({ length: Number(last) + 1 }, (_, bit) => BigInt(bit));
  return () => {
    const joined = libc().callThree(SYS_KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, 0, 0);
    if (joined !== UNKNOWN) check(joined, "leave the session's keyring");
    check(libc().setsid(), "leave the session");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0n);
    for (const bit of bits) if (!(allowed & 1n << bit)) prctl(PR_CAPBSET_DROP, bit, 0n);
    check(
      libc().setgroups(SYS_SETGROUPS, BigInt(groups.length), bytesOf(groups)),
      "take on the groups",
    );
    check(libc().callThree(SYS_SETRESGID, ...gids), "take on the group");
    prctl(PR_SET_KEEPCAPS, 1n, 0n);
    check(libc().callThree(SYS_SETRESUID, ...uids), "take on the user");
    prctl(PR_SET_KEEPCAPS, 0n, 0n);
    setCapabilities(kept, inheritable & (kept | allowed));
    for (const bit of bits) {
      if (ambient & kept & 1n << bit) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit);
    }
    if (identity.noNewPrivileges) prctl(PR_SET_NO_NEW_PRIVS, 1n, 0n);
  };
}

/** Whose files and sockets what a thread opens are. */
export interface User {
  uid: number;
  gid: number;
  /** Its other groups. */
  groups: readonly number[];
}

/** The user by whose rights a process opens files; undefined once it has ended. */
export function userOf(pid: number): User | undefined {
  return unlessRefused(() => {
    const field = fieldsOf(readProcFile(`/proc/${pid}/status`));
    const [[, uid], [, gid]] = [numbersIn(field("Uid")), numbersIn(field("Gid"))];
    return uid === undefined || gid === undefined
      ? undefined
      : { uid, gid, groups: numbersIn(field("Groups")) };
  });
}

/**
 * Does work whose files are opened with a user's rights, and whose sockets are that user's for rules
 * that go by it (setfsuid(2)): all else stays as it is.
 */
export function asUser<R>({ uid, gid }: Omit<User, "groups">, work: () => R): R {
  const [ownGroup, own] = [libc().setfsgid(gid), libc().setfsuid(uid)];
  try {
    return work();
  } finally {
    libc().setfsuid(own);
    libc().setfsgid(ownGroup);
  }
}

function prctl(option: number, value: bigint, more: bigint): void {
  const what = `give up rights (prctl ${option}, ${value})`;
  check(libc().prctl(option, value, more, 0n, 0n), what);
}

/** Sets the permitted and effective capabilities, and those to inherit. */
function setCapabilities(set: bigint, inheritable: bigint): void {
  const low = (bits: bigint) => Number(bits & 0xffffffffn);
  const high = (bits: bigint) => Number(bits >> 32n);
  const header = [CAPABILITY_VERSION_3, 0];
  // Two of struct __user_cap_data_struct: effective, permitted, inheritable.
  const data = [low, high].flatMap((half) => [half(set), half(set), half(inheritable)]);
  check(libc().capset(bytesOf(header), bytesOf(data)), "limit capabilities");
}

function bytesOf(numbers: readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint32Array(numbers).buffer);
}

/** Sees to it that a program which is started has standard input, output and error, and no more. */
export function closeOthersOnExec(): void {
  // Kernels before 5.11 don't know the flag: there, what the caller left open stays so.
  libc().callThree(SYS_CLOSE_RANGE, 3, 0xffffffff, CLOSE_RANGE_CLOEXEC);
}

/** Closes all descriptors from a number on: this program can't go on after it. @throws {SystemError} */
export function closeFrom(first: number): void {
  check(libc().callThree(SYS_CLOSE_RANGE, first, 0xffffffff, 0), "close descriptors");
}
