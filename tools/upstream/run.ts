/** One suite, judging the programs of a directory, in namespaces of its own. */
import type { Reference } from "./reference.ts";
import { readReport, type Report } from "./report.ts";
import { directoryOf, PLUGINS } from "./suites.ts";

/** Seconds; the longest takes a tenth of it on a quiet machine. */
const LIMIT = 1800;

/**
 * @param output where the report and the suite's own words are left
 * @throws if the suite did not come to its end
 */
export async function runSuite(
  { sources, suites, tools }: Reference,
  suite: string,
  programs: string,
  output: string,
  focus?: string,
): Promise<Report> {
  await Deno.mkdir(output, { recursive: true });
  const report = `${output}/${suite}.json`;
  await Deno.remove(report).catch(() => {}); // The first run has none to remove.
  const { stdout, stderr } = await new Deno.Command("unshare", {
    args: [
      ...["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...[`${import.meta.dirname}/inside.sh`, `${sources}/${directoryOf(suite)}`],
      ...["timeout", `${LIMIT}`, `${suites}/${suite}.test`, "-ginkgo.seed=1"],
      ...["-ginkgo.no-color", `-ginkgo.json-report=${report}`],
      ...focus === undefined ? [] : [`-ginkgo.focus=${focus}`],
    ],
    env: {
      UPSTREAM_PROGRAMS: programs,
      UPSTREAM_TOOLS: tools,
      UPSTREAM_OUTPUT: output,
      PATH: `${programs}:${tools}:${Deno.env.get("PATH")}`,
      // A busy machine is not a failure: a spec that names no limit of its own has these.
      GOMEGA_DEFAULT_EVENTUALLY_TIMEOUT: "20s",
    },
  }).output();
  const words = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n");
  await Deno.writeTextFile(`${output}/${suite}.log`, words);
  try {
    return readReport(await Deno.readTextFile(report));
  } catch (error) {
    throw new Error(`${suite} judges nothing (${output}/${suite}.log): ${error}`);
  }
}

/** A directory of programs that always fail. */
export async function failingPrograms(directory: string): Promise<string> {
  await Deno.mkdir(directory, { recursive: true });
  for (const plugin of PLUGINS) {
    const path = `${directory}/${plugin.split("/")[1]}`;
    const answer = '{"cniVersion":"1.1.0","code":999,"msg":"a program that always fails"}';
    await Deno.writeTextFile(path, `#!/bin/sh\necho '${answer}'\nexit 1\n`, { mode: 0o755 });
  }
  return directory;
}

/** A directory in which each plugin is a link to one program. */
export async function linkedPrograms(directory: string, program: string): Promise<string> {
  await Deno.remove(directory, { recursive: true }).catch(() => {}); // Links to an earlier one.
  await Deno.mkdir(directory, { recursive: true });
  for (const plugin of PLUGINS) await Deno.symlink(program, `${directory}/${plugin.split("/")[1]}`);
  return directory;
}
