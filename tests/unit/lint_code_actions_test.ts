/** What the language server offers, in texts as they are while somebody types. */
import { assert, assertEquals } from "@std/assert";
import { fixingAll, ignoring } from "../../lib/lint/code_actions.ts";
import { lint } from "../../lib/lint/lint.ts";
import type { Edit } from "../../lib/lint/range.ts";
import { Settings } from "../../lib/lint/settings.ts";
import { Source } from "../../lib/lint/source.ts";
import { breakages } from "../fixtures/lint/corpus.ts";

const sourceOf = (text: string) =>
  new Source({ path: "net.conf", content: new TextEncoder().encode(text) });

function applied(text: string, edits: readonly Edit[]): string {
  return [...edits].sort((a, b) => b.offset - a.offset).reduce(
    (text, { offset, length, content }) =>
      text.slice(0, offset) + content + text.slice(offset + length),
    text,
  );
}

Deno.test("a finding that is spared is gone, and it alone", () => {
  let spared = 0;
  for (const { text, name } of breakages()) {
    const source = sourceOf(text);
    const found = lint([source], new Settings());
    const [one] = found;
    const action = one && ignoring(one);
    if (!action) continue;
    spared += 1;
    const codes = (of: typeof found) => of.map(({ code }) => code).sort();
    const after = lint([sourceOf(applied(text, action.edits))], new Settings());
    const gone = codes(found).filter((code) => code !== one.code);
    assertEquals(codes(after).filter((code) => code !== one.code), gone, name);
    assert(codes(after).length < codes(found).length, `${one.code} in ${text}`);
  }
  assert(spared > 300, `${spared}`);
});

Deno.test("mending all leaves nothing to mend", () => {
  const check = (sources: readonly Source[]) => lint(sources, new Settings());
  let mended = 0;
  for (const { text } of breakages()) {
    const action = fixingAll(sourceOf(text), check);
    if (!action) continue;
    mended += 1;
    assertEquals(fixingAll(sourceOf(applied(text, action.edits)), check), undefined);
  }
  assert(mended > 100, `${mended}`);
});
