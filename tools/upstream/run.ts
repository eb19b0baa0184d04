/** One suite, judging the programs of a directory, in namespaces of its own. */
import { HERE, type Place } from "./place.ts";
import type { Reference } from "./reference.ts";
import { readReport, type Report } from "./report.ts";
import { directoryOf, PLUGINS } from "./suites.ts";

/** Seconds; the longest takes a tenth of it on a quiet machine. */
const LIMIT = 1800;

export interface Run {
  reference: Reference;
  suite: string;
  /** A directory of programs, each named as its type. */
  programs: string;
  /** Where the report and the suite's own words are left. */
  output: string;
  /** A regular expression: only specs whose name it matches. */
  focus?: string;
  place?: Place;
}

/** @throws if the suite did not come to its end */
export async function runSuite(
  { reference, suite, programs, output, focus, place = HERE }: Run,
): Promise<Report> {
  const { sources, suites, tools } = reference;
  await Deno.mkdir(output, { recursive: true });
  const report = `${output}/${suite}.json`;
  await Deno.remove(report).catch(() => {}); // The first run has none to remove.
  const words = await place.run([
    ...["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
    ...[`${import.meta.dirname}/inside.sh`, `${sources}/${directoryOf(suite)}`],
    ...["timeout", `${LIMIT}`, `${suites}/${suite}.test`, "-ginkgo.seed=1"],
    ...["-ginkgo.no-color", `-ginkgo.json-report=${report}`],
    ...focus === undefined ? [] : [`-ginkgo.focus=${focus}`],
  ], {
    UPSTREAM_PROGRAMS: programs,
    UPSTREAM_TOOLS: tools,
    UPSTREAM_OUTPUT: output,
    PATH: `${programs}:${tools}:${Deno.env.get("PATH")}`,
    // A busy machine is not a failure: a spec that names no limit of its own has these.
    GOMEGA_DEFAULT_EVENTUALLY_TIMEOUT: "20s",
  });
  await Deno.writeTextFile(`${output}/${suite}.log`, words);
  try {
    return readReport(await place.read(report));
  } catch (error) {
    throw new Error(`${suite} judges nothing (${output}/${suite}.log): ${error}`);
  }
}

/** A directory in which each plugin is a link to one program. */
export async function linkedPrograms(directory: string, program: string): Promise<string> {
  await Deno.remove(directory, { recursive: true }).catch(() => {}); // Links to an earlier one.
  await Deno.mkdir(directory, { recursive: true });
  for (const plugin of PLUGINS) await Deno.symlink(program, `${directory}/${plugin.split("/")[1]}`);
  return directory;
}
