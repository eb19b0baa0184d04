/** The test of the twins: their judge can fail, and what is said to differ is said in the documents. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { call, DIR, type Twin } from "../twins/case.ts";
import { CASES } from "../twins/cases.ts";
import { CHAINED_CASES } from "../twins/chained_cases.ts";
import { differences, show } from "../twins/compare.ts";
import { type Exception, type ExceptionName, EXCEPTIONS, OF_OURS } from "../twins/exceptions.ts";
import { heldOutCases } from "../twins/held_out.ts";
import { factsOf, isOfPlugin, judged, judgedCrossed, pattern } from "../twins/judge.ts";

const DOCUMENT = Deno.readTextFileSync(
  fromFileUrl(new URL("../../docs/plugins.md", import.meta.url)),
).replaceAll(/\s+/g, " ");
const ALL = Object.entries(EXCEPTIONS) as [ExceptionName, Exception][];
const TWINS = [
  ...CASES,
  ...CHAINED_CASES,
  ...heldOutCases("newest", "here"),
  ...heldOutCases("newest", "machine"),
];

/** A fact of each kind: a pattern that fits two of them says nothing. */
const KINDS = [
  ...["", "exit 0", "error 999 string", "result ips.0.address=10.0.0.2/24", "host rule priority=5"],
  ...["host link eth0", "host link eth0 mtu=1500", "ns1 link eth0 address local=10.0.0.2"],
  ...["ns1 link eth0 route dst=default gateway=10.0.0.1", "ns1 link eth0 ipv6 forwarding:0"],
  ...["host iptables nat", "host iptables nat -A POSTROUTING -j MASQUERADE", "host nft ip a"],
  ...["host ports tcp 0.0.0.0:80 to 10.0.0.2:80 from outside", "file /run/a", "file /run/a: b"],
];

Deno.test("every exception has its sentence in docs/plugins.md, and a case", () => {
  for (const [name, exception] of ALL) {
    assert(exception.sentence.length > 30 && /[.,:;]$/.test(exception.sentence), name);
    assert(DOCUMENT.includes(exception.sentence), `${name}: docs/plugins.md has no such sentence`);
    const isUsed = (twin: Twin) =>
      (twin.differs?.[name] ?? twin.older?.[name]) !== undefined || isOfPlugin(exception, twin);
    assert(TWINS.some(isUsed), `${name}: no case uses it`);
  }
  for (const { sentence } of OF_OURS) assert(DOCUMENT.includes(sentence), sentence);
});

Deno.test("a fact of an exception fits one kind of fact, and never everything", () => {
  for (const [name, exception] of ALL) {
    assert(factsOf(exception).length > 0, name);
    for (const fact of factsOf(exception)) {
      const fits = KINDS.filter((kind) => pattern(fact.slice(2)).test(kind));
      assert(fits.length <= 1, `${name}: ${fact} fits ${fits.join(" | ")}`);
      assert(/^[-+] [a-z]/.test(fact), `${name}: ${fact}`);
    }
  }
});

Deno.test("every case that is said to differ is there, at steps that it has", () => {
  for (const { id, differs = {}, older = {}, steps } of TWINS) {
    for (const [name, at] of [...Object.entries(differs), ...Object.entries(older)]) {
      assert(name in EXCEPTIONS && at.length > 0, `${id}: ${name}`);
      assert(at.every((step) => step in steps), `${id}: ${name}: ${at}`);
    }
  }
});

Deno.test("the judge sees each kind of difference, and what is said to differ and does not", () => {
  const config = { cniVersion: "1.0.0", name: "n", type: "bridge", ipam: { type: "static" } };
  const twin: Twin = { id: "x", type: "static", steps: [call("ADD", config)] };
  const link = { ifname: "br0", link_type: "ether", mtu: 1500, addr_info: [] };
  const seen = (link: object, rest = "", code = 0) => [{
    code,
    printed: { ips: [{ address: "10.0.0.2/24" }] },
    state: `## host\n${JSON.stringify([link])}\n${rest}`,
  }];
  const found = (a: ReturnType<typeof seen>, b: ReturnType<typeof seen>) =>
    differences(twin, a, b).map(show);
  assertEquals(found(seen(link), seen(link)), []);
  assertEquals(found(seen(link), seen({ ...link, mtu: 1400 }, "", 1)), [
    "step 0: - exit 0",
    "step 0: - host link br0 mtu=1500",
    "step 0: + exit 1",
    "step 0: + host link br0 mtu=1400",
  ]);
  assertEquals(found(seen(link), seen({ ...link, ifname: "br1" })), [
    "step 0: - host link br0",
    "step 0: + host link br1",
  ]);
  const file = `## files\nfile ${DIR}/ipam/net/10.0.0.2\nctr-1\n`;
  assertEquals(found(seen(link, file), seen(link, file.replace("ctr-1", "ctr-2"))), [
    `step 0: - file ${DIR}/ipam/net/10.0.0.2: ctr-1`,
    `step 0: + file ${DIR}/ipam/net/10.0.0.2: ctr-2`,
  ]);
  const different = differences(twin, seen(link), seen(link, "", 1));
  assertEquals(judged(twin, different, "newest").wrong, ["step 0: - exit 0", "step 0: + exit 1"]);
  const [name] = ALL.find(([, { plugin, only }]) => plugin === undefined && only === undefined)!;
  assertEquals(judged({ ...twin, differs: { [name]: [0] } }, [], "newest").wrong, [
    `step 0: ${name}: is said to differ, and does not`,
  ]);
});

Deno.test("the judge follows a port mapper's rules, whoever wrote them", () => {
  const twin: Twin = { id: "x", type: "portmap", steps: [call("ADD", { type: "portmap" })] };
  const seen = (rules: string) => [{ code: 0, printed: undefined, state: `## host\n${rules}` }];
  const iptables = (chain: string, port: number) =>
    seen(`iptables
*nat
:PREROUTING ACCEPT [0:0]
:${chain} - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j ${chain}
-A ${chain} -p tcp -m tcp --dport ${port} -j DNAT --to-destination 10.0.0.2:80
COMMIT
ip6tables
nft`);
  const [theirs, ours] = [iptables("CNI-HOSTPORT-DNAT", 8080), iptables("MESOS-CNI-PORTMAP", 8080)];
  assertEquals(differences(twin, theirs, ours), []);
  assertEquals(differences(twin, theirs, iptables("MESOS-CNI-PORTMAP", 8081)).map(show), [
    "step 0: - host ports tcp 0.0.0.0:8080 to 10.0.0.2:80 from outside",
    "step 0: + host ports tcp 0.0.0.0:8081 to 10.0.0.2:80 from outside",
  ]);
  // A mapping that no hook leads to is none, also where its elements are there.
  const nft = (jump: string) =>
    seen(`iptables
ip6tables
nft
table inet mesos-cni {
	map ports4 {
		typeof meta l4proto . th dport : ip daddr . th dport
		elements = { 6 . 8080 comment "container_id: a" : 10.0.0.2 . 80,
			     17 . 53 comment "container_id: a" : 10.0.0.2 . 53 }
	}
	chain mappings {
		meta l4proto { 6, 17, 132 } dnat ip to meta l4proto . th dport map @ports4
	}
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		${jump}
	}
}`);
  assertEquals(differences(twin, nft("fib daddr type 2 jump mappings"), nft("accept")).map(show), [
    "step 0: - host ports tcp 0.0.0.0:8080 to 10.0.0.2:80 from outside",
    "step 0: - host ports udp 0.0.0.0:53 to 10.0.0.2:53 from outside",
  ]);
});

Deno.test("crossed, a case may differ by what is said of it, at each step, and by nothing else", () => {
  const twin: Twin = { id: "x", type: "portmap", differs: { "DEL of nothing": [1] }, steps: [] };
  const of = (step: number, theirs: boolean, fact: string) => ({ step, theirs, fact });
  const leak = "host ports tcp 0.0.0.0:80 to 10.0.0.2:80 from outside";
  const found = [of(2, true, "exit 1"), of(2, false, "exit 0"), of(3, false, leak)];
  assertEquals(judgedCrossed(twin, found, "newest", []).wrong, [`step 3: + ${leak}`]);
  assertEquals(judgedCrossed(twin, found, "newest", OF_OURS).wrong, []);
  const other = { ...twin, type: "bridge" };
  assertEquals(judgedCrossed(other, found, "newest", OF_OURS).wrong, [`step 3: + ${leak}`]);
});
