/** What is wrong is one thing, whoever says it: list, status, topology, metrics and diagnose in each broken state. */
import { assert, assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { BRIDGE, CHAIN, Clinic, PORT } from "../harness/clinic.ts";
import { partOf } from "../harness/part.ts";
import { Service } from "../harness/service.ts";

/** A state, how it is made, and the code that all say. */
type State = [code: string, make: (clinic: Clinic) => Promise<unknown>];

const GATEWAY = "10.1.0.1/16";

const STATES: State[] = [
  // The container's links.
  ["lo_down", ({ patient }) => patient.ok(["ip", "link", "set", "lo", "down"])],
  ["interface_down", ({ patient }) => patient.ok(["ip", "link", "set", "eth0", "down"])],
  ["interface_gone", ({ patient }) => patient.ok(["ip", "link", "del", "eth0"])],
  [
    "no_carrier",
    async (clinic) => await clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "down"]),
  ],
  // Its bridge.
  [
    "veth_off_bridge",
    async (clinic) => await clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "nomaster"]),
  ],
  ["bridge_down", ({ agent }) => agent.ok(["ip", "link", "set", BRIDGE, "down"])],
  ["bridge_gone", ({ agent }) => agent.ok(["ip", "link", "del", BRIDGE])],
  [
    "port_state",
    async (clinic) =>
      await clinic.agent.ok(["bridge", "link", "set", "dev", await clinic.veth(), "state", "0"]),
  ],
  // Addresses and routes.
  ["gateway_address_lost", ({ agent }) => agent.ok(["ip", "address", "flush", "dev", BRIDGE])],
  ["gateway_moved", async ({ agent }) => {
    await agent.ok(["ip", "address", "del", GATEWAY, "dev", BRIDGE]);
    await agent.ok(["ip", "link", "add", "elsewhere", "type", "bridge"]);
    await agent.ok(["ip", "address", "add", GATEWAY, "dev", "elsewhere"]);
  }],
  ["gateway_mask", async ({ agent }) => {
    await agent.ok(["ip", "address", "add", "10.1.0.1/32", "dev", BRIDGE]);
    await agent.ok(["ip", "address", "del", GATEWAY, "dev", BRIDGE]);
  }],
  [
    "address_lost",
    ({ patient, address }) => patient.ok(["ip", "address", "del", `${address}/16`, "dev", "eth0"]),
  ],
  ["address_differs", async ({ patient, address }) => {
    await patient.ok(["ip", "address", "del", `${address}/16`, "dev", "eth0"]);
    await patient.ok(["ip", "address", "add", "10.1.9.9/16", "dev", "eth0"]);
    await patient.ok(["ip", "route", "add", "default", "via", "10.1.0.1"]);
  }],
  [
    "duplicate_address",
    ({ agent, address }) => agent.ok(["ip", "address", "add", `${address}/32`, "dev", "lo"]),
  ],
  ["no_default_route", ({ patient }) => patient.ok(["ip", "route", "del", "default"])],
  // How it resolves names.
  ["no_nameserver", async ({ agent, patient }) => {
    const empty = `${agent.dir}/empty`;
    Deno.writeTextFileSync(empty, "# nothing\n");
    await patient.ok(["mount", "--bind", empty, "/etc/resolv.conf"]);
  }],
  // The agent, as packets depend on it.
  ["forwarding_off", ({ agent }) => agent.ok(["sysctl", "-w", "net.ipv4.ip_forward=0"])],
  ["policy_drop", ({ agent }) => agent.ok(["iptables", "-P", "FORWARD", "DROP"])],
  ["uplink_down", ({ agent }) => agent.ok(["ip", "link", "set", "wan0", "down"])],
  // Its rules, ports and leases.
  ["port_rules_missing", ({ agent }) => agent.ok(["iptables", "-t", "nat", "-F", CHAIN])],
  // Without a way out nobody can ask the port, and its rules are missing all the same.
  ["port_rules_missing", async ({ agent }) => {
    await agent.ok(["ip", "link", "del", "wan0"]);
    await agent.ok(["iptables", "-t", "nat", "-F", CHAIN]);
  }],
  ["masquerade_gone", ({ agent }) => agent.ok(["iptables", "-t", "nat", "-F", "POSTROUTING"])],
  ["host_port_taken", ({ agent }) => agent.ok(["busybox", "httpd", "-p", `${PORT}`, "-h", "/"])],
  [
    "ipam_lost",
    ({ agent, address }) => agent.ok(["rm", `/var/lib/cni/networks/port-mapper-test/${address}`]),
  ],
  [
    "ipam_conflict",
    ({ agent, address }) =>
      agent.ok(["sh", "-c", `echo another > /var/lib/cni/networks/port-mapper-test/${address}`]),
  ],
];

interface Told {
  code: string;
}

/** The codes that each command says of the patient or of the agent. */
async function codesOf(clinic: Clinic): Promise<Record<string, string[]>> {
  const json = async (...args: string[]) =>
    JSON.parse(
      (await clinic.agent.run([MESOS_CNI, ...args, ...args[0] === "isolator" ? [] : ["--json"]]))
        .stdout,
    );
  const of = (all: Told[]) => all.map(({ code }) => code);
  const list = await json("list");
  const status = await json("status");
  const { nodes } = await json("topology");
  const { findings } = await json("diagnose", "patient");
  const check = await json("isolator", "check", "patient");
  const unwell = status.containers.unwell.find(({ id }: { id: string }) => id === "patient");
  const node = nodes.find(({ name }: { name: string }) => name === "patient");
  return {
    list: of(list.find(({ id }: { id: string }) => id === "patient").causes),
    status: [...of(status.causes), ...of(unwell?.causes ?? [])],
    topology: node.details.map((one: string) => one.split(":")[0]!.replaceAll(" ", "_")),
    diagnose: of(findings),
    check: of(check.flatMap(({ causes }: { causes: Told[] }) => causes)),
    metrics: await metricsOf(clinic),
  };
}

async function metricsOf({ agent }: Clinic): Promise<string[]> {
  const socket = `${agent.dir}/isolator.sock`;
  await using service = await Service.start(agent, socket, []);
  const { text } = await service.get("/metrics");
  return [...text.matchAll(/^mesos_cni_causes\{cause="([a-z_0-9]+)"\} [1-9]/gm)].map(([, code]) =>
    code!
  );
}

Deno.test("of a healthy agent nobody says anything", async () => {
  await using clinic = await Clinic.open();
  await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const { topology, ...codes } = await codesOf(clinic);
  assertEquals(codes, { list: [], status: [], diagnose: [], check: [], metrics: [] });
  assertEquals(topology!.filter((one) => !one.startsWith("port")), []);
});

for (const [i, [code, make]] of partOf([...STATES.entries()], 8)) {
  Deno.test(`list, status, topology, metrics and diagnose say ${code} (state ${i + 1})`, async () => {
    await using clinic = await Clinic.open();
    await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
    await make(clinic);
    const told = Object.entries(await codesOf(clinic));
    // What concerns the whole agent is none of an attachment's.
    const isAgents = ["forwarding_off", "policy_drop", "uplink_down"].includes(code);
    const asked = told.filter(([who]) => who !== "check" || !isAgents);
    assertEquals(asked.filter(([, codes]) => !codes.includes(code)), []);
    assert(told.length === 6);
  });
}
