/** Launchers of the standard plugins: what they answer themselves, and what they leave to the program. */
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { CODE, findLauncher, launcherBytes, launcherOf } from "../../lib/cni/launcher.ts";
import { REGISTRY } from "../../plugins/registry.ts";
import { IS_COMPILED, MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { NETWORK, PluginMachine } from "../harness/plugin_machine.ts";
import { type Output, Sandbox } from "../harness/sandbox.ts";

const TYPES = [...REGISTRY.values()];
const ARCHES = ["x86_64", "aarch64"] as const;

/** What `install` makes of the standard plugins, beside links as there were before. */
async function installed(sandbox: Sandbox): Promise<void> {
  await sandbox.ok([
    "mkdir",
    "-p",
    ...["bin", "units", "linked", "net.d"].map((it) => `/run/${it}`),
  ]);
  await sandbox.ok(["mkdir", "/run/plugins"]);
  await sandbox.ok(["mount", "--bind", "/run/net.d", "/etc"]);
  const places = [
    "bin_dir=/run/bin",
    "unit_dir=/run/units",
    "network_cni_plugins_dir=/run/plugins",
  ];
  const flags = [...places, "network_cni_config_dir=/run/net.d"].map((flag) => `--${flag}`);
  await sandbox.ok([MESOS_CNI, "install", ...flags]);
  for (const { type } of TYPES) await sandbox.ok(["ln", "-s", MESOS_CNI, `/run/linked/${type}`]);
}

async function write(
  sandbox: Sandbox,
  path: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  await sandbox.ok(["tee", path], { stdin: bytes });
  await sandbox.ok(["chmod", "755", path]);
}

Deno.test("a launcher says what its program says, byte for byte", async () => {
  await using sandbox = await Sandbox.create();
  await installed(sandbox);
  const calls: [command: string | undefined, stdin: string][] = [
    ["VERSION", ""],
    ["VERSION", '{"cniVersion":"0.4.0"}'],
    ["VERSION", "no JSON"],
    [undefined, ""],
    ["", ""],
    ["VERSIONS", "{}"],
    ["VERSIO", "{}"],
    ["version", "{}"],
    ["ADD", "{}"],
    ["STATUS", '{"cniVersion":"1.1.0"}'],
  ];
  const chosen = new Set(partOf(TYPES.map(({ type }) => type), 3));
  for (const { type } of TYPES.filter(({ type }) => type === "bridge" || chosen.has(type))) {
    const call = (directory: string, command: string | undefined, stdin: string) =>
      sandbox.run([`/run/${directory}/${type}`, "a word"], {
        clearEnv: true,
        // Names that begin as the wanted one does, and its value where it means nothing.
        env: {
          CNI: "1",
          CNI_COMMAND_: "VERSION",
          CNI_COMMANDO: "1",
          ...command === undefined ? {} : { CNI_COMMAND: command },
          CNI_PATH: "/run/plugins",
          X: "CNI_COMMAND=VERSION",
        },
        stdin,
      });
    // Of VERSION every type is asked, since the answers differ; for the rest they are one code.
    for (const [command, stdin] of type === "bridge" ? calls : calls.slice(0, 1)) {
      const [ours, theirs] = [
        await call("plugins", command, stdin),
        await call("linked", command, stdin),
      ];
      assertEquals(ours, theirs, `${type} ${command} ${stdin}`);
    }
  }
});

Deno.test("VERSION is answered without the program, and a launcher whose program does not start says so", async () => {
  await using sandbox = await Sandbox.create();
  const program = "/run/mesos-cni";
  await write(sandbox, "/run/vlan", launcherBytes(launcherOf(REGISTRY.get("vlan")!, program)));
  const call = (command: string, prefix: string[] = []) =>
    sandbox.run([...prefix, "/run/vlan"], { clearEnv: true, env: { CNI_COMMAND: command } });
  const said = ({ code, stdout, stderr }: Output) => ({ code, stderr, ...JSON.parse(stdout) });
  const failure = { code: 1, stderr: "", cniVersion: "0.1.0" };
  const error = (output: Output) => {
    const { msg, ...rest } = said({ ...output, code: 0 });
    assertEquals({ ...rest, exit: output.code }, { ...failure, code: 999, exit: 1 });
    return msg as string;
  };
  assertStringIncludes((await call("VERSION")).stdout, "supportedVersions");
  assertEquals(
    error(await call("ADD")),
    `${program}, whose plugin vlan is, is gone: install mesos-cni again`,
  );
  await sandbox.ok(["mkdir", program]);
  assertEquals(
    error(await call("ADD")),
    `${program}, whose plugin vlan is, can't be executed: see ${program} version`,
  );
  await sandbox.ok(["rmdir", program]);
  // An output that takes nothing is for the program to say something of.
  const full = ["sh", "-c", 'exec "$@" >/dev/full', "sh"];
  await sandbox.ok(["ln", "-s", MESOS_CNI, program]);
  const { code, stderr } = await call("VERSION", full);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "ENOSPC");
});

Deno.test("containers come and go by launchers, whatever the caller calls them", async () => {
  await using machine = await PluginMachine.create();
  const { sandbox } = machine;
  await installed(sandbox);
  await machine.namespace("a");
  const prevResult = await machine.ok("ADD", "a", NETWORK, "/run/plugins");
  await machine.ok("CHECK", "a", { ...NETWORK, prevResult }, "/run/plugins");
  await machine.ok("DEL", "a", NETWORK, "/run/plugins");
  // By another name of the file and of the process: the launcher knows what it is.
  await sandbox.ok(["cp", "/run/plugins/bridge", "/run/plugins/mine"]);
  await machine.ok("ADD", "a", { ...NETWORK, type: "mine" }, "/run/plugins");
  await machine.ok("DEL", "a", { ...NETWORK, type: "mine" }, "/run/plugins");
  await machine.assertEmpty();
});

/** Callers that leave a program little, by prlimit(1): what may be raised, and what may not. */
const SHORTAGES: readonly string[] = [
  "nofile=8",
  "fsize=4096",
  "as=50000000000",
  "data=560000000",
  "stack=131072",
];
/** Hard ones that are not much, and with which the program does what it is called for. */
const ENOUGH = ["nofile=24", "fsize=4194304", "as=55000000000", "data=600000000", "stack=524288"];
const GONE = ["sh", "-c", 'mkdir /run/gone && cd /run/gone && rmdir /run/gone && exec "$@"', "sh"];
Deno.test("a launcher raises limits with which the program could not begin, or says that it may not", async () => {
  await using machine = await PluginMachine.create();
  await installed(machine.sandbox);
  await machine.namespace("a");
  const call = async (command: string, prefix: string[], directory = "/run/plugins") =>
    await machine.call(command, "a", NETWORK, directory, prefix);
  const succeeds = async (prefix: string[], directory?: string) => {
    const { code, stdout, stderr } = await call("ADD", prefix, directory);
    assertEquals([code, stderr], [0, ""], `${prefix.join(" ")}: ${stdout}`);
    await machine.ok("DEL", "a", NETWORK, directory);
  };
  await succeeds(GONE);
  for (const enough of partOf(ENOUGH, 2)) await succeeds(["prlimit", `--${enough}`]);
  for (const shortage of partOf(SHORTAGES, 2)) {
    const [soft, hard] = [["prlimit", `--${shortage}:`], ["prlimit", `--${shortage}`]];
    await succeeds(soft);
    const { code, stdout, stderr } = await call("ADD", hard);
    assertEquals([code, stderr], [1, ""], shortage);
    const { msg, ...rest } = JSON.parse(stdout);
    assertEquals(rest, { cniVersion: "0.1.0", code: 999 });
    assertStringIncludes(msg, "RLIMIT_");
    assertEquals((await call("VERSION", hard)).code, 0);
  }
  await machine.assertEmpty();
});

Deno.test("a launcher says that there is no /proc, whatever it is called for but VERSION", async () => {
  await using machine = await PluginMachine.create();
  await installed(machine.sandbox);
  await machine.namespace("a");
  const hide = 'mount -t tmpfs none /proc && exec "$@"';
  const without = ["unshare", "--mount", "sh", "-c", hide, "sh"];
  for (const { type } of partOf(TYPES, 3)) {
    for (const command of ["ADD", "CHECK", "DEL", "GC", "STATUS"]) {
      const call = [command, "a", { ...NETWORK, type }, "/run/plugins", without] as const;
      const { code, stdout, stderr } = await machine.call(...call);
      assertEquals([code, stderr], [1, ""], `${type} ${command}`);
      const { msg, ...rest } = JSON.parse(stdout);
      assertEquals(rest, { cniVersion: "0.1.0", code: 999 }, `${type} ${command}: ${msg}`);
      const why = "can't begin, since /proc/self/exe can't be read: have /proc mounted";
      assertStringIncludes(msg, why);
    }
  }
  const asked = await machine.call("VERSION", "a", NETWORK, "/run/plugins", without);
  assertStringIncludes(asked.stdout, "supportedVersions");
});

Deno.test({
  name: "without a launcher, a working directory that was removed is the end of the runtime",
  // deno run needs one too, and a newer runtime may not.
  ignore: !IS_COMPILED || !Deno.version.deno.startsWith("2.6."),
  async fn() {
    await using machine = await PluginMachine.create();
    await machine.namespace("a");
    const { code, stderr } = await machine.call("ADD", "a", NETWORK, "/run/ours", GONE);
    assertEquals(code, 101);
    assertStringIncludes(stderr, "panicked");
  },
});

Deno.test("a launcher is this program, unless a byte of it is another's", async () => {
  await using sandbox = await Sandbox.create();
  await installed(sandbox);
  await sandbox.ok(["tee", "/run/net.d/net.conf"], { stdin: JSON.stringify(NETWORK) });
  const program = "/run/bin/mesos-cni";
  const implementation = async () => {
    const shown = JSON.parse(await sandbox.ok([program, "network", "show", "net", "--json"]));
    return shown.plugins.find(({ type }: { type: string }) => type === "bridge").implementation;
  };
  const problems = async () => {
    const { stdout } = await sandbox.run([program, "status", "--json"]);
    return JSON.parse(stdout).causes.map(({ code }: { code: string }) => code)
      .filter((code: string) => code.startsWith("plugin_"));
  };
  const file = "/run/plugins/bridge";
  const bridge = REGISTRY.get("bridge")!;
  const bytes = launcherBytes(launcherOf(bridge, program));
  assertEquals(
    await sandbox.ok(["sha256sum", file]).then((line) => line.slice(0, 64)),
    await sum(bytes),
  );
  assertEquals(await implementation(), "built in");
  assertEquals(await problems(), []);

  const changed = bytes.slice();
  changed[200]! ^= 1;
  await write(sandbox, file, changed);
  assertEquals(await implementation(), file);
  assertEquals(await problems(), ["plugin_stale"]);

  const older = { ...launcherOf(bridge, program), answer: '{"cniVersion":"1.0.0"}\n' };
  await write(sandbox, file, launcherBytes(older));
  assertEquals(await implementation(), "built in");
  assertEquals(await problems(), ["plugin_stale"]);

  await write(sandbox, file, launcherBytes(launcherOf(bridge, "/run/gone")));
  assertEquals(await implementation(), file);
  assertEquals(await problems(), ["plugin_missing"]);

  // None of that is anybody else's: install writes it anew, and uninstall takes it away.
  await write(sandbox, file, launcherBytes(older));
  const { placed } = JSON.parse(
    await sandbox.ok([program, "install", "--json", "--bin_dir=/run/bin", "--unit_dir=/run/units"]),
  );
  assertEquals(
    placed.filter(({ change }: { change: string }) => change !== "unchanged").map((
      { path }: { path: string },
    ) => path),
    [file],
  );
  assertEquals(await problems(), []);
  await sandbox.ok([program, "uninstall"]);
  assertEquals(await sandbox.ok(["ls", "/run/plugins"]), "");
});

async function sum(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

Deno.test("the links of an older release become launchers, and another's plugin stays", async () => {
  await using sandbox = await Sandbox.create();
  await installed(sandbox);
  for (const type of ["bridge", "mesos-cni-port-mapper"]) {
    await sandbox.ok(["ln", "-sf", "/run/bin/mesos-cni", `/run/plugins/${type}`]);
  }
  await sandbox.ok(["ln", "-sf", "/bin/true", "/run/plugins/ptp"]);
  const install = ["/run/bin/mesos-cni", "install", "--bin_dir=/run/bin", "--unit_dir=/run/units"];
  await sandbox.ok(install);
  const links = async () => {
    const found = await sandbox.ok(["find", "/run/plugins", "-type", "l", "-printf", "%f\\n"]);
    return found.trim().split("\n").sort();
  };
  assertEquals(await links(), ["ptp"]);
  await sandbox.ok([...install, "--plugins=all"]);
  assertEquals(await sandbox.ok(["readlink", "/run/plugins/ptp.before-mesos-cni"]), "/bin/true\n");
  assertEquals(await links(), ["ptp.before-mesos-cni"]);
  await sandbox.ok(["/run/bin/mesos-cni", "uninstall"]);
  assertEquals(await links(), ["ptp"]);
});

Deno.test("a launcher is found out by its bytes", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/none`;
  try {
    for (const type of TYPES) {
      const launcher = launcherOf(type, "/usr/local/bin/mesos-cni ü");
      await Deno.writeFile(`${directory}/${type.type}`, launcherBytes(launcher));
      assertEquals(findLauncher(`${directory}/${type.type}`), { ...launcher, isIntact: true });
    }
    await Deno.writeTextFile(path, "#!/bin/sh\n");
    assertEquals(findLauncher(path), undefined);
    await Deno.writeTextFile(`${path}-empty`, "");
    assertEquals(findLauncher(`${path}-empty`), undefined);
    assertEquals(findLauncher(MESOS_CNI), undefined);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

/** An assembler of GNU's binutils, and what runs the other architecture's programs here. */
const TOOLS = {
  x86_64: { as: "x86_64-linux-gnu-as", qemu: "qemu-x86_64-static" },
  aarch64: { as: "aarch64-linux-gnu-as", qemu: "qemu-aarch64-static" },
};
const isThere = (program: string) => {
  try {
    return Deno.statSync(`/usr/bin/${program}`).isFile;
  } catch {
    return false;
  }
};

for (const arch of ARCHES) {
  const { as, qemu } = TOOLS[arch];
  Deno.test({
    name: `the bytes of ${arch} are what its words say`,
    ignore: !isThere(as),
    async fn() {
      await using sandbox = await Sandbox.create();
      const listing = CODE[arch].listing.replaceAll(/^ +[0-9a-f]+ /gm, " ") + "data:\n";
      const listed = await sandbox.ok([
        as,
        "-al",
        "--listing-lhs-width=4",
        "-o",
        "/run/out.o",
        "--",
        "-",
      ], {
        stdin: listing,
      });
      const assembled = [...listed.matchAll(/^ +\d+ [0-9a-f]{4} ([0-9A-F ]+)/gm)].map(([, hex]) =>
        hex!.replaceAll(" ", "").toLowerCase()
      );
      const written = [...CODE[arch].listing.matchAll(/^ +([0-9a-f]+) /gm)].map(([, hex]) => hex!);
      assertNotEquals(written, []);
      assertEquals(written, assembled);
    },
  });

  Deno.test({
    name: `a launcher of ${arch} answers, passes on and fails`,
    ignore: Deno.build.arch !== arch && !isThere(qemu),
    async fn() {
      await using sandbox = await Sandbox.create();
      const launcher = launcherOf(REGISTRY.get("bandwidth")!, "/run/program");
      await write(sandbox, "/run/bandwidth", launcherBytes(launcher, arch));
      const run = Deno.build.arch === arch ? [] : [qemu];
      const call = (env: Record<string, string>) =>
        sandbox.run([...run, "/run/bandwidth", "word"], { clearEnv: true, env });
      const { stdout } = await call({ A: "b", CNI_COMMAND: "VERSION" });
      assertEquals(stdout, launcher.answer);
      assertStringIncludes((await call({ CNI_COMMAND: "DEL" })).stdout, "is gone");
      await sandbox.ok(["cp", "/bin/busybox", "/run/program"]);
      // busybox is what it is called: that is no applet of it, and it says so.
      const other = await call({ CNI_COMMAND: "DEL" });
      assertEquals([other.code, other.stderr], [127, "bandwidth: applet not found\n"]);
      assert(!other.stdout.includes("gone"));
    },
  });
}
