/** The parts of the debug shell that need no kernel. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { nameservers } from "../../lib/diagnose/resolver.ts";
import { destinationAddress } from "../../lib/netns/inspect.ts";
import { parseRules } from "../../lib/packetpath/parse.ts";
import { type Packet, walk, within } from "../../lib/packetpath/walk.ts";
import { age, plain, table } from "../../lib/netns/table.ts";
import { dotText, mermaidText, treeText } from "../../lib/netns/topology_text.ts";
import { RuleTexts } from "../../lib/diagnose/reasons/rule_text.ts";

const PACKET: Packet = {
  protocol: "tcp",
  source: "10.1.0.2",
  destination: "203.0.113.2",
  sourcePort: 40000,
  destinationPort: 80,
  input: "br0",
  output: "eth0",
  toHost: false,
  state: "NEW",
};

function verdict(rules: string, packet: Partial<Packet> = {}) {
  const { target, rule, unsure } = walk(parseRules(rules), "FORWARD", { ...PACKET, ...packet });
  return [target, rule?.text, unsure.length];
}

Deno.test("a packet is followed through chains to the rule that decides, or the policy", () => {
  const rules = `-P FORWARD DROP
-N GUARD
-N EMPTY
-A FORWARD -j LOG
-A FORWARD -j EMPTY
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i br+ -j GUARD
-A GUARD -s 10.2.0.0/16 -j RETURN
-A GUARD ! -d 203.0.113.0/255.255.255.0 -j REJECT --reject-with icmp-port-unreachable
-A GUARD -p tcp -m multiport --dports 22,80:90 -m comment --comment "web \\"and\\" ssh" -j ACCEPT
`;
  assertEquals(verdict(rules)[0], "ACCEPT");
  assertStringIncludes(verdict(rules)[1] as string, "--dports 22,80:90");
  assertEquals(verdict(rules, { destinationPort: 91 }), ["DROP", undefined, 0]);
  assertEquals(verdict(rules, { destination: "192.0.2.1" })[0], "REJECT");
  assertEquals(verdict(rules, { source: "10.2.0.1", destination: "192.0.2.1" })[0], "DROP");
  assertEquals(verdict(rules, { state: "ESTABLISHED", input: "eth0" })[0], "ACCEPT");
  assertEquals(verdict(rules, { input: "eth9" }), ["DROP", undefined, 0]);
});

Deno.test("a rule with a match that is not understood decides nothing, and is said to be unsure", () => {
  const rules = `-P FORWARD ACCEPT
-A FORWARD -m mark --mark 0x1 -j DROP
-A FORWARD ! -p udp -m set ! --match-set bad src -j DROP
-A FORWARD -p udp -m length --length 0:10 -j DROP
`;
  assertEquals(verdict(rules), ["ACCEPT", undefined, 2]);
});

Deno.test("chains that call each other in a circle end", () => {
  const rules = `-P FORWARD ACCEPT\n-N A\n-N B\n-A FORWARD -j A\n-A A -j B\n-A B -j A\n`;
  assertEquals(verdict(rules), ["ACCEPT", undefined, 0]);
});

Deno.test("chains that call each other many times over are walked once", () => {
  const names = Array.from({ length: 64 }, (_, i) => `C${i}`);
  const jumps = names.slice(1).flatMap((to, i) => Array(8).fill(`-A C${i} -j ${to}`));
  const rules = ["-P FORWARD DROP", ...names.map((name) => `-N ${name}`), ...jumps];
  const self = Array(8).fill("-A FORWARD -j FORWARD");
  assertEquals(verdict([...rules, ...self, "-A FORWARD -j C0"].join("\n"))[0], "DROP");
});

Deno.test("whatever rules are printed, a packet gets a verdict", () => {
  const word = fc.oneof(
    fc.constantFrom("-A", "FORWARD", "-j", "-s", "!", "-p", "--dport", "10.0.0.0/8", "DROP", '"'),
    fc.string({ maxLength: 8 }).filter((text) => !text.includes("\n")),
  );
  const line = fc.array(word, { maxLength: 8 }).map((words) => `-A FORWARD ${words.join(" ")}`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      verdict(["-P FORWARD ACCEPT", ...lines].join("\n"));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("an address is in a prefix of its own family, or is that address", () => {
  assertEquals(within("10.1.0.2", "10.1.0.0/16"), true);
  assertEquals(within("10.2.0.2", "10.1.0.0/16"), false);
  assertEquals(within("10.1.0.2", "10.1.0.2"), true);
  assertEquals(within("10.1.0.2", "2001:db8::/32"), false);
  assertEquals(within("2001:db8::1", "2001:db8::/32"), true);
  assertEquals(within("10.1.0.2", "10.1.0.0/255.255.0.0"), true);
});

Deno.test("the destination of a DNAT rule is read with and without port, in both families", () => {
  assertEquals(
    ["192.0.2.1:80", "192.0.2.1", "[2001:db8::1]:80", "2001:db8::1"].map(destinationAddress),
    ["192.0.2.1", "192.0.2.1", "2001:db8::1", "2001:db8::1"],
  );
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
  assertEquals(mermaidText(topology).split("\n").length, 4);
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
    const found = await new RuleTexts().of({ ...met, ...odd } as never);
    assertEquals([found.text, found.remove], ["handle 7", undefined]);
  }
});
