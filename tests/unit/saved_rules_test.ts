import { assertEquals } from "@std/assert";
import { ruleLine } from "../../lib/firewall/rule.ts";
import { SavedView } from "../../lib/firewall/saved.ts";

const place = { family: 4, table: "filter", chain: "FORWARD" } as const;

/** Rules as iptables-save prints them, of other programs, with what is understood of them. */
const LINES: readonly (readonly [line: string, unknown: string[], target: unknown])[] = [
  ["-A FORWARD -i docker0 ! -o docker0 -j ACCEPT", [], { verdict: "ACCEPT" }],
  ["-A FORWARD -p tcp -j DROP", ["-p tcp"], { verdict: "DROP" }],
  ["-A FORWARD ! -p tcp -j DROP", ["! -p tcp"], { verdict: "DROP" }],
  ["-A FORWARD -m set --match-set a src,dst -j DROP", ["--match-set a", "src,dst"], {
    verdict: "DROP",
  }],
  ['-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j LOG --log-prefix "a -j b "', [
    "--tcp-flags SYN,RST",
    "SYN",
    "-p tcp",
  ], { other: "LOG" }],
  ["-A FORWARD -m mark ! --mark 0x1/0x1 -g OTHER", ["! --mark 0x1/0x1"], { goto: "OTHER" }],
  ["-A FORWARD -m physdev --physdev-is-bridged", ["--physdev-is-bridged"], undefined],
  ["-A FORWARD -s 10.0.0.0/255.0.255.0 -j REJECT --reject-with icmp-port-unreachable", [
    "-s 10.0.0.0/255.0.255.0",
  ], { other: "REJECT" }],
  ["-A FORWARD -p tcp -m multiport --dports 80,443 -j DOCKER-USER", [
    "--dports 80,443",
    "-p tcp",
  ], { jump: "DOCKER-USER" }],
];

Deno.test("of rules of others, what has no word here is kept, and nothing is taken for more", () => {
  for (const [line, unknown, target] of LINES) {
    const view = new SavedView(`*filter\n:FORWARD DROP [0:0]\n${line}\nCOMMIT\n`);
    const [rule] = view.rules(place);
    assertEquals([rule!.unknown, rule!.target], [unknown, target], line);
    assertEquals(rule!.id, line);
  }
});

Deno.test("what iptables-save prints of a chain: its policy, its rules, and no other table's", () => {
  const view = new SavedView(
    "*nat\n:FORWARD - [0:0]\n-A FORWARD -j RETURN\nCOMMIT\n*filter\n:FORWARD DROP [1:2]\n" +
      '-A FORWARD -s 10.1.0.2/32 -m comment --comment "name: \\"n\\" id: \\"i\\"" -j ACCEPT\nCOMMIT\n',
  );
  assertEquals(view.policy(place), "DROP");
  assertEquals(view.policy({ ...place, table: "nat" }), undefined);
  assertEquals(view.hasChain({ ...place, chain: "INPUT" }), false);
  const [rule, ...more] = view.withComment(place, ['name: "n" id: "i"']);
  assertEquals(more, []);
  assertEquals(ruleLine(rule!), rule!.id);
});
