/** What judges by the reference's suites: its reports, its verdicts, its list of exceptions. */
import { assertEquals, assertThrows } from "@std/assert";
import { EXCEPTIONS, faultsOf } from "../../tools/upstream/exceptions.ts";
import { verdictOf } from "../../tools/upstream/judge.ts";
import { judgesOf, readReport, type Report } from "../../tools/upstream/report.ts";

const spec = (LeafNodeText: string, State: string, LeafNodeType = "It") => ({
  ContainerHierarchyTexts: ["bridge"],
  LeafNodeType,
  LeafNodeText,
  State,
  Failure: { Message: "why", Location: { FileName: "/a/b_test.go", LineNumber: 7 } },
});
const report = (...specs: object[]) => readReport(JSON.stringify([{ SpecReports: specs }]));
const outcomes = (of: Record<string, boolean>): Report =>
  new Map(Object.entries(of).map(([name, passed]) => [name, { passed, why: "" }]));

Deno.test("a report has each spec that ran, also of one name", () => {
  const read = report(
    spec("adds", "passed"),
    spec("adds", "failed"),
    spec("deletes", "skipped"),
    spec("", "passed", "BeforeSuite"),
  );
  assertEquals([...read], [
    ["bridge adds", { passed: true, why: "" }],
    ["bridge adds #2", { passed: false, why: "failed at b_test.go:7: why" }],
  ]);
});

Deno.test("a suite whose surroundings failed judges nothing", () => {
  assertThrows(() => report(spec("", "failed", "BeforeSuite")), Error, "BeforeSuite failed");
});

Deno.test("a spec judges that the reference passes and a program that always fails does not", () => {
  const reference = outcomes({ real: true, always: true, never: false });
  const failing = outcomes({ real: false, always: true, never: false });
  assertEquals(judgesOf(reference, failing), ["real"]);
});

Deno.test("a failure that is no exception, and an exception that passes, are told", () => {
  const exception = { suite: "bridge", reason: "", documented: "", specs: ["excused", "mended"] };
  const ours = outcomes({ good: true, bad: false, excused: false, mended: true });
  const judging = ["good", "bad", "excused", "mended", "missing"];
  const verdict = verdictOf("bridge", judging, ours, [exception]);
  assertEquals(verdict.passed, 2);
  assertEquals(verdict.excepted, ["excused"]);
  assertEquals(verdict.needless, ["mended"]);
  assertEquals(verdict.failed.map((line) => line.split("\n")[0]), [
    "bridge: bad",
    "bridge: missing",
  ]);
  assertEquals(verdictOf("ptp", judging, ours, [exception]).failed.length, 3);
});

Deno.test("each exception has its sentence in docs/plugins.md, and is named once", async () => {
  const document = await Deno.readTextFile("docs/plugins.md");
  assertEquals(faultsOf(EXCEPTIONS, document), []);
  const one = {
    suite: "ptp",
    reason: "",
    documented: "No sentence of that document",
    specs: ["a"],
  };
  assertEquals(faultsOf([one, one], document).length, 3);
});

Deno.test("at most 40 specs are exceptions", () => {
  const count = EXCEPTIONS.flatMap(({ specs }) => specs).length;
  assertEquals(count <= 40, true, `${count}`);
});
