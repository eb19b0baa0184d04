/** An agent that has a kernel, busybox and our file, and nothing else; and one with iptables. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  example,
  install,
  leftovers,
  OBSERVER,
  outside,
  serves,
  start,
  stop,
  webServer,
} from "../harness/machine/agent.ts";
import { Machine } from "../harness/machine/machine.ts";
import { longMachineTest, machineTest } from "../harness/machine/test.ts";

longMachineTest("a clean agent with iptables takes the recipes as they are", async () => {
  await using machine = await Machine.start({ parts: ["iptables"], files: OBSERVER });
  const before = await files(machine);
  await install(machine, example("cni-test"), example("port-mapper-test"));
  await machine.ok("mesos-cni lint --probe");
  await recipes(machine);
  await uninstall(machine, before);
});

machineTest("a clean agent without iptables takes them too, and needs no program", async () => {
  await using machine = await Machine.start({ files: OBSERVER });
  const before = await files(machine);
  await install(machine, example("cni-test"), example("port-mapper-test"));
  await machine.ok("mesos-cni lint --probe --ignore=overlapping-subnets");
  await machine.ok("mesos-cni status");
  await recipes(machine);
  await uninstall(machine, before);
});

/** What the tutorial does, on networks cni-test and port-mapper-test. */
async function recipes(machine: Machine): Promise<void> {
  const addresses = await machine.ok("mesos-cni run --networks=cni-test -- ip address");
  assertStringIncludes(addresses, "inet 192.168.0.2/16");
  const stranger = await outside(machine);
  await start(
    machine,
    "web",
    "--networks=port-mapper-test --port_mappings=8080:80",
    webServer("hello"),
  );
  await serves(machine, stranger, 8080, "hello");
  assertStringIncludes(await machine.ok("mesos-cni list"), "8080:80/tcp");
  assertStringIncludes(
    await machine.ok("mesos-cni exec web -- ip address"),
    "inet 192.168.128.1/16",
  );
  // The machine has no name server; all else is well.
  const { findings } = JSON.parse((await machine.run("mesos-cni diagnose web --json")).stdout);
  const causes = findings.filter((one: { consequenceOf?: string }) => !one.consequenceOf);
  assertEquals(causes.map((one: { code: string }) => one.code), ["dns_refused"]);
  assertStringIncludes(await machine.ok("mesos-cni gc"), "nothing");
  await stop(machine, "web");
  assertEquals(await leftovers(machine), []);
}

async function uninstall(machine: Machine, before: string): Promise<void> {
  await machine.ok("mesos-cni uninstall && rm -r /etc/mesos");
  assertEquals(await files(machine), before);
}

/** The files of the disk. */
function files(machine: Machine): Promise<string> {
  return machine.ok("find / -xdev ! -type d ! -path '/var/lib/cni/*' | sort");
}
