/** Those of the reference's own suites that judge kinds of interfaces which this machine's kernel may lack. */
import { assertEquals } from "@std/assert";
import { DOWNLOADED, Machine } from "../harness/machine/machine.ts";
import { longMachineTest } from "../harness/machine/test.ts";
import { FULL } from "../harness/scale.ts";
import { EXCEPTIONS } from "../../tools/upstream/exceptions.ts";
import { judges, verdictOf } from "../../tools/upstream/judge.ts";
import type { Place } from "../../tools/upstream/place.ts";
import { buildSuites, type Reference } from "../../tools/upstream/reference.ts";
import { runSuite } from "../../tools/upstream/run.ts";
import { directoryOf, NEEDS_MACHINE, PLUGINS } from "../../tools/upstream/suites.ts";

/** Not there without Go: then nothing is judged. */
const FETCHED = Deno.env.get("UPSTREAM_REFERENCE");
/** Every version of the specification has its own spec of the same: an hour on a quiet machine, for all. */
const VERSIONS = FULL ? "" : "0\\.3\\.1|1\\.[01]\\.0";
const SUITES = [
  ...NEEDS_MACHINE.map((suite) => ({ suite, focus: suite === "vlan" ? VERSIONS : "" })),
  // A bridge that filters by VLAN is a part of the kernel's configuration.
  { suite: "bridge", focus: `(${VERSIONS}).*vlan` },
];
const OURS = "/root/ours";
/** Seconds; a suite ends by itself before. */
const PATIENCE = 2000;

if (FETCHED !== undefined) {
  longMachineTest("the reference's own suites pass that need a machine", async (t) => {
    const reference = await buildSuites(FETCHED);
    const output = await Deno.makeTempDir();
    await using machine = await start(reference);
    const place = placeOf(machine);
    for (const { suite, focus } of SUITES) {
      await t.step(suite, async () => {
        const run = { reference, suite, place, ...focus === "" ? {} : { focus } };
        const judging = await judges(run);
        const report = await runSuite({ ...run, programs: OURS, output });
        const { judged, passed, excepted, failed, needless } = verdictOf(
          suite,
          judging,
          report,
          EXCEPTIONS,
        );
        console.log(`${suite}: ${passed} of ${judged} pass, ${excepted.length} are excepted`);
        assertEquals(failed.join("\n"), "");
        assertEquals(needless, []);
      });
    }
  });
}

/** A machine that has all that suites need, where this one has it. */
async function start(reference: Reference): Promise<Machine> {
  const inside = new URL("../../tools/upstream/inside.sh", import.meta.url).pathname;
  const paths = [
    ...[inside, reference.programs, reference.failing, reference.tools],
    ...SUITES.flatMap(({ suite }) => [
      `${reference.suites}/${suite}.test`,
      `${reference.sources}/${directoryOf(suite)}`,
    ]),
  ];
  const files = Object.fromEntries(paths.map((path) => [path, path]));
  const machine = await Machine.start({
    parts: ["iptables", "iproute2"],
    // Busybox' `unshare` ends nothing when it is ended.
    files: { ...files, "/usr/sbin/nft": "/usr/sbin/nft", "/usr/bin/unshare": "/usr/bin/unshare" },
  });
  await machine.ok([
    `mkdir ${OURS}`,
    ...PLUGINS.map((plugin) => `ln -s ${DOWNLOADED} ${OURS}/${plugin.split("/")[1]}`),
    // Two that need a module at once would both try to load it.
    "for kind in 8021q ipvlan dummy vrf veth bridge macvlan; do modprobe $kind; done",
  ].join("\n"));
  return machine;
}

function placeOf(machine: Machine): Place {
  const quoted = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`;
  return {
    kernel: `linux-${machine.kernel}`,
    async run(argv, env) {
      const variables = Object.entries(env)
        .map(([name, value]) => `${name}=${value}`);
      const command = ["env", ...variables, ...argv].map(quoted).join(" ");
      // Reports are left where the run is told to, which is a directory that this machine lacks.
      const output = quoted(env.UPSTREAM_OUTPUT!);
      const { stdout, stderr } = await machine.run(`mkdir -p ${output}\n${command}`, PATIENCE);
      return `${stdout}\n${stderr}`;
    },
    read: (path) => machine.ok(`cat ${quoted(path)}`),
  };
}
