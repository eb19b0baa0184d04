/** The firewall plugin on a host of the real firewalld, in a network of its own, with a reload in between. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Agent, until, type Waiting } from "../harness/agent.ts";
import { assertUnseen, seenOutside, serveOutside } from "../harness/seen_outside.ts";

const AGENT = "203.0.113.1";
const isThere = ["/usr/sbin/firewalld", "/usr/bin/dbus-daemon"].every((file) => {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
});

Deno.test({
  name:
    "firewalld: a container is let through, a reload is seen and mended, and DEL leaves nothing",
  ignore: !isThere,
}, async () => {
  const bridge = {
    type: "bridge",
    bridge: "fw0",
    isGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", subnet: "10.220.0.0/24", routes: [{ dst: "0.0.0.0/0" }] },
  };
  await using agent = await Agent.create(
    { cniVersion: "1.0.0", name: "shut", ...bridge },
  );
  agent.search = undefined;
  agent.define(
    { cniVersion: "1.0.0", name: "fw", plugins: [bridge, { type: "firewall" }] },
    "fw.conflist",
  );
  const { sandbox } = agent;
  const outside = await sandbox.outside();
  await using _server = await serveOutside(outside);
  await sandbox.ok(["mkdir", "-p", "/run/dbus"]);
  const daemons = [
    sandbox.spawn(["dbus-daemon", "--system", "--nofork", "--nopidfile"]),
    sandbox.spawn(["firewalld", "--nofork"]),
  ];
  const firewallCmd = async (...args: string[]) =>
    (await sandbox.ok(["firewall-cmd", ...args])).trim();
  await until(
    async () => (await sandbox.run(["firewall-cmd", "--state"])).code === 0,
    "firewalld runs",
  );

  const sources = () => firewallCmd("--zone=trusted", "--list-sources");
  const inside = (container: Waiting) => (argv: string[]) => container.ok(argv);
  const seen = (container: Waiting) => seenOutside(inside(container), outside);
  const status = () => sandbox.run([MESOS_CNI, "status", ...agent.flags]);

  const shut = await agent.attach("shut", ["shut"]);
  await assertUnseen(inside(shut), outside, "firewalld refuses who is in no zone");
  const container = await agent.attach("c1", ["fw"]);
  const address = await sources();
  assertMatch(address, /^10\.220\.0\.\d+\/32$/);
  assertEquals(await seen(container), AGENT);
  assertEquals((await agent.isolator("check", ["c1"])).code, 0);

  await firewallCmd("--zone=trusted", `--remove-source=${address}`);
  assertStringIncludes((await status()).stdout, "c1: passage gone: fw");
  await firewallCmd("--reload");
  assertEquals(await sources(), "");
  await assertUnseen(inside(container), outside);
  const { code, stderr } = await agent.isolator("check", ["c1"]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "is no source of firewalld's zone trusted");
  await agent.json("recover");
  assertEquals(await sources(), address);
  assertEquals(await seen(container), AGENT);

  // Without a result, as after an ADD that was killed: what is on record goes all the same.
  await sandbox.ok(["rm", agent.checkpoint("c1", "fw/eth0/network.info")]);
  await container.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(await sources(), "");
  await shut.end();
  await agent.json("cleanup", ["shut"]);
  for (const child of daemons.toReversed()) {
    child.kill("SIGTERM");
    await Promise.all([
      child.stdin.close().catch(() => {}),
      child.stdout.cancel(),
      child.stderr.cancel(),
      child.status,
    ]);
  }
});
