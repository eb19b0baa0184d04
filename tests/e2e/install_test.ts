import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { ALL_PARTS, FULL } from "../harness/scale.ts";
import { makeVariant, NEXT_VERSION } from "../harness/variant.ts";

/** A machine whose /etc can be written to without it being that of the test's. */
async function machine(): Promise<Sandbox> {
  const host = await Sandbox.create();
  const layers = "lowerdir=/etc,upperdir=/run/etc/up,workdir=/run/etc/work";
  await host.ok(["mkdir", "-p", "/run/etc/up", "/run/etc/work"]);
  await host.ok(["mount", "-t", "overlay", "-o", layers, "overlay", "/etc"]);
  await host.ok(["rm", "-f", "/etc/mesos-cni.json"]);
  const { bin, plugins, units } = places(host);
  await host.ok(["mkdir", "-p", bin, ...plugins, units, `${host.dir}/networks`]);
  return host;
}

/** What install is told, for a machine that is a directory. */
function places(agent: Sandbox) {
  return {
    bin: `${agent.dir}/bin`,
    plugins: [`${agent.dir}/plugins-a`, `${agent.dir}/plugins-b`],
    units: `${agent.dir}/units`,
  };
}

function installCall(agent: Sandbox, program = MESOS_CNI): string[] {
  const { bin, plugins, units } = places(agent);
  return [
    program,
    "install",
    "--json",
    `--bin_dir=${bin}`,
    `--network_cni_plugins_dir=${plugins.join(":")}`,
    `--unit_dir=${units}`,
    `--network_cni_config_dir=${agent.dir}/networks`,
  ];
}

const listing = (agent: Sandbox) =>
  agent.ok([
    "find",
    ...[agent.dir, "/var/lib", "/etc/mesos-cni.json"],
    ...["-not", "-type", "d", "-printf", "%p %l %s %T@\\n"],
  ]);

Deno.test("install puts everything in its place, and again changes nothing", async () => {
  await using agent = await machine();
  const { bin, plugins, units } = places(agent);
  const first = JSON.parse(await agent.ok(installCall(agent)));
  assert(first.placed.every((one: { change: string }) => one.change === "made"));

  const version = await agent.ok([`${bin}/mesos-cni`, "version"]);
  assertStringIncludes(version, "mesos-cni ");
  for (const dir of plugins) {
    const answer = await agent.run([`${dir}/mesos-cni-port-mapper`], {
      clearEnv: true,
      env: { CNI_COMMAND: "VERSION" },
      stdin: '{"cniVersion":"1.0.0"}',
    });
    assertStringIncludes(answer.stdout, "supportedVersions");
  }
  const before = await listing(agent);
  for (const place of ["man/man1/mesos-cni.1", "bash-completion/", "zsh/", "fish/"]) {
    assertStringIncludes(before, `${agent.dir}/share/${place}`);
  }
  const second = JSON.parse(await agent.ok(installCall(agent)));
  assert(second.placed.every((one: { change: string }) => one.change === "unchanged"));
  const withoutManifest = (text: string) =>
    text.split("\n").filter((line) => !line.includes("install.json")).sort().join("\n");
  assertEquals(withoutManifest(await listing(agent)), withoutManifest(before));
  assertEquals([...Deno.readDirSync(units)].length, 4);

  await agent.ok([`${bin}/mesos-cni`, "uninstall"]);
  const left = await agent.run(["find", agent.dir, "/var/lib", "-not", "-type", "d"]);
  assertEquals(left.stdout.trim(), "");
  assertEquals((await agent.run(["ls", "/etc/mesos-cni.json"])).code, 2);
});

Deno.test("uninstall takes away what a power cut left of an installation", async () => {
  await using agent = await machine();
  const { bin, units } = places(agent);
  const { placed } = JSON.parse(await agent.ok(installCall(agent)));
  const program: string = placed[0].path;
  const unfinished = [program, `${units}/mesos-cni.service`].map((path) =>
    path.replace(/\/([^/]*)$/, "/.$1.new")
  );
  for (const path of unfinished) await agent.ok(["tee", path], { stdin: "half" });
  await agent.ok(["rm", program]);
  await agent.ok([MESOS_CNI, "uninstall"]);
  assertEquals((await agent.run(["find", bin, units, "-not", "-type", "d"])).stdout, "");
});

Deno.test("what install wrote is what the other commands find", async () => {
  await using agent = await machine();
  const { bin, plugins } = places(agent);
  await agent.ok(["tee", "/etc/mesos-cni.json"], { stdin: '{"work_dir": "/srv/mesos"}' });
  await agent.ok(installCall(agent));
  const settings = JSON.parse(await agent.ok([`${bin}/mesos-cni`, "config", "--json"]));
  const value = (name: string) =>
    settings.find((one: { name: string }) => one.name === name) as { value: string; from: string };
  assertEquals(value("network_cni_plugins_dir").value, plugins.join(":"));
  assertEquals(value("network_cni_config_dir").from, "/etc/mesos-cni.json");
  assertEquals(value("work_dir").value, "/srv/mesos"); // what was there stays

  // Once it is changed it is the operator's.
  await agent.ok(["sed", "-i", "s/srv/data/", "/etc/mesos-cni.json"]);
  const removed = JSON.parse(await agent.ok([`${bin}/mesos-cni`, "uninstall", "--json"]));
  assertEquals(removed.kept, ["/etc/mesos-cni.json"]);
  await agent.ok(["ls", "/etc/mesos-cni.json"]);
});

Deno.test("install refuses what may be a typo before it changes anything", async () => {
  await using agent = await machine();
  await agent.ok(["tee", `${agent.dir}/file`], { stdin: "x" });
  const before = (await agent.run(["find", agent.dir, "/var/lib"])).stdout;
  const cases: [flag: string, said: string][] = [
    ["--network_cni_plugins_dir=/nope", "mkdir -p /nope"],
    [`--network_cni_plugins_dir=${agent.dir}:/nope`, "mkdir -p /nope"],
    ["--network_cni_config_dir=/nope", "there is no such directory"],
    [`--bin_dir=${agent.dir}/file`, "it is no directory"],
    [`--bin_dir=${agent.dir}/file/bin`, "no directory"],
    ["--unit_dir=/dev/null", "it is no directory"],
    [`--unit_dir=${agent.dir}/units\nExecStart=/bin/sh`, "control characters"],
    [`--share_dir=${agent.dir}/shared`, "there is no such directory"],
  ];
  const usual = installCall(agent);
  for (const [flag, said] of partOf(cases, 2)) {
    const name = flag.slice(0, flag.indexOf("="));
    const call = [...usual.filter((word) => !word.startsWith(`${name}=`)), flag];
    const { code, stderr } = await agent.run(call);
    assertEquals(code, 2, flag + stderr);
    assertStringIncludes(stderr, said);
    assert(!stderr.includes("    at "), stderr);
    assertEquals((await agent.run(["find", agent.dir, "/var/lib"])).stdout, before);
  }
  // Nor does it stop in the middle: the last thing is in the way, and the first is not made.
  await agent.ok(["mkdir", `${places(agent).units}/mesos-cni.socket`]);
  const { code, stderr } = await agent.run(usual);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "mesos-cni.socket is a directory");
  assertEquals((await agent.run(["ls", places(agent).bin])).stdout, "");
  const dry = await agent.run([...usual, "--dry-run"]);
  assertEquals(dry.code, 1);
  await agent.ok(["rmdir", `${places(agent).units}/mesos-cni.socket`]);
  const planned = JSON.parse(await agent.ok([...usual, "--dry-run"]));
  assert(planned.placed.every((one: { change: string }) => one.change === "made"));
  assertEquals((await agent.run(["ls", places(agent).bin])).stdout, "");
});

Deno.test("install takes no planted file for its own, and follows no planted link", async () => {
  await using agent = await machine();
  const { bin } = places(agent);
  const { placed } = JSON.parse(await agent.ok([...installCall(agent), "--dry-run"]));
  const program: string = placed[0].path;
  const size = (await Deno.stat(MESOS_CNI)).size;
  await agent.ok(["truncate", `--size=${size}`, program]);
  await agent.ok(["tee", `${agent.dir}/victim`], { stdin: "untouched" });
  const name = program.slice(program.lastIndexOf("/") + 1);
  for (const temporary of [`.${name}.new`, `.new-${name}`, ".mesos-cni.new"]) {
    await agent.ok(["ln", "-s", `${agent.dir}/victim`, `${bin}/${temporary}`]);
  }
  await agent.ok(installCall(agent));
  assertStringIncludes(await agent.ok([`${bin}/mesos-cni`, "version"]), "mesos-cni ");
  assertEquals(await Deno.readTextFile(`${agent.dir}/victim`), "untouched");

  // Neither does a mode that lets others write pass for ours.
  await agent.ok(["chmod", "0777", program]);
  const again = JSON.parse(await agent.ok(installCall(agent)));
  assertEquals(again.placed[0].change, "changed");
  assertEquals((await Deno.stat(program)).mode! & 0o777, 0o755);
});

Deno.test("two installs at once, and one that is killed, leave a program that works", async () => {
  await using agent = await machine();
  const { bin } = places(agent);
  const both = await Promise.all([agent.run(installCall(agent)), agent.run(installCall(agent))]);
  assertEquals(both.map(({ code }) => code), [0, 0]);
  await agent.ok([`${bin}/mesos-cni`, "uninstall"]);
  const moments = Array.from({ length: 10 }, (_, i) => 100 + 40 * i);
  for (const milliseconds of partOf(moments, 4)) {
    await agent.run(["timeout", "-s", "KILL", String(milliseconds / 1000), ...installCall(agent)]);
  }
  await agent.ok(installCall(agent));
  await agent.ok([`${bin}/mesos-cni`, "version"]);
  await agent.ok([`${bin}/mesos-cni`, "uninstall"]);
  const left = await agent.run(["find", agent.dir, "/var/lib/mesos-cni", "-not", "-type", "d"]);
  assertEquals(left.stdout, "");
});

Deno.test("an upgrade that is killed at any step is taken away whole by uninstall", async () => {
  const newer = await Deno.makeTempFile();
  await makeVariant(newer, NEXT_VERSION);
  await using agent = await machine();
  const { bin } = places(agent);
  await agent.ok(["cp", newer, "/run/newer"]);
  await Deno.remove(newer);
  // What is renamed: the manifest, the program, the link to it.
  for (const step of partOf([2, 3, 4], 3)) {
    await agent.ok(installCall(agent));
    const inject = `inject=renameat:signal=KILL:when=${step}`;
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat", "-e", inject];
    const { code } = await agent.run([...strace, ...installCall(agent, "/run/newer")]);
    assertEquals(code, 137, `step ${step}`);
    await agent.ok([`${bin}/mesos-cni`, "version"]);
    await agent.ok([MESOS_CNI, "uninstall"]);
    const left = await agent.run(["find", agent.dir, "/var/lib/mesos-cni", "-not", "-type", "d"]);
    assertEquals(left.stdout, "", `step ${step}`);
  }
});

Deno.test("uninstall refuses while another runtime's container has ports", async () => {
  await using agent = await machine();
  await agent.ok(installCall(agent));
  const plugin = `${places(agent).plugins[0]}/mesos-cni-port-mapper`;
  await add(agent, plugin, 1);
  const refused = await agent.run([`${places(agent).bin}/mesos-cni`, "uninstall"]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "upgrade-1");
  await agent.ok(["test", "-x", plugin]);
});

Deno.test("install says what the machine lacks, and leaves a foreign plugin alone", async () => {
  await using agent = await machine();
  const { plugins } = places(agent);
  const report = JSON.parse(await agent.ok(installCall(agent)));
  assertEquals(report.missing, []); // bridge and host-local are built in
  const bare = `${agent.dir}/empty`;
  await Deno.mkdir(bare);
  for (const dir of ["/usr/sbin", "/sbin"]) await agent.run(["mount", "--bind", bare, dir]);
  const without = JSON.parse(await agent.ok(["env", `PATH=${bare}`, ...installCall(agent)]));
  assertEquals(without.missing, []); // ports are mapped by nf_tables then, which needs no program

  await Deno.remove(`${plugins[0]}/mesos-cni-port-mapper`);
  await Deno.writeTextFile(`${plugins[0]}/mesos-cni-port-mapper`, "the original");
  const refused = await agent.run(installCall(agent));
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "move it away first");
  assertEquals(await Deno.readTextFile(`${plugins[0]}/mesos-cni-port-mapper`), "the original");
});

Deno.test("what another's bridge costs is said, ours takes over at once, and back is one command", async () => {
  await using agent = await machine();
  const { bin, plugins: [dir] } = places(agent);
  for (const type of ["bridge", "host-local"]) {
    await agent.ok(["ln", "-s", `${CNI_PLUGINS}/${type}`, `${dir}/${type}`]);
  }
  await agent.ok(["tee", `${agent.dir}/networks/net.conf`], {
    stdin: JSON.stringify({
      ...{ cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0" },
      ipam: { type: "host-local", subnet: "10.9.0.0/16" },
    }),
  });
  const install = (...more: string[]) =>
    agent.ok([...installCall(agent).filter((word) => word !== "--json"), ...more]);
  const runs = async () => {
    const status = await agent.run([`${bin}/mesos-cni`, "status"]);
    return [...status.stdout.matchAll(/^(?:plugins)? +(.*(?:own|\/\S+))$/gm)].map(([, text]) =>
      text
    );
  };
  const before = await agent.ok(["ip", "-o", "link"]);
  const said = await install();
  const [, theirs, ours] = /bridge is \S+: .* takes (\d+) ms by it, and (\d+) by/.exec(said) ?? [];
  assert(Number(theirs) > 0 && Number(ours) > 0, said);
  assertStringIncludes(said, `bridge is ${dir}/bridge`);
  assertEquals(await agent.ok(["ip", "-o", "link"]), before);
  assertEquals(await runs(), [`bridge: ${dir}/bridge`, `host-local: ${dir}/host-local`]);

  assert(!(await install("--plugins=all")).includes("on this machine"));
  assertEquals(await runs(), ["bridge, host-local: this program's own"]);

  assertStringIncludes(await install("--plugins=none", "--dry-run"), `would change ${dir}/bridge`);
  assertEquals(await runs(), ["bridge, host-local: this program's own"]);
  assertStringIncludes(await install("--plugins=none"), `changed    ${dir}/bridge`);
  assertEquals(await runs(), [`bridge: ${dir}/bridge`, `host-local: ${dir}/host-local`]);
  assertEquals(await agent.ok(["readlink", `${dir}/bridge`]), `${CNI_PLUGINS}/bridge\n`);
  // Types that nobody else has stay, and the others are nobody's to take away.
  await agent.ok(["test", "-x", `${dir}/ptp`]);
  await agent.ok([`${bin}/mesos-cni`, "uninstall"]);
  assertEquals(await agent.ok(["ls", dir!]), "bridge\nhost-local\n");
});

Deno.test("the units are ones that systemd accepts, and those of the examples", async () => {
  await using agent = await machine();
  await agent.ok(installCall(agent));
  const { units } = places(agent);
  const verify = await agent.run([
    "systemd-analyze",
    "verify",
    "--man=no",
    `${units}/mesos-cni.service`,
    `${units}/mesos-cni.socket`,
    `${units}/mesos-cni-metrics.service`,
    `${units}/mesos-cni-metrics.timer`,
  ]);
  // It also complains of units of the machine; only ours are ours.
  const ours = (verify.stderr + verify.stdout).split("\n")
    .filter((line) => line.includes("mesos-cni"));
  assertEquals(ours, []);
});

Deno.test("uninstall refuses while a container is attached", async () => {
  await using agent = await machine();
  await agent.ok(installCall(agent));
  await agent.ok(["mkdir", "-p", "/run/mesos/isolators/network/cni/web-1"]);
  const refused = await agent.run([
    `${places(agent).bin}/mesos-cni`,
    "uninstall",
    "--runtime_dir=/run/mesos",
  ]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "web-1");
  await agent.ok([`${places(agent).bin}/mesos-cni`, "version"]);
});

Deno.test("an upgrade disturbs no plugin: ADDs while the program is replaced all succeed", async () => {
  await using agent = await machine();
  await agent.ok(installCall(agent));
  const other = `${agent.dir}/mesos-cni-other`;
  await makeVariant(other, NEXT_VERSION);
  assertStringIncludes(await agent.ok([other, "version"]), "0.1.9");
  const plugin = `${places(agent).plugins[0]}/mesos-cni-port-mapper`;
  const replacements = FULL ? 20 : ALL_PARTS ? 8 : 2;

  let replaced = 0;
  const replacing = (async () => {
    for (; replaced < replacements; replaced++) {
      await agent.ok(installCall(agent, replaced % 2 ? MESOS_CNI : other));
    }
  })();
  const adds: Promise<unknown>[] = [];
  let running = 0;
  while (replaced < replacements) {
    // Every 50 ms, unless the machine is so slow that they would hold up the installation.
    while (running >= 2) await new Promise((resolve) => setTimeout(resolve, 5));
    running++;
    const added = add(agent, plugin, adds.length);
    added.catch(() => {}).finally(() => running--); // looked at when all have ended
    adds.push(added);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await replacing;
  assert(adds.length >= replacements);
  await Promise.all(adds);
});

async function add(agent: Sandbox, plugin: string, n: number): Promise<void> {
  const netns = `/run/netns/c${n}`;
  await agent.ok(["ip", "netns", "add", `c${n}`]);
  const config = {
    cniVersion: "1.0.0",
    name: "upgrade",
    type: "mesos-cni-port-mapper",
    chain: "UPGRADE",
    delegate: {
      type: "bridge",
      bridge: "up0",
      ipam: {
        type: "host-local",
        dataDir: `${agent.dir}/ipam`,
        ranges: [[{ subnet: "10.77.0.0/16" }]],
      },
    },
    args: {
      "org.apache.mesos": {
        network_info: { port_mappings: [{ host_port: 20000 + n, container_port: 80 }] },
      },
    },
  };
  await agent.ok([plugin], {
    stdin: JSON.stringify(config),
    clearEnv: true,
    env: {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: `upgrade-${n}`,
      CNI_NETNS: netns,
      CNI_IFNAME: "eth0",
      CNI_PATH: CNI_PLUGINS,
      PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    },
  });
}

Deno.test("an older and a newer program clean up after each other", async () => {
  await using agent = await machine();
  const newer = `${agent.dir}/mesos-cni-newer`;
  await makeVariant(newer, NEXT_VERSION);
  await Deno.copyFile(
    "examples/networks/port-mapper-test.conf",
    `${agent.dir}/networks/port-mapper-test.conf`,
  );
  const flags = [
    `--network_cni_config_dir=${agent.dir}/networks`,
    `--network_cni_plugins_dir=${CNI_PLUGINS}`,
  ];
  const traces = () =>
    agent.ok([
      "sh",
      "-c",
      "iptables-save -t nat | grep '^-A'; find /run/mesos* /var/lib/cni -type f",
    ]);
  let clean: string | undefined;
  for (const [maker, cleaner] of [[MESOS_CNI, MESOS_CNI], [newer, MESOS_CNI], [MESOS_CNI, newer]]) {
    // The exit by SIGKILL leaves everything to the cleanup.
    const run = [maker!, "run", "--name=web", "--networks=port-mapper-test", ...flags];
    const command = ["--port_mappings=8080:80", "--", "sh", "-c", "kill -9 $PPID"];
    await agent.run([...run, ...command]);
    const request = "/run/mesos/isolators/network/mesos-cni/web.json";
    const { format } = JSON.parse(await agent.ok(["cat", request]));
    assertEquals(format, maker === newer ? 2 : 1);
    assertStringIncludes(await traces(), "container_id: web");
    await agent.ok([cleaner!, "isolator", "cleanup", "web", ...flags]);
    const left = await traces();
    assertEquals(left, clean ?? left);
    clean = left;
    assert(!left.includes("web"), left);
  }
});
