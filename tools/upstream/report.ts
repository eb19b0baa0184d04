/** A suite's report (Ginkgo's JSON), and what it says of the programs. */

export interface Outcome {
  passed: boolean;
  /** Of a spec that failed: where, and why. */
  why: string;
}

/** By the spec's name; a name that is there already gets a number. */
export type Report = Map<string, Outcome>;

interface Spec {
  ContainerHierarchyTexts: string[] | null;
  LeafNodeType: string;
  LeafNodeText: string;
  State: string;
  Failure?: { Message?: string; Location?: { FileName?: string; LineNumber?: number } };
}

/** @throws if what surrounds the specs failed, or the suite broke off before its end */
export function readReport(text: string): Report {
  const [suite]: [{ SpecReports: Spec[] | null }] = JSON.parse(text);
  const report: Report = new Map();
  for (const spec of suite.SpecReports ?? []) {
    const passed = spec.State === "passed";
    const { Message: message = "", Location: place } = spec.Failure ?? {};
    const file = place?.FileName?.replace(/^.*\//, "") ?? "";
    const why = passed ? "" : `${spec.State} at ${file}:${place?.LineNumber}: ${message}`;
    if (spec.LeafNodeType !== "It") {
      if (!passed) throw new Error(`${spec.LeafNodeType} ${why}`);
      continue;
    }
    if (spec.State === "skipped" || spec.State === "pending") continue;
    const name = [...spec.ContainerHierarchyTexts ?? [], spec.LeafNodeText].join(" ");
    let key = name;
    for (let number = 2; report.has(key); number++) key = `${name} #${number}`;
    report.set(key, { passed, why });
  }
  return report;
}

/** The specs that judge: what the reference's programs do, and those that always fail don't. */
export function judgesOf(reference: Report, failing: Report): string[] {
  return [...reference].filter(([name, { passed }]) => passed && !failing.get(name)?.passed)
    .map(([name]) => name);
}
