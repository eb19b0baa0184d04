import { assertEquals } from "@std/assert";
import { foundAt, type FoundRule, type Place } from "../../lib/firewall/rule.ts";
import { SavedView } from "../../lib/firewall/saved.ts";
import { BothFamilies, FirewallView, type Like } from "../../lib/firewall/view.ts";

const POSTROUTING: Place = { family: 4, table: "nat", chain: "POSTROUTING" };
const rule = (id: string, comment?: string) =>
  ({ ...POSTROUTING, id, ...comment === undefined ? {} : { comment } }) as FoundRule;
const RULES = [rule("1", "a"), rule("2", "b"), rule("3"), rule("4", "a"), rule("5", "c")];

Deno.test("a view takes a chain's rules apart once, however many are looked for", () => {
  const reads: (readonly Like[] | undefined)[] = [];
  class Chain extends FirewallView {
    override chain() {
      return {};
    }
    override rules(_place: Place, like?: readonly Like[]) {
      reads.push(like);
      return RULES.filter(({ comment }) =>
        like === undefined || like.some((one) => one.comment === comment)
      );
    }
  }
  const ids = (view: FirewallView, ...comments: string[]) =>
    view.withComment(POSTROUTING, comments).map(({ id }) => id);
  const asked = [["a"], ["b"], ["c", "none"], ["none"], ["a"]];
  const expected = asked.map((comments) => ids(new Chain(), ...comments));
  reads.length = 0;
  const view = new Chain();
  assertEquals(asked.map((comments) => ids(view, ...comments)), expected);
  assertEquals(reads, [[{ comment: "a" }], undefined]);
});

Deno.test("rules are recalled by handles only where each is of a view that knows them", () => {
  class Handles extends SavedView {
    override recall(rules: readonly FoundRule[], comment: string) {
      return rules.every(({ id }) => id === "6") && comment === "a";
    }
  }
  const rules = [foundAt(POSTROUTING, "6"), foundAt({ ...POSTROUTING, family: 6 }, "6")];
  const saved = new SavedView("*nat\n:POSTROUTING ACCEPT\n-A POSTROUTING -m comment --comment a");
  const handles = new Handles("");
  const recalled = [[saved, saved], [handles, saved], [saved, handles], [handles, handles]]
    .map(([four, six]) => new BothFamilies({ 4: four!, 6: six! }).recall(rules, "a"));
  assertEquals(recalled, [false, false, false, true]);
  assertEquals(new BothFamilies({ 4: handles }).recall(rules.slice(0, 1), "b"), false);
});
