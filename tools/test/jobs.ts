/** What is run in one process: all unit tests together, any other file by itself. */

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

/** Seconds of a file that was never run here: more than most take, so that it begins early. */
const UNKNOWN = 10;
/**
 * The same of those that take longest, which would be waited for if they began late: first who waits for
 * what takes its time, beside whom others work.
 */
const UNKNOWN_SLOW: Readonly<Record<string, number>> = {
  "tests/mesos/mesos_test.ts": 95,
  "tests/e2e/netns_expect_test.ts": 90,
  "tests/e2e/deb_test.ts": 60,
  "tests/e2e/install_test.ts": 60,
  "tests/e2e/rollout_test.ts": 60,
  "tests/e2e/netns_diagnose_test.ts": 60,
  "tests/e2e/netns_follow_test.ts": 60,
  "tests/e2e/netns_diagnose_crowd_test.ts": 50,
  "tests/e2e/one_truth_test.ts": 50,
  "tests/e2e/plugins_test.ts": 50,
  "tests/docs/walkthrough_test.ts": 50,
  "tests/e2e/json_test.ts": 45,
  "tests/e2e/netns_diagnose_trace_test.ts": 40,
  "tests/integration/base_files_test.ts": 35,
  "tests/e2e/bundle_test.ts": 35,
  "tests/e2e/fleet_test.ts": 35,
  "tests/e2e/release_test.ts": 35,
  "tests/integration/port_mapper_removal_test.ts": 35,
  "tests/integration/firewall_test.ts": 30,
  "tests/e2e/netns_catalogue_test.ts": 30,
  "tests/faults/isolator_crash_test.ts": 30,
  "tests/integration/test_runner_test.ts": 25,
  "tests/e2e/monitoring_test.ts": 25,
  "tests/twins/twins_test.ts": 25,
  "tests/unit": 25,
};
/** Emulated machines take longer than anything else. */
const UNKNOWN_MACHINE = 100;

/** The order in which the last job to end ends earliest. */
export function slowestFirst(jobs: readonly Job[], times: Record<string, number>): Job[] {
  const unknown = (name: string) =>
    name.startsWith("tests/machine/") ? UNKNOWN_MACHINE : UNKNOWN_SLOW[name] ?? UNKNOWN;
  const seconds = ({ name }: Job) => times[name] ?? unknown(name);
  return jobs.toSorted((a, b) => seconds(b) - seconds(a));
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
