/** `status --format=prometheus`: what Prometheus' own checker says, and the names that the service has too. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { exists } from "../../lib/base/exists.ts";
import { Clinic } from "../harness/clinic.ts";
import { MESOS_CNI } from "../harness/binary.ts";

Deno.test("promtool has nothing to say, and the causes are the status'", async () => {
  await using clinic = await Clinic.open();
  const { agent } = clinic;
  await agent.ok([
    "sh",
    "-ec",
    `mkdir /run/net; echo '{' >/run/net/broken.conf
    echo '{"name":"n","type":"bridge","ipam":{"type":"host-local","subnet":"10.1.0.0/30"}}' >/run/net/n.conf`,
  ]);
  await agent.ok(["ip", "link", "set", "mesos-cni0", "down"]);
  const flags = [
    "--network_cni_config_dir=/run/net",
    `--network_cni_plugins_dir=${clinic.plugins}`,
  ];
  const file = "/run/mesos-cni.prom";
  const status = (...more: string[]) => agent.run([MESOS_CNI, "status", ...flags, ...more]);
  assertEquals((await status("--format=prometheus", `--output=${file}`)).code, 1);
  const text = await agent.ok(["cat", file]);
  if (exists("/usr/bin/promtool")) {
    const said = await agent.run(["promtool", "check", "metrics"], { stdin: text });
    assertEquals([said.code, said.stdout + said.stderr], [0, ""]);
  }
  const { causes, containers, networks, lint } = JSON.parse((await status("--json")).stdout);
  const counts = Map.groupBy(
    [causes, ...containers.unwell.map((one: { causes: unknown }) => one.causes)].flat(),
    (one: { code: string }) => one.code,
  );
  for (const [code, all] of counts) {
    assertStringIncludes(text, `\nmesos_cni_causes{cause="${code}"} ${all.length}\n`);
  }
  assertEquals(containers.all.map((one: { id: string }) => one.id), ["neighbour", "patient"]);
  assertStringIncludes(text, "\nmesos_cni_containers 2\n");
  assertStringIncludes(text, '\nmesos_cni_mapped_ports{network="port-mapper-test"} 2\n');
  assertStringIncludes(text, '\nmesos_cni_addresses_free{network="n",subnet="10.1.0.0/30"} 1\n');
  assertEquals(networks.skipped.length, 1);
  assertStringIncludes(text, "\nmesos_cni_skipped_configs 1\n");
  const errors = lint.find((one: { file: string }) => one.file === "/run/net/broken.conf").errors;
  assertStringIncludes(text, `\nmesos_cni_lint_errors{file="/run/net/broken.conf"} ${errors}\n`);
});

Deno.test("a row names the task and the framework that the agent's checkpoints know", async () => {
  await using clinic = await Clinic.open();
  const { agent } = clinic;
  const run = "frameworks/F-1/executors/web.1/runs/patient/tasks/web.1";
  await agent.ok([
    "sh",
    "-ec",
    `mkdir -p /var/lib/mesos/meta/slaves/S0/${run}
    ln -s S0 /var/lib/mesos/meta/slaves/latest`,
  ]);
  await agent.ok(["ip", "link", "set", "mesos-cni0", "down"]);
  const { stdout } = await agent.run([MESOS_CNI, "status", "--json"]);
  const { unwell } = JSON.parse(stdout).containers;
  assertEquals(
    unwell.map(({ id, task, framework }: Record<string, string>) => [id, task, framework]),
    [["neighbour", undefined, undefined], ["patient", "web.1", "F-1"]],
  );
  assertStringIncludes((await agent.run([MESOS_CNI, "status"])).stdout, "(task web.1 of F-1)");
});
