/** What is wrong is one thing, whoever says it: list, status, topology, metrics and diagnose in each broken state. */
import { assert, assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { BRIDGE, CHAIN, Clinic } from "../harness/clinic.ts";

/** A state, how it is made, and the code that all say. */
type State = [code: string, make: (clinic: Clinic) => Promise<unknown>];

const STATES: State[] = [
  ["interface_down", ({ patient }) => patient.ok(["ip", "link", "set", "eth0", "down"])],
  [
    "veth_off_bridge",
    async (clinic) => await clinic.agent.ok(["ip", "link", "set", await clinic.veth(), "nomaster"]),
  ],
  ["bridge_down", ({ agent }) => agent.ok(["ip", "link", "set", BRIDGE, "down"])],
  ["gateway_address_lost", ({ agent }) => agent.ok(["ip", "address", "flush", "dev", BRIDGE])],
  ["no_default_route", ({ patient }) => patient.ok(["ip", "route", "del", "default"])],
  ["forwarding_off", ({ agent }) => agent.ok(["sysctl", "-w", "net.ipv4.ip_forward=0"])],
  ["policy_drop", ({ agent }) => agent.ok(["iptables", "-P", "FORWARD", "DROP"])],
  ["port_rules_missing", ({ agent }) => agent.ok(["iptables", "-t", "nat", "-F", CHAIN])],
  [
    "ipam_lost",
    ({ agent, address }) => agent.ok(["rm", `/var/lib/cni/networks/port-mapper-test/${address}`]),
  ],
];

interface Told {
  code: string;
}

/** The codes that each command says of the patient or of the agent. */
async function codesOf(clinic: Clinic): Promise<Record<string, string[]>> {
  const json = async (...args: string[]) =>
    JSON.parse((await clinic.agent.run([MESOS_CNI, ...args, "--json"])).stdout);
  const of = (all: Told[]) => all.map(({ code }) => code);
  const list = await json("list");
  const status = await json("status");
  const { nodes } = await json("topology");
  const { findings } = await json("diagnose", "patient");
  const unwell = status.containers.unwell.find(({ id }: { id: string }) => id === "patient");
  const node = nodes.find(({ name }: { name: string }) => name === "patient");
  return {
    list: of(list.find(({ id }: { id: string }) => id === "patient").causes),
    status: [...of(status.causes), ...of(unwell?.causes ?? [])],
    topology: node.details.map((one: string) => one.split(":")[0]!.replaceAll(" ", "_")),
    diagnose: of(findings),
    metrics: await metricsOf(clinic),
  };
}

async function metricsOf({ agent }: Clinic): Promise<string[]> {
  const socket = `${agent.dir}/isolator.sock`;
  const service = agent.spawn([MESOS_CNI, "isolator", "serve", `--socket=${socket}`]);
  try {
    const get = ["curl", "--silent", "--retry", "20", "--retry-all-errors", "--retry-delay", "1"];
    const text = await agent.ok([...get, "--unix-socket", socket, "http://localhost/metrics"]);
    return [...text.matchAll(/^mesos_cni_causes\{cause="([a-z_0-9]+)"\} [1-9]/gm)].map(([, code]) =>
      code!
    );
  } finally {
    service.kill();
    await service.status;
    await service.stdin.close().catch(() => {});
    await Promise.all([service.stdout.cancel(), service.stderr.cancel()]);
  }
}

Deno.test("of a healthy agent nobody says anything", async () => {
  await using clinic = await Clinic.open();
  await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  const { topology, ...codes } = await codesOf(clinic);
  assertEquals(codes, { list: [], status: [], diagnose: [], metrics: [] });
  assertEquals(topology!.filter((one) => !one.startsWith("port")), []);
});

for (const [code, make] of STATES) {
  Deno.test(`list, status, topology, metrics and diagnose say ${code}`, async () => {
    await using clinic = await Clinic.open();
    await clinic.patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
    await make(clinic);
    const told = Object.entries(await codesOf(clinic));
    assertEquals(told.filter(([, codes]) => !codes.includes(code)), []);
    assert(told.length === 5);
  });
}
