/** One archive for a ticket: read without the agent it says what was wrong, and no secret. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { tar } from "../../lib/fleet/tar.ts";
import { Clinic } from "../harness/clinic.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { FULL, PARTS } from "../harness/scale.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, type StockContainer } from "../harness/stock_agent.ts";

const CONTAINERS = FULL ? 50 : PARTS === "all" ? 12 : 6;
const SECRET = "s3cret-value";

/** Makes an archive and unpacks it with tar, in the directory of the test's files. */
async function unpacked(
  host: Sandbox,
  ...args: string[]
): Promise<(path: string) => Promise<string>> {
  const to = `${host.dir}/unpacked-${args.length}`;
  const { code, stderr } = await host.run([MESOS_CNI, "bundle", "--output=/run/b.tar.gz", ...args]);
  assertEquals(code, 0, stderr);
  assertEquals(await host.ok(["stat", "--format=%a", "/run/b.tar.gz"]), "600\n");
  await host.ok(["sh", "-ec", `mkdir ${to}; tar -xzf /run/b.tar.gz -C ${to} --strip-components=1`]);
  return (path) => Deno.readTextFile(`${to}/${path}`);
}

Deno.test("the archive alone says what was wrong, and secrets only when asked", async () => {
  await using clinic = await Clinic.open();
  const { agent } = clinic;
  await agent.ok([
    "sh",
    "-ec",
    `mkdir /run/net
    echo '{"name":"n","type":"bridge","token":"${SECRET}","args":{"labels":["${SECRET}"]}}' >/run/net/n.conf
    echo 'token ${SECRET}' >/run/net/other.conf`,
  ]);
  await agent.ok(["ip", "link", "set", "mesos-cni0", "down"]);
  const flags = [
    "--network_cni_config_dir=/run/net",
    `--network_cni_plugins_dir=${clinic.plugins}`,
  ];

  const read = await unpacked(agent, ...flags);
  assertStringIncludes(await read("diagnosis.txt"), "the bridge mesos-cni0 is down");
  assertStringIncludes(await read("diagnosis.html"), "the bridge mesos-cni0 is down");
  const { rows } = JSON.parse(await read("diagnosis.json")) as {
    rows: { id: string; diagnosis?: { findings: { code: string }[] } }[];
  };
  assertEquals(rows.map(({ id }) => id), ["neighbour", "patient"]);
  const manifest = await read("MANIFEST");
  for (const { id, diagnosis } of rows) {
    // On a machine that is slow enough there is no time to read anything of it.
    if (diagnosis) assertEquals(diagnosis.findings[0]!.code, "bridge_down", id);
    else assertStringIncludes(manifest, "and at most what can be read was judged, of: ");
  }
  assertStringIncludes(await read("status.txt"), "something is wrong");
  assertStringIncludes(await read("history.txt"), "patient");
  assertStringIncludes(await read("machine/links.txt"), "mesos-cni0");
  assertStringIncludes(await read("machine/iptables.txt"), "MESOS-TEST-PORT-MAPPER");
  assertEquals(JSON.parse(await read("containers/patient.json")).name, "patient");
  assertStringIncludes(await read("networks/n.txt"), "bridge");
  assertStringIncludes(await read("configs/n.conf"), '"token": "(left out)"');
  const all = await agent.run(["grep", "-rl", SECRET, agent.dir]);
  assertEquals(all.stdout, "");

  const whole = await unpacked(agent, ...flags, "--with-secrets", "patient");
  assertStringIncludes(await whole("configs/n.conf"), SECRET);
  assertStringIncludes(await whole("configs/other.conf"), SECRET);
  assertStringIncludes(await whole("diagnosis.txt"), "mesos-cni0 is down");
  assert(!(await whole("MANIFEST")).includes("containers/neighbour"));
});

Deno.test(
  "of many containers, whoever is ill is told of, or is said not to have been asked",
  async () => {
    await using clinic = await Clinic.open();
    const network = bridgeNetwork("crowd", "10.40.0.0/16");
    const many: StockContainer[] = [];
    for (let i = 2; i < CONTAINERS; i++) {
      many.push(await clinic.admit(`crowd-${String(i).padStart(2, "0")}`, [network]));
    }
    // Late ones by name: of one it can be read, of the other only a packet tells.
    const [readable, silent] = many.slice(-2) as [StockContainer, StockContainer];
    await readable.ok(["ip", "route", "del", "default"]);
    const drop = ["FORWARD", "-s", silent.addresses[0]!, "-j", "DROP"];
    await clinic.agent.ok(["iptables", "-I", ...drop]);

    const read = await unpacked(clinic.agent);
    const { rows, causes } = JSON.parse(await read("diagnosis.json")) as {
      rows: { id: string; error?: string; diagnosis?: { healthy: boolean } }[];
      causes: { finding: { code: string }; containers: string[] }[];
    };
    const text = await read("diagnosis.txt");
    const of = (code: string) => causes.find(({ finding }) => finding.code === code)?.containers;
    assertEquals(of("no_default_route"), [readable.id]);
    assertStringIncludes(text, `${readable.id}: `);
    const unasked = rows.filter(({ error }) => error).map(({ id }) => id);
    const { diagnosis, error } = rows.find(({ id }) => id === silent.id)!;
    assert(error || diagnosis?.healthy === false, "it was asked, and is not well");
    const named = unasked.length === 0 ? "bundle-part diagnosis" : `of: ${unasked.join(", ")}\n`;
    const line = (await read("MANIFEST")).split("\n").find((one) =>
      one.startsWith("diagnosis.txt")
    );
    assertStringIncludes(`${line}\n`, named);
    assertStringIncludes(text, unasked.length === 0 ? readable.id : `of: ${unasked.join(", ")}\n`);
  },
);

Deno.test("what can't be read is said, and costs no other file", async () => {
  await using clinic = await Clinic.open();
  const { agent } = clinic;
  await agent.ok([
    "sh",
    "-ec",
    `mkdir /run/net; ln -s /nowhere /run/net/gone.conf; mkfifo /run/pipe; ln -s ../pipe /run/net/pipe.conf
    kill -9 ${clinic.neighbour.pid}; umount ${clinic.neighbour.dir}/ns
    echo '{' >${clinic.patient.checkpoint("port-mapper-test")}`,
  ]);
  const read = await unpacked(
    agent,
    "--network_cni_config_dir=/run/net",
    "--network_cni_plugins_dir=/nowhere",
  );
  const lines = (await read("MANIFEST")).split("\n");
  const note = (path: string) => lines.find((line) => line.startsWith(`${path}\t`))!.split("\t")[2];
  assertStringIncludes(note("configs/gone.conf")!, "not read");
  assertStringIncludes(await read("containers/neighbour.json"), "error");
  assertStringIncludes(await read("list.txt"), "patient");
  assertStringIncludes(await read("machine/routes.txt"), "dev");
  assertEquals((await agent.run([MESOS_CNI, "bundle", "nobody"])).code, 1);
});

Deno.test("an archive is one, however long names are and whatever letters they have", async () => {
  const files = [
    "a",
    "b/".repeat(60) + "c",
    `${"agent/".repeat(9)}${"7".repeat(240)}.json`,
    "ö".repeat(70),
  ]
    .map((path) => ({ path, text: `text of ${path}` }));
  const dir = await Deno.makeTempDir();
  try {
    await Deno.writeFile(`${dir}/archive.tar`, new Blob([...tar(files, 1)]).stream());
    const { code, stderr } = await new Deno.Command("tar", {
      args: ["-xf", "archive.tar"],
      cwd: dir,
    }).output();
    assertEquals([code, new TextDecoder().decode(stderr)], [0, ""]);
    for (const { path, text } of files) {
      assertEquals(await Deno.readTextFile(`${dir}/${path}`), text);
    }
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
