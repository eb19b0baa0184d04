/** `diagnose --from --to`: one connection hop by hop, and the hop where it stops. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { BRIDGE, Clinic } from "../harness/clinic.ts";
import { AGENT_ADDRESS } from "../harness/sandbox.ts";
import { bridgeNetwork } from "../harness/stock_agent.ts";

interface Trail {
  connection: string;
  hops: { name: string; outcome: string; evidence: string[] }[];
}

async function follow(
  clinic: Clinic,
  to: string,
): Promise<Trail & { stops?: string; code: number }> {
  const output = await clinic.netns("diagnose", "--from=patient", `--to=${to}`, "--json");
  assertEquals(output.stderr, "");
  const trail: Trail = JSON.parse(output.stdout);
  const stops = trail.hops.find(({ outcome }) => outcome === "stopped")?.name;
  return { ...trail, stops, code: output.code };
}

Deno.test("a connection is followed to a container, another bridge, an address and a name", async () => {
  await using clinic = await Clinic.open();
  const far = await clinic.admit("far", [bridgeNetwork("net-a", "10.11.0.0/16")]);
  for (const host of [clinic.neighbour, far, clinic.outside]) {
    await host.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  }
  const { address } = clinic.outside;
  for (const to of ["neighbour", "far:80", `${address}:80`, "outside.test:80"]) {
    const { connection, hops, code } = await follow(clinic, to);
    assertEquals([connection, code], ["connected", 0], to);
    assert(hops.length >= 4 && hops.every(({ outcome }) => outcome === "passed"), to);
  }
  const routed = await follow(clinic, `${address}:80`);
  assertEquals(routed.hops.map(({ name }) => name.replace(/veth\w+/, "VETH")), [
    "the routes of patient",
    `eth0 – VETH – ${BRIDGE}`,
    "10.1.0.1 on eth0",
    "the agent's nat PREROUTING",
    "the agent's routes",
    "the agent's firewall (FORWARD)",
    `${address} on wan0`,
    `${address}:80`,
  ]);
});

Deno.test("the hop where a connection stops is named, with what was seen there", async () => {
  const stops: [what: string, to: string, stop: RegExp, inject: (c: Clinic) => Promise<unknown>][] =
    [
      ["no name", "nowhere.test:80", /the name nowhere\.test/, () => Promise.resolve()],
      ["nothing listens outside", "203.0.113.2:81", /^203\.0\.113\.2:81$/, () => Promise.resolve()],
      [
        "nothing listens in the container",
        "neighbour:81",
        /^container neighbour$/,
        () => Promise.resolve(),
      ],
      [
        "no route",
        "203.0.113.2:80",
        /routes of patient/,
        (clinic) => clinic.patient.ok(["ip", "route", "del", "default"]),
      ],
      [
        "off the bridge",
        "203.0.113.2:80",
        /^eth0 – veth/,
        async (clinic) => clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "nomaster"]),
      ],
      [
        "a silent gateway",
        "203.0.113.2:80",
        /^10\.1\.0\.1 on eth0$/,
        (clinic) => clinic.agent.ok(["ip", "link", "set", BRIDGE, "arp", "off"]),
      ],
      [
        "forwarding off",
        "203.0.113.2:80",
        /^the agent's routes$/,
        (clinic) => clinic.agent.ok(["sysctl", "-w", "net.ipv4.ip_forward=0"]),
      ],
      [
        "a rule for one port",
        "203.0.113.2:80",
        /^the agent's firewall \(FORWARD\)$/,
        (clinic) => clinic.agent.ok("iptables -A FORWARD -p tcp --dport 80 -j DROP".split(" ")),
      ],
      [
        "a rule for the agent's own port",
        `${AGENT_ADDRESS}:5051`,
        /^the agent's firewall \(INPUT\)$/,
        (clinic) => clinic.agent.ok("iptables -A INPUT -p tcp --dport 5051 -j DROP".split(" ")),
      ],
      [
        "a host that is gone",
        "203.0.113.2:80",
        /^203\.0\.113\.2 on wan0$/,
        (clinic) => clinic.outside.ok(["ip", "link", "set", "eth0", "down"]),
      ],
      [
        "the other container's interface down",
        "neighbour:80",
        /^10\.1\.0\.3 on eth0$/,
        (clinic) => clinic.neighbour.ok(["ip", "link", "set", "eth0", "down"]),
      ],
      [
        "answers that do not come back",
        "203.0.113.2:80",
        /^203\.0\.113\.2:80$/,
        (clinic) => clinic.agent.ok(["iptables", "-t", "nat", "-F", "POSTROUTING"]),
      ],
    ];
  await Promise.all(Array.from({ length: 3 }, async (_, worker) => {
    for (const [what, to, stop, inject] of stops.filter((_, i) => i % 3 === worker)) {
      await using clinic = await Clinic.open();
      await inject(clinic);
      const trail = await follow(clinic, to);
      assertEquals(trail.code, 1, what);
      assertMatch(trail.stops ?? "none", stop, `${what}: ${JSON.stringify(trail, null, 1)}`);
      const after = trail.hops.slice(
        trail.hops.findIndex(({ outcome }) => outcome === "stopped") + 1,
      );
      assert(after.every(({ outcome }) => outcome === "unknown"), what);
    }
  }));
});

Deno.test("a port mapping's DNAT is one of the hops", async () => {
  await using clinic = await Clinic.open();
  await clinic.admit("far", [bridgeNetwork("net-a", "10.11.0.0/16")]);
  await clinic.neighbour.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const output = await clinic.netns(
    "diagnose",
    "--from=far",
    `--to=${AGENT_ADDRESS}:8081`,
    "--json",
  );
  const { connection, hops } = JSON.parse(output.stdout);
  assertEquals(connection, "connected");
  const nat = hops.find(({ name }: { name: string }) => name === "the agent's nat PREROUTING");
  assertMatch(nat.evidence[0], /^10\.1\.0\.3:80 instead, by: -A MESOS-TEST-PORT-MAPPER/);
});

Deno.test("a destination that can't be understood, and half of a pair, are errors", async () => {
  await using clinic = await Clinic.open();
  const bad = await clinic.netns("diagnose", "--from=patient", "--to=nonsense");
  assertEquals(bad.code, 1);
  assertMatch(bad.stderr, /is no container, and not like/);
  assertMatch(
    (await clinic.netns("diagnose", "--from=patient", "--to=neighbour")).stderr,
    /say which port/,
  );
  assertEquals((await clinic.netns("diagnose", "--from=patient")).code, 2);
  assertEquals((await clinic.netns("diagnose", "patient", "--from=patient", "--to=x:1")).code, 2);
});
