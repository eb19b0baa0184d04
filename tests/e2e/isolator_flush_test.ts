/** A firewall that is reloaded: what recover puts back, and that containers still go away. */
import { assertEquals, assertMatch } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";

/** Without a program of the plugins' directory, the one that is built in is used. */
const BRIDGES = [
  { whose: "the reference's bridge", plugins: CNI_PLUGINS },
  { whose: "the built-in bridge", plugins: "/run/none" },
];

for (const { whose, plugins } of partOf(BRIDGES, 2)) {
  for (const backend of ["iptables", "nftables"]) {
    // The version that Debian has knows no other than iptables.
    if (backend === "nftables" && plugins === CNI_PLUGINS) continue;
    Deno.test(`${whose}, masquerading by ${backend}: flushed rules come back as they were`, async () => {
      await using host = await Sandbox.create();
      await host.ok(["mkdir", "/run/net.d", "/run/none", "/run/broken"]);
      const network = {
        cniVersion: "1.0.0",
        name: "out",
        type: "bridge",
        bridge: "out0",
        isGateway: true,
        ipMasq: true,
        ipMasqBackend: backend,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "10.66.0.0/24" }], [{ subnet: "fd66::/64" }]],
        },
      };
      await host.ok(["sh", "-c", "cat >/run/net.d/out.conf"], { stdin: JSON.stringify(network) });
      const env = {
        MESOS_NETWORK_CNI_CONFIG_DIR: "/run/net.d",
        MESOS_NETWORK_CNI_PLUGINS_DIR: plugins,
      };
      const run = host.spawn(
        [MESOS_CNI, "run", "--name=c", "--networks=out", "--", "sh", "-c", "echo up; cat"],
        { env },
      );
      const reader = run.stdout.getReader();
      assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
      reader.releaseLock();

      // In which order the chains were made does not matter.
      const rules = async () =>
        (await host.ok(["nft", "list", "ruleset"]))
          .replaceAll(/ counter packets \d+ bytes \d+/g, "").split("\n").toSorted().join("\n");
      const before = await rules();
      assertMatch(before, /masquerade/i);
      // What can't be read of the other kind, where somebody has a table, is no hindrance.
      await host.ok(["iptables-legacy", "-t", "nat", "-S"]);
      await host.ok(["ln", "-s", "/bin/false", "/run/broken/iptables-legacy-save"]);
      const recover = async () =>
        JSON.parse(
          await host.ok([MESOS_CNI, "isolator", "recover"], {
            env: { ...env, PATH: "/run/broken:/usr/sbin:/usr/bin:/sbin:/bin" },
          }),
        );
      const health = async () =>
        JSON.parse(await host.ok([MESOS_CNI, "list", "--json"], { env }))[0].health;
      assertEquals(await health(), "ok");
      // All of it, one of two families, and what leads to the rules alone.
      const leads = backend === "iptables"
        ? ["iptables", "-t", "nat", "-F", "POSTROUTING"]
        : ["nft", "flush", "chain", "inet", "cni_plugins_masquerade", "postrouting"];
      for (const flush of [["nft", "flush", "ruleset"], leads]) {
        await host.ok(flush);
        assertEquals(await health(), "masquerade gone: out", flush.join(" "));
        assertEquals(await recover(), [{ container: "c", outcome: "kept", repaired: ["out"] }]);
        assertEquals(await rules(), before);
        assertEquals(await health(), "ok");
      }
      // A rule of an operator's before those that lead there is nothing that is missing.
      const own = ["meta", "mark", "7", "counter"];
      const base = backend === "iptables"
        ? ["ip", "nat", "POSTROUTING"]
        : ["inet", "cni_plugins_masquerade", "postrouting"];
      await host.ok(["nft", "insert", "rule", ...base, ...own]);
      assertEquals(await health(), "ok");
      assertEquals(await recover(), [{ container: "c", outcome: "kept" }]);
      assertMatch(await rules(), /meta mark 0x0*7/);

      // And once more, with nobody to recover before it ends.
      await host.ok(["nft", "flush", "ruleset"]);
      await run.stdin.close();
      const { code, stderr } = await run.output();
      assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
      assertEquals(
        (await host.run([MESOS_CNI, "list"], { env })).stdout.slice(0, 13),
        "no containers",
      );
      assertEquals((await rules()).includes("10.66.0."), false);
    });
  }
}

Deno.test("a host that goes over to the other kind of iptables: who is let through in the first alone is told of, and recover lets it through", async () => {
  await using host = await Sandbox.create();
  await host.ok(["mkdir", "/run/net.d", "/run/none", "/run/legacy"]);
  for (const tool of ["iptables", "iptables-save", "iptables-restore"]) {
    await host.ok(["ln", "-s", "/usr/sbin/xtables-legacy-multi", `/run/legacy/${tool}`]);
  }
  const network = {
    cniVersion: "1.0.0",
    name: "out",
    plugins: [
      {
        type: "bridge",
        bridge: "out0",
        isGateway: true,
        ipam: { type: "host-local", subnet: "10.66.0.0/24" },
      },
      { type: "firewall", backend: "iptables" },
    ],
  };
  await host.ok(["sh", "-c", "cat >/run/net.d/out.conflist"], { stdin: JSON.stringify(network) });
  const now = {
    MESOS_NETWORK_CNI_CONFIG_DIR: "/run/net.d",
    MESOS_NETWORK_CNI_PLUGINS_DIR: "/run/none",
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  };
  const before = { ...now, PATH: `/run/legacy:${now.PATH}` };
  const run = host.spawn(
    [MESOS_CNI, "run", "--name=c", "--networks=out", "--", "sh", "-c", "echo up; cat"],
    { env: before },
  );
  const reader = run.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
  reader.releaseLock();
  const list = async (env: Record<string, string>) =>
    JSON.parse(await host.ok([MESOS_CNI, "list", "--json"], { env }))[0].health;
  const recover = async () =>
    JSON.parse(await host.ok([MESOS_CNI, "isolator", "recover"], { env: now }));
  assertEquals(await list(before), "ok");

  await host.ok(["iptables-nft", "-P", "FORWARD", "DROP"]);
  await host.ok(["iptables-nft", "-A", "FORWARD", "-i", "other0", "-j", "ACCEPT"]);
  assertEquals(await list(now), "passage gone: out");
  assertEquals(await recover(), [{ container: "c", outcome: "kept", repaired: ["out"] }]);
  assertMatch(
    await host.ok(["iptables-nft", "-S", "CNI-FORWARD"]),
    /-s 10\.66\.0\.2\/32 -j ACCEPT/,
  );
  assertEquals(await list(now), "ok");
  assertEquals(await recover(), [{ container: "c", outcome: "kept" }]);

  await run.stdin.close();
  assertEquals((await run.output()).code, 0);
  for (const iptables of ["iptables-nft-save", "iptables-legacy-save"]) {
    assertEquals((await host.ok([iptables])).includes("10.66.0."), false);
  }
});
