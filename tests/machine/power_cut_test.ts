/**
 * The power is cut while something is being written: what the machine had not flushed to its disk is
 * lost. After each start no damaged file stops anything, and nothing leaks.
 *
 * The moments are spread over the time that the operation takes when it comes to its end, others by each
 * seed: thirty in all with MESOS_CNI_TEST_SCALE=full, eight by `./dev machine`, two in CI.
 */
import { assert, assertEquals } from "@std/assert";
import { define, example, leftovers, OBSERVER, start, stop } from "../harness/machine/agent.ts";
import { DOWNLOADED, Machine } from "../harness/machine/machine.ts";
import { ALL, longMachineTest, machineTest } from "../harness/machine/test.ts";
import { SEED } from "../harness/commit.ts";
import { randomFrom } from "../harness/random.ts";
import { FULL } from "../harness/scale.ts";
import { makeVariant, NEXT_VERSION } from "../harness/variant.ts";

const MOMENTS = FULL
  ? { attachment: 10, installation: 5 }
  : ALL
  ? { attachment: 3, installation: 1 }
  : { attachment: 1, installation: 1 };
const NEWER = "/root/mesos-cni-newer";
const FLAGS = "--networks=port-mapper-test --port_mappings=8080:80";

machineTest(`a power cut in the middle of ADD or DEL (seed ${SEED})`, async () => {
  await using machine = await Machine.start({ parts: ["iptables"], files: OBSERVER });
  await machine.write("/etc/mesos-cni.json", '{"network_cni_root_dir_persist": true}');
  await machine.ok(`${DOWNLOADED} install`);
  const narrow = { type: "host-local", subnet: "192.168.0.0/30" };
  const network = example("port-mapper-test");
  await define(machine, { ...network, delegate: { ...network.delegate as object, ipam: narrow } });
  const took = {
    ADD: await seconds(() => start(machine, "whole", FLAGS, "exec sleep 1000")),
    DEL: await seconds(() => stop(machine, "whole")),
  };
  for (const moment of moments(MOMENTS.attachment)) {
    // The network's file is the operator's, and long on the disk.
    await machine.ok("sync");
    await cutDuring(
      machine,
      moment * took.ADD,
      () => start(machine, "a", FLAGS, "exec sleep 1000"),
    );
    await recovers(machine, `ADD at ${moment}`);

    await start(machine, "d", FLAGS, "exec sleep 1000");
    await machine.ok("sync");
    await cutDuring(machine, moment * took.DEL, () => stop(machine, "d"));
    await recovers(machine, `DEL at ${moment}`);
  }
});

longMachineTest("a power cut in the middle of an installation or an upgrade", async () => {
  const newer = await Deno.makeTempFile();
  try {
    await makeVariant(newer, NEXT_VERSION);
    await using machine = await Machine.start({ files: { [NEWER]: newer } });
    const without = await files(machine);
    const install = () => machine.ok(`${DOWNLOADED} install`);
    const took = await seconds(install);
    const whole = await files(machine);
    await machine.ok(`${DOWNLOADED} uninstall`);
    for (const moment of moments(MOMENTS.installation)) {
      await cutDuring(machine, moment * took, install);
      // What is there can be undone, and what is not yet there can be made.
      await machine.ok(`${DOWNLOADED} uninstall`);
      assertEquals(await files(machine), without, `installation at ${moment}: something is left`);
      await install();
      assertEquals(await files(machine), whole, `installation at ${moment}: something is missing`);

      await machine.ok("sync");
      await cutDuring(machine, moment * took, () => machine.ok(`${NEWER} install`));
      // The old one or the new one, and never none.
      const version = await machine.ok("mesos-cni version");
      assert(/^mesos-cni 0\.1\.[09] /.test(version), `upgrade at ${moment}: ${version}`);
      await machine.ok("mesos-cni uninstall");
      assertEquals(await files(machine), without, `upgrade at ${moment}: something is left`);
    }
  } finally {
    await Deno.remove(newer);
  }
});

/** Nothing stands in the way of a start, and all that the dead held is free. */
async function recovers(machine: Machine, when: string): Promise<void> {
  const { code, stdout, stderr } = await machine.run("mesos-cni isolator recover </dev/null");
  assertEquals(code, 0, `${when}: ${stdout}${stderr}`);
  const outcomes = JSON.parse(stdout).map((one: { outcome: string }) => one.outcome);
  assert(!outcomes.includes("failed"), `${when}: ${stdout}`);
  await machine.ok("mesos-cni gc --apply");
  assertEquals(await leftovers(machine), [], when);
}

/** Begins something, cuts the power after some seconds, and switches the machine on again. */
async function cutDuring(
  machine: Machine,
  after: number,
  begin: () => Promise<unknown>,
): Promise<void> {
  const under = begin().catch(() => {}); // It won't come to its end.
  await new Promise((resolve) => setTimeout(resolve, after * 1000));
  await machine.cut();
  await under;
  await machine.on();
}

/** Parts of one, spread evenly however many there are: multiples of the golden ratio, from where the seed says. */
function moments(count: number): number[] {
  const first = randomFrom(SEED)();
  return Array.from({ length: count }, (_, i) => (first + i * 0.618034) % 1);
}

async function seconds(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return (performance.now() - began) / 1000;
}

/** The files of the disk but for addresses' stores. */
function files(machine: Machine): Promise<string> {
  return machine.ok(
    "find / -xdev ! -type d ! -path '/var/lib/cni/*' -exec ls -l {} + | " +
      "awk '{ print $5, $9, $11 }' | sort",
  );
}
