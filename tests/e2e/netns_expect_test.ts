/** A packet between the containers of two agents: this one says what to run there, and that one sees it come. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Clinic } from "../harness/clinic.ts";
import { AGENT_ADDRESS, Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, StockContainer } from "../harness/stock_agent.ts";

interface Followed {
  connection: string;
  arrived: boolean;
  hops: { name: string; outcome: string }[];
  findings: { code: string; place: string; text: string }[];
  there?: string[];
}

const THERE = "203.0.113.77";

/** Another agent on the same wire, with a container behind a bridge of its own. */
async function withOther(
  work: (clinic: Clinic, other: Sandbox, far: StockContainer) => Promise<void>,
): Promise<void> {
  await using clinic = await Clinic.open();
  await using other = await Sandbox.create();
  const { agent } = clinic;
  const wire = ["ip", "link", "add", "wan0-b", "type", "veth", "peer", "name", "wan0"];
  await agent.ok([...wire, "netns", String(other.pid)]);
  await agent.ok(["ip", "link", "set", "wan0-b", "master", "wan0", "up"]);
  await other.ok(["ip", "address", "add", `${THERE}/24`, "dev", "wan0"]);
  await other.ok(["ip", "link", "set", "wan0", "up"]);
  await other.ok(["ip", "route", "add", "default", "via", AGENT_ADDRESS]);
  await agent.ok(["ip", "route", "add", "10.11.0.0/16", "via", THERE]);
  await using far = await StockContainer.launch(
    other,
    "far",
    [bridgeNetwork("net-b", "10.11.0.0/16")],
    { plugins: CNI_PLUGINS },
  );
  await far.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  await work(clinic, other, far);
}

async function follow(clinic: Clinic, to: string): Promise<Followed> {
  const args = ["diagnose", "--from=patient", `--to=${to}`, "--json"];
  return JSON.parse((await clinic.netns(...args)).stdout);
}

/** Runs on the other agent what this one said, and then the same again here. */
async function fromBoth(
  clinic: Clinic,
  other: Sandbox,
  to: string,
): Promise<Followed & { code: number }> {
  const { there, arrived } = await follow(clinic, to);
  assertEquals(arrived, false);
  const [program, ...args] = there!;
  assertEquals(program, "mesos-cni");
  const waiting = other.run([MESOS_CNI, ...args, "--json"]);
  let isOver = false;
  const over = waiting.finally(() => isOver = true);
  while (!isOver) await follow(clinic, to);
  const { code, stdout, stderr } = await over;
  assertEquals(stderr, "");
  return { ...JSON.parse(stdout), code };
}

const stopOf = ({ hops }: Followed) => hops.find(({ outcome }) => outcome === "stopped")?.name;

Deno.test("what is lost at another agent is seen there: the hop, and the rule that drops it", async () => {
  await withOther(async (clinic, other, far) => {
    const [address] = far.addresses;
    const healthy = await follow(clinic, `${address}:80`);
    assertEquals([healthy.arrived, healthy.there], [true, undefined]);

    await other.ok(["iptables", "-A", "FORWARD", "-d", address!, "-p", "tcp", "-j", "DROP"]);
    const dropped = await fromBoth(clinic, other, `${address}:80`);
    assertEquals(dropped.code, 1);
    assertEquals(dropped.hops[0], {
      ...dropped.hops[0],
      name: "arriving on wan0",
      outcome: "passed",
    });
    assertMatch(stopOf(dropped)!, /^leaving by /);
    assertEquals(dropped.findings[0]!.code, "rule_drop");
    assertMatch(dropped.findings[0]!.text, new RegExp(`-d ${address}/32 -p tcp -j DROP`));
    await other.ok(["iptables", "-F", "FORWARD"]);

    await far.ok(["ip", "link", "set", "eth0", "down"]);
    const down = await fromBoth(clinic, other, `${address}/icmp`);
    assertEquals([down.findings[0]!.code, down.findings[0]!.place], [
      "interface_down",
      "container",
    ]);
  });
});

Deno.test("what comes and is answered is said to be; what nobody sends, too; and whose it is not", async () => {
  await withOther(async (clinic, other, far) => {
    const [address] = far.addresses;
    const expect = (to: string) =>
      other.run([MESOS_CNI, "diagnose", `--to=${to}`, "--expect=20481"]);
    const waiting = expect(`${address}:80`);
    // The answer is lost on the way back, behind the other agent.
    await clinic.agent.ok([
      "iptables",
      "-t",
      "raw",
      "-A",
      "PREROUTING",
      "-s",
      address!,
      "-j",
      "DROP",
    ]);
    const came = await fromBoth(clinic, other, `${address}:80`);
    assertEquals([came.code, came.arrived, came.findings], [0, true, []]);
    assert(came.hops.every(({ outcome }) => outcome === "passed"), JSON.stringify(came.hops));

    const nobodys = await expect("10.11.9.9:80");
    assertEquals(nobodys.code, 2);
    assertMatch(nobodys.stderr, /no container of this agent has 10\.11\.9\.9:80/);
    const nothing = await waiting;
    assertEquals(nothing.code, 1);
    assertMatch(
      nothing.stdout,
      /no packet came from port 20481 in 60 s: it is lost before this agent/,
    );
  });
});
