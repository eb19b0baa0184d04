/** What a diagnosis adds to the system is gone afterwards. */
import { assert, assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Clinic } from "../harness/clinic.ts";
import { SEED } from "../harness/commit.ts";
import { randomFrom } from "../harness/random.ts";
import { FULL } from "../harness/scale.ts";
import { kernelTest } from "../harness/kernel.ts";

const MOMENTS = FULL ? 100 : 6;

/** All that a diagnosis could leave, as text. */
async function traces({ agent, patient }: Clinic): Promise<string> {
  const parts = await Promise.all([agent, patient].flatMap((space) => [
    space.ok(["ip", "-o", "link"]).then((text) => text.replaceAll(/state \w+|qlen \d+/g, "")),
    space.ok(["nft", "list", "tables"]).then((text) => text.split("\n").sort().join("\n")),
    space.ok(["tc", "qdisc"]),
    space.ok(["ip", "rule"]),
    space.ok(["ip", "route"]),
  ]));
  return parts.join("\n");
}

kernelTest("nothing of a diagnosis is left, also after kill -9 at moments of a seed", async () => {
  await using clinic = await Clinic.open();
  const { agent, patient } = clinic;
  await agent.ok(["iptables", "-A", "FORWARD", "-s", clinic.address, "-j", "DROP"]);
  await clinic.netns("diagnose", "patient");
  await patient.run(["nft", "list", "tables"]);
  const before = await traces(clinic);
  assert(!before.includes("mesos_cni_trace"), before);
  const start = performance.now();
  await clinic.netns("diagnose", "patient");
  const usual = performance.now() - start;
  const random = randomFrom(SEED);
  let cut = 0;
  // On a machine whose speed changes, kills may come too late: then there are more of them.
  const isEnough = () => cut >= MOMENTS / 2;
  for (let moment = 0; moment < (isEnough() ? MOMENTS : 5 * MOMENTS); moment++) {
    const ms = random() * usual;
    const child = agent.spawn([MESOS_CNI, "netns", "diagnose", "patient"]);
    // nsenter has become the program itself, so this is its id.
    const timer = setTimeout(() => child.kill("SIGKILL"), ms);
    const { signal } = await child.output();
    clearTimeout(timer);
    await child.stdin.close().catch(() => {});
    if (signal === "SIGKILL") cut++;
    assertEquals(await traces(clinic), before, `after ${ms} ms, seed ${SEED}`);
  }
  assert(isEnough(), `only ${cut} were cut`);
});
