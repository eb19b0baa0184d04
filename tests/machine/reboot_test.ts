/** An agent that is restarted while containers run: nothing is left of the dead, and their place is free. */
import { assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import {
  define,
  example,
  leftovers,
  OBSERVER,
  outside,
  serves,
  start,
  stop,
  webServer,
} from "../harness/machine/agent.ts";
import { DOWNLOADED, Machine } from "../harness/machine/machine.ts";
import { longMachineTest, machineTest } from "../harness/machine/test.ts";

/** A network with one address to give, which its next container can only have once it is free. */
const NARROW = {
  ...example("cni-test"),
  name: "narrow",
  bridge: "narrow0",
  ipam: { type: "host-local", subnet: "192.168.255.0/30" },
};
const WEB = "--networks=port-mapper-test,narrow --port_mappings=8080:80";

/** What finds out which containers are gone, and frees what they held. */
const AFTER_REBOOT = "mesos-cni isolator recover </dev/null && mesos-cni gc --apply";

longMachineTest(
  "checkpoints in memory: what the Go plugins held is freed by this program's",
  async () => {
    await using machine = await Machine.start({ parts: ["iptables", "plugins"], files: OBSERVER });
    await machine.ok(`${DOWNLOADED} install --plugins=none`);
    await define(machine, example("port-mapper-test"), NARROW);
    await start(machine, "before", WEB, webServer("before"));
    await machine.reboot();

    // The addresses of host-local are on the disk.
    assertNotEquals(await leftovers(machine), []);
    await machine.ok(`${DOWNLOADED} install --plugins=all`);
    await comesBack(machine);
  },
);

machineTest(
  "checkpoints on disk: recover takes the containers away that they speak of",
  async () => {
    await using machine = await Machine.start({ parts: ["iptables"], files: OBSERVER });
    await machine.write("/etc/mesos-cni.json", '{"network_cni_root_dir_persist": true}');
    await machine.ok(`${DOWNLOADED} install`);
    await define(machine, example("port-mapper-test"), NARROW);
    await start(machine, "before", WEB, webServer("before"));
    await machine.reboot();

    assertStringIncludes((await leftovers(machine)).join(), "/var/lib/mesos/isolators");
    await comesBack(machine);
  },
);

async function comesBack(machine: Machine): Promise<void> {
  await machine.ok(AFTER_REBOOT);
  assertEquals(await leftovers(machine), []);
  assertEquals(await machine.ok("mesos-cni list --json"), "[]\n");
  const stranger = await outside(machine);
  await start(machine, "after", WEB, webServer("after"));
  await serves(machine, stranger, 8080, "after");
  await stop(machine, "after");
  assertEquals(await leftovers(machine), []);
}
