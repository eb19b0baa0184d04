/** What is run in one process: all unit tests together, any other file by itself. */
import timesInCi from "./times.json" with { type: "json" };

export interface Job {
  name: string;
  files: string[];
  /** The command that makes the namespaces for the tests; empty if they need none. */
  namespaces: string[];
  permissions: string[];
}

/**
 * Unit tests call no kernel and start no program: without these permissions they can't. Reading and
 * writing is not limited to a directory, since Deno lets nobody make a symbolic link then.
 */
const UNIT_PERMISSIONS = ["--allow-read", "--allow-write", "--allow-env"];

export function jobsOf(files: readonly string[]): Job[] {
  const isUnit = (file: string) => file.startsWith("tests/unit/");
  const unit = files.filter(isUnit);
  const jobs: Job[] = files.filter((file) => !isUnit(file)).map((file) => ({
    name: file,
    files: [file],
    namespaces: throwaway(),
    permissions: ["--allow-all"],
  }));
  if (unit.length === 0) return jobs;
  const name = unit.length === 1 ? unit[0]! : "tests/unit";
  return [...jobs, { name, files: unit, namespaces: [], permissions: UNIT_PERMISSIONS }];
}

/** Seconds of a file that was never run here, nor is among the long ones: more than most take. */
const UNKNOWN = 20;
/** Seconds of the long ones in CI, which begins in a new checkout: the last to begin is not to be one of them. */
const IN_CI: Readonly<Record<string, number>> = timesInCi;
/** Emulated machines take longer than anything else. */
const UNKNOWN_MACHINE = 260;

/** The order in which the last job to end ends earliest. */
export function slowestFirst(jobs: readonly Job[], times: Record<string, number>): Job[] {
  const unknown = (name: string) =>
    name.startsWith("tests/machine/") ? UNKNOWN_MACHINE : IN_CI[name] ?? UNKNOWN;
  const seconds = ({ name }: Job) => times[name] ?? unknown(name);
  return jobs.toSorted((a, b) => seconds(b) - seconds(a));
}

/** Seconds in CI that make a file a long one. */
const LONG = 40;

/**
 * The files that a whole run makes which is no run of CI: of the long ones every other, by whether the commit's
 * hash is even, so that it takes minutes.
 */
export function takingTurns(files: readonly string[], commit: string): string[] {
  const long = Object.keys(IN_CI).filter((name) => IN_CI[name]! >= LONG && files.includes(name))
    .sort((a, b) => IN_CI[b]! - IN_CI[a]!);
  const turn = parseInt(commit.slice(0, 12), 16) % 2;
  const left = long.filter((_, i) => i % 2 !== turn);
  return files.filter((name) => !left.includes(name));
}

let made: string[] | undefined;

/** A network, mounts and processes that end with the tests; root's rights in them for anyone. */
function throwaway(): string[] {
  return made ??= (() => {
    const user = Deno.uid() === 0 ? [] : ["--map-root-user", "--uts"];
    const own = ["unshare", ...user, "--net", "--mount"];
    const processes = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    // In a container /proc may be mounted in parts, and then an unprivileged user can't mount his.
    const [command, ...args] = [...own, ...processes, "true"];
    const { success } = new Deno.Command(command!, { args, stderr: "null" }).outputSync();
    return success ? [...own, ...processes] : own;
  })();
}
