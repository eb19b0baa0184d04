/** The Debian package, installed, upgraded and removed by dpkg on a throwaway machine. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { launcherBytes, launcherOf } from "../../lib/cni/launcher.ts";
import { REGISTRY } from "../../plugins/registry.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { debOf, dpkg, machine, NEEDS_ROOT, packageOf, WRITTEN } from "../harness/debian.ts";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { makeVariant, NEXT_VERSION } from "../harness/variant.ts";

let next: Promise<string> | undefined;

/** A program of the next release, which the tests of this file share. */
function nextProgram(): Promise<string> {
  return next ??= (async () => {
    const path = `${await Deno.makeTempDir({ prefix: "mesos-cni-test-" })}/mesos-cni-next`;
    await makeVariant(path, NEXT_VERSION);
    return path;
  })();
}

Deno.test({
  name: "the Debian package installs, upgrades and goes, and stays while a container is attached",
  ignore: NEEDS_ROOT,
  async fn() {
    await using host = await machine();
    const first = await packageOf(host, MESOS_CNI, "0.1.0");
    const second = await packageOf(host, await nextProgram(), "0.1.9");

    await host.ok(dpkg("-i", first));
    assertStringIncludes(await host.ok(["mesos-cni", "version"]), "mesos-cni 0.1.0");
    const plugin = await host.run(["/usr/lib/cni/mesos-cni-port-mapper"], {
      env: { CNI_COMMAND: "VERSION" },
      stdin: '{"cniVersion":"1.0.0"}',
    });
    assertStringIncludes(plugin.stdout, "supportedVersions");
    assertStringIncludes(
      await host.ok(["cat", "/usr/lib/systemd/system/mesos-cni.service"]),
      "/usr/bin/mesos-cni isolator serve",
    );
    assertStringIncludes(await host.ok(["zcat", "/usr/share/man/man1/mesos-cni.1.gz"]), ".TH");
    assertEquals((await host.run(dpkg("--verify", "mesos-cni"))).stdout, "");

    await host.ok(dpkg("-i", second));
    assertStringIncludes(await host.ok(["mesos-cni", "version"]), "mesos-cni 0.1.9");
    const programs = await host.ok([
      "find",
      "/usr/lib/mesos-cni",
      "-maxdepth",
      "1",
      "-name",
      "mesos-cni-*",
      "-type",
      "f",
    ]);
    assertEquals(programs.trim().split("\n").length, 1);
    await host.ok(dpkg("-i", "--force-downgrade", first));
    assertStringIncludes(await host.ok(["mesos-cni", "version"]), "mesos-cni 0.1.0");

    const record = "/run/mesos/isolators/network/cni/web-1";
    await host.ok(["mkdir", "-p", "/var/run/mesos", record]);
    const refused = await host.run(dpkg("-r", "mesos-cni"));
    assert(refused.code !== 0);
    assertStringIncludes(refused.stderr, "web-1");
    await host.ok(["mesos-cni", "version"]);
    await host.ok(["rmdir", record]);
    await host.ok(dpkg("-r", "mesos-cni"));
    const left = await host.run(["find", "/usr", "-name", "*mesos-cni*", "-newer", first]);
    assertEquals(left.stdout, "");
    assertEquals((await host.run(["ls", "/usr/lib/cni/mesos-cni-port-mapper"])).code, 2);
  },
});

/** A package of somebody else's with a plugin in it. */
async function pluginPackage(host: Sandbox, version: string): Promise<string> {
  const root = `${host.dir}/plugins-${version}`;
  const script = `mkdir -p ${root}/DEBIAN ${root}/usr/lib/cni
    printf '#!/bin/sh\\necho ${version}\\n' >${root}/usr/lib/cni/bridge
    chmod 755 ${root}/usr/lib/cni/bridge
    printf 'Package: plugins\\nVersion: ${version}\\nArchitecture: all\\nMaintainer: a <a@b>\\n` +
    `Description: plugins\\n' >${root}/DEBIAN/control
    cd ${root} && find usr -type f | xargs md5sum >DEBIAN/md5sums
    dpkg-deb --root-owner-group -Znone --build ${root} ${root}.deb`;
  await host.ok(["sh", "-ec", script]);
  return `${root}.deb`;
}

Deno.test({
  name: "install, the package and another's plugins, in each order, leave what dpkg thinks",
  ignore: NEEDS_ROOT,
  async fn() {
    const owned = "/usr/lib/cni/mesos-cni-port-mapper";
    const bridge = "/usr/lib/cni/bridge";
    const env = { DPKG_ADMINDIR: "/run/dpkg" };
    for (const first of partOf(["the package", "install"], 2)) {
      await using host = await machine();
      await host.ok(["sh", "-ec", `rm ${bridge}; mkdir -p /etc/cni/net.d`]);
      const flags = [
        "--network_cni_plugins_dir=/usr/lib/cni",
        "--network_cni_config_dir=/etc/cni/net.d",
      ];
      const own = (command: string, ...more: string[]) =>
        host.ok([MESOS_CNI, command, ...command === "install" ? flags : [], ...more], { env });
      const verified = async (name: string) =>
        assertEquals((await host.run(dpkg("--verify", name))).stdout, "", `${first} first`);
      const launcher = launcherBytes(
        launcherOf(REGISTRY.get("bridge")!, "/usr/local/bin/mesos-cni"),
      );
      const version = () => host.ok([bridge]).then((text) => text.trim());

      const ours = await packageOf(host, MESOS_CNI, "0.1.0");
      await host.ok(dpkg("-i", await pluginPackage(host, "1")));
      if (first === "the package") await host.ok(dpkg("-i", ours));
      await own("install", "--plugins=all");
      if (first === "install") await host.ok(dpkg("-i", ours));
      await verified("mesos-cni");
      await verified("plugins");
      await host.ok(["cmp", bridge, "-"], { stdin: launcher });
      await host.ok(dpkg("-i", await pluginPackage(host, "2")));
      await verified("plugins");
      await host.ok(["cmp", bridge, "-"], { stdin: launcher });

      await own("uninstall");
      await verified("mesos-cni");
      await verified("plugins");
      const packaged = REGISTRY.get("mesos-cni-port-mapper")!;
      await host.ok(["cmp", owned, "-"], {
        stdin: launcherBytes(launcherOf(packaged, "/usr/bin/mesos-cni")),
      });
      assertEquals(await version(), "2");
      await host.ok(dpkg("-i", await pluginPackage(host, "3")));
      assertEquals(await version(), "3");

      // What an operator puts back, or in the place of ours, is his.
      await own("install", "--plugins=all");
      await host.ok([
        "sh",
        "-ec",
        `rm ${bridge}; printf '#!/bin/sh\\necho his\\n' >${bridge}
        chmod 755 ${bridge}`,
      ]);
      assertStringIncludes(await own("uninstall"), `kept       ${bridge}`);
      assertEquals(await version(), "his");
      await host.ok(dpkg("-P", "mesos-cni", "plugins"));
      assertEquals((await host.run(["ls", owned, "/usr/local/bin/mesos-cni"])).stdout, "");
      assertEquals(
        await host.ok(["dpkg-divert", "--admindir=/run/dpkg", "--list", "*bridge*"]),
        "",
      );
    }
  },
});

Deno.test({
  name: "a change-over to ours, or back, that is killed halfway is put right by the next call",
  ignore: NEEDS_ROOT,
  async fn() {
    const bridge = "/usr/lib/cni/bridge";
    const aside = `${bridge}.before-mesos-cni`;
    await using host = await machine();
    await host.ok(["sh", "-ec", `rm ${bridge}; mkdir -p /etc/cni/net.d`]);
    await host.ok(dpkg("-i", await pluginPackage(host, "1")));
    const dirs = [
      "--network_cni_plugins_dir=/usr/lib/cni",
      "--network_cni_config_dir=/etc/cni/net.d",
    ];
    const call = (command: string, ...more: string[]) =>
      host.run([MESOS_CNI, command, ...command === "install" ? dirs : [], ...more], {
        env: { DPKG_ADMINDIR: "/run/dpkg" },
      });
    const ok = async (command: string, ...more: string[]) => {
      const { code, stdout, stderr } = await call(command, ...more);
      assertEquals(code, 0, stdout + stderr);
    };
    const divert = ["dpkg-divert", "--admindir=/run/dpkg", "--list", bridge];
    const state = async () => ({
      version: (await host.run([bridge])).stdout,
      aside: (await host.run(["ls", aside])).code === 0,
      diverted: await host.ok(divert) !== "",
    });
    const begun: Record<string, () => Promise<unknown>> = {
      // The program has its name back, and dpkg was not told.
      "back, before dpkg": async () => {
        await host.ok(["mount", "--bind", "/bin/false", "/usr/bin/dpkg-divert"]);
        assertEquals((await call("install", "--plugins=none")).code, 1);
        await host.ok(["umount", "/usr/bin/dpkg-divert"]);
      },
      "there, before the launcher": () => host.ok(["ln", "-f", aside, bridge]),
      "there, before the second name": () => host.ok(["mv", aside, bridge]),
    };
    const nexts = [["install"], ["install", "--plugins=none"], ["uninstall"]] as const;
    const all = Object.entries(begun).flatMap((one) =>
      nexts.map((next) => [...one, next] as const)
    );
    for (const [what, begin, [command, ...more]] of partOf(all, 4)) {
      await ok("install", "--plugins=all");
      assertEquals(await state(), { version: "", aside: true, diverted: true });
      await begin();
      assertEquals((await state()).diverted, true, what);
      await ok(command, ...more);
      const there = { version: "1\n", aside: false, diverted: false };
      assertEquals(await state(), there, `${what}: ${command} ${more.join(" ")}`);
      await call("uninstall");
    }

    // A path is on record more than once: what one entry of it knows, the others may not.
    const manifest = "/var/lib/mesos-cni/install.json";
    const unit = "/etc/systemd/system/mesos-cni.service";
    await host.ok(dpkg("-P", "plugins"));
    await ok("install");
    await host.ok(dpkg("-i", await pluginPackage(host, "2")));
    // Ours is in its place, and the call ends before it is done.
    await host.ok(["sh", "-ec", `echo other >/run/other; mount --bind /run/other ${unit}`]);
    assertEquals((await call("install", "--plugins=all")).code, 1);
    await host.ok(["umount", unit]);
    const entries = async () => {
      const { files } = JSON.parse(await host.ok(["cat", manifest]));
      return files.filter(({ path }: { path: string }) => path === bridge);
    };
    await ok("install");
    assertEquals((await entries()).length, 2);
    assertEquals(await state(), { version: "", aside: true, diverted: true });
    await ok("install", "--plugins=none");
    assertEquals(await state(), { version: "2\n", aside: false, diverted: false }, "twice: none");

    await ok("install", "--plugins=all");
    await host.ok(["rm", aside]);
    const record = JSON.parse(await host.ok(["cat", manifest]));
    const [older] = await entries();
    record.files.unshift({ ...older, sha256: "0".repeat(64) });
    await host.ok(["tee", manifest], { stdin: JSON.stringify(record) });
    await ok("install");
    await ok("uninstall");
    assertEquals((await host.run(["ls", bridge])).code, 2, "ours is taken away");
    assertEquals((await state()).diverted, false);
  },
});

/** Words for what an operator does, one after the other. */
const ORDERS = [
  "package install uninstall purge",
  "install package uninstall purge",
  "install package purge uninstall",
  "package install upgrade uninstall remove purge",
  "package install remove uninstall purge",
  "install package install upgrade uninstall purge",
  "install package upgrade remove uninstall purge",
  "install package uninstall install purge uninstall",
];

/** What of ours is among what was written or removed since the machine began, without what is made at run time. */
async function left(host: Sandbox): Promise<string> {
  const { stdout } = await host.run(["find", ...WRITTEN, "/var/lib", "-name", "*mesos-cni*"]);
  return stdout;
}

Deno.test({
  name:
    "package, install, upgrade, uninstall, remove and purge in each order leave dpkg silent and nothing behind",
  ignore: NEEDS_ROOT,
  async fn() {
    const env = { DPKG_ADMINDIR: "/run/dpkg" };
    await using maker = await Sandbox.create();
    const first = await packageOf(maker, MESOS_CNI, "0.1.0");
    const second = await packageOf(maker, await nextProgram(), "0.1.9");
    for (const order of partOf(ORDERS, 8)) {
      await using host = await machine();
      await host.ok(["mkdir", "-p", "/etc/cni/net.d"]);
      const before = await left(host);
      const flags = [
        "--network_cni_plugins_dir=/usr/lib/cni",
        "--network_cni_config_dir=/etc/cni/net.d",
      ];
      const steps: Record<string, string[]> = {
        package: dpkg("-i", first),
        upgrade: dpkg("-i", second),
        remove: dpkg("-r", "mesos-cni"),
        purge: dpkg("-P", "mesos-cni"),
        install: [MESOS_CNI, "install", ...flags],
        uninstall: [MESOS_CNI, "uninstall"],
      };
      for (const step of order.split(" ")) {
        await host.ok(steps[step]!, { env });
        const verified = await host.run(dpkg("--verify", "mesos-cni"));
        assertEquals(verified.stdout, "", `${order}: after ${step}`);
      }
      assertEquals(await left(host), before, order);
    }
  },
});

Deno.test({
  name: "the package has its settings with remarks, the plugins' links and the timer",
  ignore: NEEDS_ROOT,
  async fn() {
    await using host = await machine();
    await host.ok(dpkg("-i", await packageOf(host, MESOS_CNI, "0.1.0")));
    assertEquals(
      (await host.run(dpkg("--status", "mesos-cni"))).stdout.includes(" /etc/mesos-cni.json "),
      true,
    );
    assertStringIncludes(await host.ok(["cat", "/etc/mesos-cni.json"]), "// ");
    assertEquals((await host.run(["mesos-cni", "config"])).code, 0);
    const settings = '// ours\n{\n  // here:\n  "runtime_dir": "/srv/mesos"\n}\n';
    await host.ok(["tee", "/etc/mesos-cni.json"], { stdin: settings });
    assertStringIncludes(await host.ok(["mesos-cni", "config"]), "/srv/mesos");
    const answer = await host.run(["/usr/lib/mesos-cni/plugins/bridge"], {
      env: { CNI_COMMAND: "VERSION" },
      stdin: '{"cniVersion":"1.0.0"}',
    });
    assertStringIncludes(answer.stdout, "supportedVersions");
    assertStringIncludes(
      await host.ok(["cat", "/usr/lib/systemd/system/mesos-cni-metrics.service"]),
      "/usr/bin/mesos-cni status --format=prometheus",
    );
    await host.ok(["ls", "/usr/lib/systemd/system/mesos-cni-metrics.timer"]);
  },
});

Deno.test("the same files and time give the same package", async () => {
  await using host = await Sandbox.create();
  const [one, other] = [
    await debOf(host, "/bin/true", "1.0.0", { name: "one" }),
    await debOf(host, "/bin/true", "1.0.0", { name: "other" }),
  ];
  assertEquals(await Deno.readFile(one), await Deno.readFile(other));
});
