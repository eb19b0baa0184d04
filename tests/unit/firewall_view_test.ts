import { assertEquals } from "@std/assert";
import type { FoundRule, Place } from "../../lib/firewall/rule.ts";
import { FirewallView, type Like } from "../../lib/firewall/view.ts";

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
