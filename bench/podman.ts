/**
 * `podman run --rm -p`, by turns with Go's plugins and with ours, on podman's own list (bridge, portmap,
 * firewall, tuning); and on one of bridge and port mapper. podman starts every plugin of every list for its
 * VERSION, several times a run.
 *
 * `./dev bench podman [ROUNDS]`
 */
import { launcherBytes, launcherOf } from "../lib/cni/launcher.ts";
import { REGISTRY } from "../plugins/registry.ts";
import { CNI_PLUGINS } from "../tests/harness/binary.ts";
import { RuntimeHost } from "../tests/runtimes/host.ts";
import { layPlugins, OWN_PLUGINS } from "./attach/ours.ts";
import { compileLeast } from "./startup.ts";
import { floor, goal, row, runProgram, shown, timeByTurns } from "./timing.ts";

const ROUNDS = 15;

const BRIDGE = {
  type: "bridge",
  isGateway: true,
  ipMasq: true,
  hairpinMode: true,
  ipam: { type: "host-local", routes: [{ dst: "0.0.0.0/0" }] },
};

/** The list that podman brings along (cni/87-podman-bridge.conflist), and the one of our documents. */
const LISTS = {
  usual: [
    { type: "portmap", capabilities: { portMappings: true } },
    { type: "firewall" },
    { type: "tuning" },
  ],
  mapped: [{ type: "mesos-cni-port-mapper", chain: "BENCH", capabilities: { portMappings: true } }],
};

export async function run([rounds]: string[]): Promise<void> {
  try {
    await runProgram("podman", ["--version"]);
  } catch {
    return console.log("podman is not installed here: not measured");
  }
  await using host = await RuntimeHost.open();
  await host.agent.ok(["rm", "-r", `${host.dir}/net.d`]);
  await layPlugins();
  await host.agent.ok(["mkdir", "-p", `${host.dir}/ours`, `${host.dir}/behind`]);
  // The sandbox's /run is its own.
  for (const { name } of Deno.readDirSync(OWN_PLUGINS)) {
    const file = `${host.dir}/ours/${name}`;
    await host.agent.ok(["tee", file], { stdin: Deno.readFileSync(`${OWN_PLUGINS}/${name}`) });
    await host.agent.ok(["chmod", "755", file]);
  }
  await layBehindEmpty(host);
  const timings = await timeByTurns({
    "Go's plugins": await podman(host, "go", CNI_PLUGINS, "usual", 1),
    "ours, the same list": await podman(host, "ours", `${host.dir}/ours`, "usual", 2),
    "ours, bridge and port mapper": await podman(host, "mapped", `${host.dir}/ours`, "mapped", 3),
    [FLOOR]: await podman(host, "behind", `${host.dir}/behind`, "usual", 4),
  }, Number(rounds ?? ROUNDS));
  console.log(row("podman run --rm -p 8080:80", "median (min … max)", "CPU, ms"));
  console.log(row("---", "--:", "--:"));
  for (const [name, timing] of Object.entries(timings)) {
    console.log(row(name, shown(timing), timing.cpu!.toFixed(0)));
  }
  const base = timings["Go's plugins"];
  console.log("");
  for (const name of ["ours, the same list", "ours, bridge and port mapper"] as const) {
    const { median, cpu } = timings[name];
    console.log(goal(`podman run, ${name}, beside Go's`, median / base.median, 1.1));
    console.log(goal(`podman run, ${name}, beside Go's, of the CPU`, cpu! / base.cpu!, 1.1));
  }
  const { median, cpu } = timings[FLOOR]!;
  const what = "podman run, the same list, beside Go's";
  console.log(floor(what, median / base.median, FLOOR));
  console.log(floor(`${what}, of the CPU`, cpu! / base.cpu!, FLOOR));
}

const FLOOR = "Go's plugins by launchers, each after an empty start of our runtime";

/** VERSION as ours say it; for all else the runtime starts and ends, and then Go's plugin does the work. */
async function layBehindEmpty(host: RuntimeHost): Promise<void> {
  const empty = await compileLeast("empty");
  // Its bridge calls it; ours has it within.
  await host.agent.ok(["ln", "-s", `${CNI_PLUGINS}/host-local`, `${host.dir}/behind`]);
  for (const type of ["bridge", "portmap", "firewall", "tuning"]) {
    const file = `${host.dir}/behind/${type}`;
    const script = await host.write(
      `behind/${type}.sh`,
      `#!/bin/sh\n${empty} </dev/null\nexec ${CNI_PLUGINS}/${type}\n`,
    );
    const bytes = launcherBytes(launcherOf(REGISTRY.get(type)!, script));
    await host.agent.ok(["tee", file], { stdin: bytes });
    await host.agent.ok(["chmod", "755", file, script]);
  }
}

/** A call of podman with a configuration and a network of its own. */
async function podman(
  host: RuntimeHost,
  name: string,
  plugins: string,
  list: keyof typeof LISTS,
  net: number,
): Promise<() => Promise<unknown>> {
  await host.agent.ok(["mkdir", "-p", `${host.dir}/${name}.d`]);
  const bridge = {
    ...BRIDGE,
    bridge: `podman-${name}`,
    ipam: { ...BRIDGE.ipam, ranges: [[{ subnet: `10.8${net}.0.0/16` }]] },
  };
  await host.write(
    `${name}.d/podman.conflist`,
    JSON.stringify({ cniVersion: "0.4.0", name: "podman", plugins: [bridge, ...LISTS[list]] }),
  );
  const conf = await host.write(
    `${name}.conf`,
    [
      "[network]",
      'network_backend = "cni"',
      `cni_plugin_dirs = ["${plugins}"]`,
      `network_config_dir = "${host.dir}/${name}.d"`,
      "[engine]",
      'cgroup_manager = "cgroupfs"',
      'events_logger = "file"',
      'runtime = "runc"',
    ].join("\n"),
  );
  const argv = [
    "podman",
    ...["root", "runroot", "tmpdir"].map((it) => `--${it}=${host.dir}/podman/${it}`),
    ...["--storage-driver=vfs", "run", "--rm", "--network=podman", "--publish=8080:80"],
    // The limits of whoever runs the benchmark may not be raised.
    ...["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"],
    ...["--rootfs", `${host.dir}/rootfs`, "/bin/busybox", "true"],
  ];
  return () => host.agent.ok(argv, { env: { CONTAINERS_CONF: conf } });
}
