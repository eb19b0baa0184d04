/**
 * From a fault to the alert to the command that names it, by Debian's own Prometheus and node exporter in a
 * throwaway network. Skipped where they are not installed (Debian: prometheus, prometheus-node-exporter).
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { exists } from "../../lib/base/exists.ts";
import { METRICS_FILE } from "../../lib/install/units.ts";
import { Clinic } from "../harness/clinic.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import type { Sandbox } from "../harness/sandbox.ts";

const MONITORING = fromFileUrl(new URL("../../examples/monitoring", import.meta.url));
const SKIPPED = !exists("/usr/bin/prometheus") || !exists("/usr/bin/prometheus-node-exporter");

/** Nothing here takes that long on the slowest machine. */
const PATIENCE_MS = 90_000;

Deno.test({
  name: "the rules do what their tests say",
  ignore: !exists("/usr/bin/promtool"),
  async fn() {
    for (const args of [["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"]]) {
      const { code, stdout } = await new Deno.Command("promtool", { args, cwd: MONITORING })
        .output();
      assertEquals(code, 0, new TextDecoder().decode(stdout));
    }
  },
});

async function ask(agent: Sandbox, path: string, ...data: string[]) {
  const url = `http://127.0.0.1:9090/api/v1/${path}`;
  const { stdout } = await agent.run(["curl", "--silent", "--get", url, ...data]);
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined; // it is about to start
  }
}

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  throw new Error(`${what}: not in ${PATIENCE_MS / 1000} s`);
}

Deno.test({
  name: "a fault fires its alert, whose annotation is the command that names the cause",
  ignore: SKIPPED,
  async fn() {
    await using clinic = await Clinic.open();
    const { agent } = clinic;
    const dir = `${agent.dir}/prometheus`;
    const rules = await Deno.readTextFile(`${MONITORING}/rules.yml`);
    await Deno.mkdir(dir);
    // Nobody waits minutes here; what they wait for is tested with the rules.
    await Deno.writeTextFile(`${dir}/rules.yml`, rules.replaceAll(/^( +for:) .*/gm, "$1 1s"));
    await Deno.writeTextFile(
      `${dir}/prometheus.yml`,
      `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: node
    static_configs: [{targets: ["127.0.0.1:9100"]}]
`,
    );
    const textfiles = METRICS_FILE.slice(0, METRICS_FILE.lastIndexOf("/"));
    await agent.ok(["mkdir", "-p", textfiles]);
    const programs = [
      agent.spawn([
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        `--collector.textfile.directory=${textfiles}`,
        "--web.listen-address=127.0.0.1:9100",
      ]),
      agent.spawn([
        "prometheus",
        `--config.file=${dir}/prometheus.yml`,
        `--storage.tsdb.path=${dir}/data`,
        "--web.listen-address=127.0.0.1:9090",
      ]),
    ];
    const write = () =>
      agent.run([MESOS_CNI, "status", "--format=prometheus", `--output=${METRICS_FILE}`]);
    const firing = async () => {
      const alerts = (await ask(agent, "alerts"))?.data.alerts ?? [];
      return alerts.filter(({ state }: { state: string }) => state === "firing");
    };
    try {
      await write();
      await until(
        "the metrics are there",
        async () =>
          (await ask(agent, "query", "--data-urlencode", "query=mesos_cni_containers"))?.data
            .result[0],
      );
      assertEquals(await firing(), []);
      await agent.ok(["ip", "link", "set", "mesos-cni0", "down"]);
      await write();
      const alert = await until(
        "the alert fires",
        async () =>
          (await firing()).find((one: { labels: { cause: string } }) =>
            one.labels.cause === "bridge_down"
          ),
      );
      const [ssh, host, ...command] = alert.annotations.command.split(" ");
      assertEquals([ssh, host, command[0]], ["ssh", "127.0.0.1", "mesos-cni"]);
      const { stdout } = await agent.run([MESOS_CNI, ...command.slice(1)]);
      assertStringIncludes(stdout, "the bridge mesos-cni0 is down");
      assertStringIncludes(stdout, "ip link set mesos-cni0 up");

      const { panels } = JSON.parse(await Deno.readTextFile(`${MONITORING}/dashboard.json`));
      for (const { title, targets } of panels) {
        const query = targets[0].expr.replaceAll("$agent", ".*");
        const answer = await ask(agent, "query", "--data-urlencode", `query=${query}`);
        assertEquals(answer?.status, "success", `${title}: ${JSON.stringify(answer)}`);
      }
      const ill = panels.find(({ title }: { title: string }) => title === "Agents with a problem");
      const query = ill.targets[0].expr.replaceAll("$agent", ".*");
      const counted = await ask(agent, "query", "--data-urlencode", `query=${query}`);
      assertEquals(counted.data.result[0].value[1], "1");

      await agent.ok(["ip", "link", "set", "mesos-cni0", "up"]);
      assert((await write()).code === 0, "the agent is well again");
      await until(
        "the alert is gone",
        async () => (await firing()).length === 0 ? true : undefined,
      );
    } finally {
      for (const program of programs) {
        program.kill("SIGKILL");
        await program.status;
        await program.stdin.close().catch(() => {});
        await Promise.all([program.stdout.cancel(), program.stderr.cancel()]);
      }
    }
  },
});
