/** `diagnose --passive` sends nothing, says what it could not judge, and does not say healthy. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Clinic } from "../harness/clinic.ts";

Deno.test("a passive diagnosis sends nothing, and judges by what it reads", async () => {
  await using clinic = await Clinic.open();
  const links = [[clinic.patient, "eth0"], [clinic.agent, "wan0"]] as const;
  // IPv6 speaks by itself.
  for (const [space, link] of links) {
    await space.ok(["sysctl", "-qw", `net.ipv6.conf.${link}.disable_ipv6=1`]);
  }
  const sent = async () =>
    await Promise.all(links.map(async ([space, link]) => {
      const [{ stats64 }] = JSON.parse(await space.ok(["ip", "-j", "-s", "link", "show", link]));
      return stats64.tx.packets;
    }));
  const before = await sent();
  const { code, stdout } = await clinic.netns("diagnose", "patient", "--passive");
  assertEquals(await sent(), before);
  assertStringIncludes(stdout, "patient: nothing that was read is wrong; no packet was answered");
  assertStringIncludes(stdout, "– resolves names: only a packet tells, and none was sent");
  assertEquals(code, 0);

  await clinic.agent.ok(["sysctl", "-qw", "net.ipv4.ip_forward=0"]);
  const off = await clinic.netns("diagnose", "patient", "--passive", "--json");
  assertEquals([off.code, JSON.parse(off.stdout).findings[0].code], [1, "forwarding_off"]);
  await clinic.netns("diagnose", "patient");
  assert((await sent()).every((count, i) => count > before[i]!));

  const wrong = await clinic.netns("diagnose", "--from=patient", "--to=patient:80", "--passive");
  assertEquals(wrong.code, 2);
  assertStringIncludes(wrong.stderr, "--passive sends nothing");
});
