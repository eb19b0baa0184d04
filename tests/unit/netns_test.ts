/** The parts of the debug shell that need no kernel. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { nameservers } from "../../lib/facts/readers/files.ts";
import { within } from "../../lib/base/ip.ts";
import { age, plain, table } from "../../lib/netns/table.ts";
import { dotText, mermaidText, treeText } from "../../lib/netns/topology_text.ts";
import { KnownRules } from "../../lib/diagnose/observe/rules.ts";

Deno.test("an address is in a prefix of its own family, or is that address", () => {
  assertEquals(within("10.1.0.2", "10.1.0.0/16"), true);
  assertEquals(within("10.2.0.2", "10.1.0.0/16"), false);
  assertEquals(within("10.1.0.2", "10.1.0.2"), true);
  assertEquals(within("10.1.0.2", "2001:db8::/32"), false);
  assertEquals(within("2001:db8::1", "2001:db8::/32"), true);
  assertEquals(within("10.1.0.2", "10.1.0.0/33"), false);
});

Deno.test("the servers of a resolv.conf are those that the resolver uses", () => {
  const text =
    "# nameserver 192.0.2.9\nsearch a b\nnameserver 192.0.2.1\n nameserver\t192.0.2.2\n" +
    "nameserver 192.0.2.3\nnameserver 192.0.2.4\n";
  assertEquals(nameservers(text), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
});

Deno.test("text of a framework can neither move the cursor nor turn the line around", () => {
  assertEquals(plain("a\x1b[2Jb\u202ec\x07\r"), "a\\u001b[2Jb\\u202ec\\u0007\\u000d");
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    // deno-lint-ignore no-control-regex
    assertEquals(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]/.test(plain(text)), false);
  }));
});

Deno.test("names from outside stay names in a drawing", () => {
  const hostile = 'a"]; evil -- x; ["<script>\n';
  const topology = {
    nodes: [
      { id: "agent", kind: "agent" as const, name: "agent", details: [] },
      { id: "c", kind: "container" as const, name: hostile, details: [hostile] },
    ],
    edges: [{ from: "agent", to: "c", label: hostile }],
  };
  assertStringIncludes(dotText(topology), 'label="a\\"]; evil -- x; [\\"<script>');
  assertEquals(mermaidText(topology).includes("<script>"), false);
  assertEquals(mermaidText(topology).split("\n").length, 5);
  assertStringIncludes(treeText(topology), "evil");
});

Deno.test("ages are told in the one unit that matters", () => {
  const now = new Date("2030-01-10T00:00:00Z");
  const ago = (seconds: number) => age(new Date(now.getTime() - seconds * 1000), now);
  assertEquals(
    [ago(0), ago(119), ago(120), ago(7199), ago(7200), ago(47 * 3600), ago(9 * 86400), ago(-5)],
    ["0s", "119s", "2m", "119m", "2h", "47h", "9d", "0s"],
  );
  assertEquals([age(undefined, now), age(new Date("nonsense"), now)], ["?", "?"]);
});

Deno.test("columns are as wide as they must be", () => {
  assertEquals(table(["A", "B"], [["long", "x"], ["y", ""]]), "A     B\nlong  x\ny");
});

Deno.test("no name that a container has given to a chain is an option of a program", async () => {
  const met = {
    id: 1,
    family: "ip",
    table: "filter",
    chain: "INPUT",
    verdict: "drop",
    handle: "7",
  };
  for (
    const odd of [
      { chain: "--modprobe=/proc/1/root/evil" },
      { chain: "X --modprobe=/proc/1/root/evil" },
      { chain: "X; flush ruleset" },
      { chain: "-f/proc/1/root/script" },
      { table: "-f" },
      { chain: "X\n-A X" },
    ]
  ) {
    const found = await new KnownRules().of({ ...met, ...odd } as never);
    assertEquals([found.ref.text, found.remove], ["handle 7", undefined]);
  }
});
