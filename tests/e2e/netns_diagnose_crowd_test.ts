/**
 * A diagnosis among hostile containers and among many ends, is bounded in size, and right. How long it
 * takes is measured by `./dev bench diagnose`.
 */
import { fromFileUrl } from "@std/path";
import { assert, assertEquals } from "@std/assert";
import { PYTHON } from "../harness/binary.ts";
import { Clinic, end } from "../harness/clinic.ts";
import { kernelTest } from "../harness/kernel.ts";
import { partOf } from "../harness/part.ts";
import { ALL_PARTS, FULL } from "../harness/scale.ts";
import type { Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, type StockContainer } from "../harness/stock_agent.ts";

const CONTAINERS = FULL ? 50 : 12;
/** Each of them keeps a processor busy. */
const FLOODS = ALL_PARTS ? 2 : 1;

kernelTest("a neighbour that floods neither hangs a diagnosis nor fills it", async () => {
  await using clinic = await Clinic.open();
  await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  await using stack = new AsyncDisposableStack();
  const script = fromFileUrl(new URL("../harness/hostile_neighbour.py", import.meta.url));
  for (let i = 0; i < FLOODS; i++) {
    const flood = clinic.neighbour.spawn([PYTHON, script, "10.1.0.1", clinic.address]);
    stack.defer(() => end(flood));
    const reader = flood.stdout.getReader();
    await reader.read();
    reader.releaseLock();
  }
  const { stdout, stderr } = await clinic.netns("diagnose", "patient", "--json");
  assertEquals(stderr, "");
  // Who answers for the gateway with another's address is what is wrong here.
  const { findings } = JSON.parse(stdout);
  assert(
    ["duplicate", "neighbour"].includes(findings[0].mechanism),
    JSON.stringify(findings[0], null, 1),
  );
  assert(stdout.length < 100_000, `${stdout.length} bytes`);
});

kernelTest("a container that does all it can to hang its diagnosis does not", async () => {
  await using clinic = await Clinic.open();
  const { patient } = clinic;
  // Addresses, routes and rules without number, a resolv.conf without end, a queue that swallows all.
  const lines = [
    ...Array.from({ length: 2000 }, (_, i) => `address add 10.99.${i >> 8}.${i & 255}/32 dev lo`),
    ...Array.from({ length: 2000 }, (_, i) => `route add 172.16.${i >> 8}.${i & 255}/32 dev eth0`),
    ...Array.from({ length: 200 }, (_, i) => `rule add from 10.99.0.${i} table ${i + 100}`),
  ];
  await patient.ok(["ip", "-batch", "-"], { stdin: lines.join("\n") + "\n" });
  const text = "nameserver 192.0.2.1\nsearch a.test\n".repeat(50_000);
  await Deno.writeTextFile(`${clinic.agent.dir}/resolv.conf`, text);
  await patient.ok(["mount", "--bind", `${clinic.agent.dir}/resolv.conf`, "/etc/resolv.conf"]);
  // A pipe that nobody writes to in place of a file.
  await patient.ok([
    "sh",
    "-ec",
    `mkfifo $0 && mount --bind $0 /etc/hosts`,
    `${clinic.agent.dir}/pipe`,
  ]);
  await patient.ok(["iptables", "-A", "OUTPUT", "-j", "NFQUEUE", "--queue-num", "3"]);
  await patient.ok(["iptables", "-A", "INPUT", "-j", "NFQUEUE", "--queue-num", "4"]);
  const { code, stdout } = await clinic.netns("diagnose", "patient", "--json");
  assertEquals(code, 1);
  assertEquals(JSON.parse(stdout).findings[0].code, "rule_queues");
  assert(stdout.length < 100_000, `${stdout.length} bytes`);
});

/** What is wrong with some of a crowd. */
const ILLS: ((one: StockContainer, agent: Sandbox) => Promise<unknown>)[] = [
  (one) => one.ok(["ip", "route", "del", "default"]),
  (one) => one.ok(["ip", "link", "set", "eth0", "down"]),
  (one, agent) => agent.ok(["iptables", "-A", "FORWARD", "-s", one.addresses[0]!, "-j", "DROP"]),
  (one) => one.ok(["ip", "route", "add", "blackhole", "203.0.113.0/24"]),
];

kernelTest(
  "of all containers of an agent, the ill ones are told from the others, each with the cause that it has alone",
  async () => {
    await using clinic = await Clinic.open();
    for (const container of [clinic.patient, clinic.neighbour]) {
      await container.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
    }
    const network = bridgeNetwork("crowd", "10.40.0.0/16");
    const isIll = (i: number) => i >= 4 && i < 12 && i % 2 === 0;
    for (let i = 2; i < CONTAINERS; i++) {
      const one = await clinic.admit(`crowd-${i}`, [network]);
      if (isIll(i)) await ILLS[((i - 4) / 2) % ILLS.length]!(one, clinic.agent);
    }
    const { rows } = JSON.parse((await clinic.netns("diagnose", "--all", "--json")).stdout);
    assertEquals(rows.length, CONTAINERS);
    type Finding = { code: string; place: string; mechanism: string; text: string };
    type Row = { id: string; diagnosis: { healthy: boolean; findings: Finding[] } };
    assertEquals(
      rows.filter(({ diagnosis }: Row) => !diagnosis.healthy).map(({ id }: Row) => id).sort(),
      Array.from({ length: CONTAINERS }, (_, i) => i).filter(isIll).map((i) => `crowd-${i}`).sort(),
    );
    const first = ({ findings }: { findings: Finding[] }) => {
      const { code, place, mechanism, text } = findings[0]!;
      return { code, place, mechanism, text };
    };
    const ill = rows.filter(({ diagnosis }: Row) => !diagnosis.healthy);
    for (const { id, diagnosis } of partOf<Row>(ill, 2)) {
      const alone = JSON.parse((await clinic.netns("diagnose", id, "--json")).stdout);
      assertEquals(first(diagnosis), first(alone), id);
    }
  },
);
