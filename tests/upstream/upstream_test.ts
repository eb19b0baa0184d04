/**
 * The quick ones of the reference's own suites; `./dev upstream` runs them all. Without Go, or its
 * proxy, they are skipped.
 */
import { assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { EXCEPTIONS } from "../../tools/upstream/exceptions.ts";
import { judges, verdictOf } from "../../tools/upstream/judge.ts";
import { buildSuites } from "../../tools/upstream/reference.ts";
import { linkedPrograms, runSuite } from "../../tools/upstream/run.ts";

const fetched = Deno.env.get("UPSTREAM_REFERENCE");

for (const suite of partOf(["loopback", "host-local", "static", "sbr"], 4)) {
  Deno.test({
    name: `the reference's own suite of ${suite} passes`,
    ignore: fetched === undefined,
    fn: async () => {
      const output = await Deno.makeTempDir();
      const programs = await linkedPrograms(`${output}/programs`, MESOS_CNI);
      const reference = await buildSuites(fetched!);
      const judging = await judges({ reference, suite });
      const report = await runSuite({ reference, suite, programs, output });
      const { failed, needless } = verdictOf(suite, judging, report, EXCEPTIONS);
      assertEquals(failed.join("\n"), "");
      assertEquals(needless, []);
    },
  });
}
