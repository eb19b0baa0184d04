/** Where the agent's directories are found when nobody types them. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { type RunOptions, Sandbox } from "../harness/sandbox.ts";

async function settings(host: Sandbox, args: string[] = [], options: RunOptions = {}) {
  const out = await host.ok([MESOS_CNI, "config", "--json", ...args], options);
  const list: { name: string; value: string | null; from: string }[] = JSON.parse(out);
  return Object.fromEntries(list.map(({ name, value, from }) => [name, `${value} (${from})`]));
}

Deno.test("config: a flag, then the environment, then the file, then a running agent, then the default", async () => {
  await using host = await Sandbox.create();
  assertEquals(await settings(host), {
    network_cni_config_dir: "null (default)",
    network_cni_plugins_dir: "null (default)",
    runtime_dir: "/var/run/mesos (default)",
    work_dir: "/var/lib/mesos (default)",
    network_cni_root_dir_persist: "false (default)",
    no_payload: "null (default)",
    default_container_dns: "null (default)",
    network_cni_metrics: "true (default)",
    firewall: "nf_tables (/usr/sbin/iptables)",
  });

  // An agent is known by its program's name: a stand-in, which a copy of bash can be.
  await host.ok(["cp", "/usr/bin/bash", "/run/mesos-agent"]);
  const script = "read -r _";
  const agent = host.spawn([
    "/run/mesos-agent",
    "-c",
    script,
    "--runtime_dir=/agent/run",
    "--no-network_cni_metrics",
  ], { env: { MESOS_NETWORK_CNI_PLUGINS_DIR: "/agent/plugins" } });
  let found = await settings(host);
  for (let i = 0; i < 50 && found.runtime_dir!.includes("default"); i++) {
    found = await settings(host);
  }
  assertMatch(found.runtime_dir!, /^\/agent\/run \(running agent \d+\)$/);
  assertMatch(found.network_cni_metrics!, /^false \(running agent/);
  assertMatch(found.network_cni_plugins_dir!, /^\/agent\/plugins \(running agent/);
  // Who may not look at it goes on without it, and can learn why.
  const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
  for (const command of [["config"], ["networks"], ["version"]]) {
    const { stderr } = await host.run([...asNobody, MESOS_CNI, ...command, "--log-level=debug"]);
    assertEquals(
      /EACCES|os error|\bat /.test(stderr.replace(/^.*passed over.*$/gm, "")),
      false,
      stderr,
    );
    const lines = stderr.split("\n").filter((line) => line.includes("passed over"));
    assertEquals(lines.length, command[0] === "version" ? 0 : 1, stderr);
  }
  await agent.stdin.close();
  await Promise.all([agent.status, agent.stdout.cancel(), agent.stderr.cancel()]);

  // Another user's program of that name, and root's that another user has started (set-user-id).
  for (const ids of ["65534, 65534, 65534", "65534, 0, 0"]) {
    const impostor = host.spawn([
      ...[PYTHON, "-c", IMPOSTOR.replace("IDS", ids)],
      "--network_cni_plugins_dir=/tmp/evil",
    ]);
    const reader = impostor.stdout.getReader();
    await reader.read();
    assertEquals((await settings(host)).network_cni_plugins_dir, "null (default)", ids);
    await impostor.stdin.close();
    await Promise.all([impostor.status, reader.cancel(), impostor.stderr.cancel()]);
  }
});

const IMPOSTOR = `
import os, sys
open("/proc/self/comm", "w").write("mesos-agent")
os.setresuid(IDS)
print("up", flush=True)
sys.stdin.read()
`;

Deno.test("config: the environment and the file are read as an agent reads its own", async () => {
  await using host = await Sandbox.create();
  await host.ok(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
  await host.ok(["cp", "-r", "/etc/.", "/mnt"]);
  await host.ok(["mount", "--bind", "/mnt", "/etc"]);
  const file = (text: string) => host.ok(["tee", "/etc/mesos-cni.json"], { stdin: text });
  await file('{"network_cni_config_dir": "/file/configs", "network-cni-root-dir-persist": true}');
  const env = { MESOS_WORK_DIR: "/env/work", MESOS_NETWORK_CNI_CONFIG_DIR: "/env/configs" };
  const found = await settings(host, ["--runtime_dir=/flag/run"], { env });
  assertEquals(found.runtime_dir, "/flag/run (--runtime_dir)");
  assertEquals(found.work_dir, "/env/work (environment MESOS_WORK_DIR)");
  assertEquals(
    found.network_cni_config_dir,
    "/env/configs (environment MESOS_NETWORK_CNI_CONFIG_DIR)",
  );
  assertEquals(found.network_cni_root_dir_persist, "true (/etc/mesos-cni.json)");

  const noText = 'export MESOS_WORK_DIR="$(printf "\\377")"; exec "$1" config';
  const refused = await host.run(["sh", "-c", noText, "sh", MESOS_CNI]);
  assertEquals(refused.code, 1);
  assertEquals(
    refused.stderr,
    "error: mesos-cni config: MESOS_WORK_DIR is no UTF-8; correct or unset it\n",
  );

  await file('{"network_cni_confg_dir": "/x"}');
  const wrong = await host.run([MESOS_CNI, "config"]);
  assertEquals(wrong.code, 1);
  assertStringIncludes(wrong.stderr, '/etc/mesos-cni.json: "network_cni_confg_dir" is no setting');
  assertStringIncludes(wrong.stderr, 'did you mean "network_cni_config_dir"?');

  // It is the file that is to be mended, not the call, whichever command comes upon it.
  for (
    const [text, says] of [
      ["{", "Expected property name"],
      ['{"network_cni_metrics": "some"}', 'network_cni_metrics is "some", none of true, false'],
      [
        '{"default_container_dns": "8.8.8.8"}',
        "default_container_dns: 8.8.8.8 is neither JSON nor",
      ],
      ['{"default_container_dns": "/etc/none"}', "default_container_dns: "],
    ]
  ) {
    await file(text!);
    for (const command of ["status", "gc", "isolator recover", "network show x", "run -- true"]) {
      const { code, stderr } = await host.run([MESOS_CNI, ...command.split(" ")]);
      const head = `error: mesos-cni ${command.startsWith("gc") ? "isolator gc" : ""}`;
      assertEquals([code, stderr.includes(head)], [1, true], `${command}: ${stderr}`);
      assertStringIncludes(stderr, `/etc/mesos-cni.json: ${says}`);
    }
  }
  await file("[]");
  for (const command of ["list", "lint"]) {
    assertEquals((await host.run([MESOS_CNI, command])).code, 1, command);
  }
  await file('{"no_payload": "80,x"}');
  const payload = await host.run([MESOS_CNI, "diagnose", "--all"]);
  assertEquals(
    [payload.code, payload.stderr],
    [
      1,
      "error: mesos-cni netns diagnose: /etc/mesos-cni.json: no_payload: x is no port from 1 to 65535\n",
    ],
  );

  await host.ok(["rm", "/etc/mesos-cni.json"]);
  const environment = await host.run(["env", "MESOS_NO_PAYLOAD=x", MESOS_CNI, "diagnose", "--all"]);
  assertEquals(environment.code, 2, environment.stderr);
  assertStringIncludes(
    environment.stderr,
    "environment MESOS_NO_PAYLOAD: no_payload: x is no port",
  );
  await host.ok(["mkfifo", "/etc/mesos-cni.json"]);
  const fifo = await host.run([MESOS_CNI, "config"]);
  assertStringIncludes(fifo.stderr, "it is no regular file");
  const lint = await host.run([MESOS_CNI, "lint", "--config=/etc/mesos-cni.json", host.dir]);
  assertEquals(lint.code, 2);
  assertStringIncludes(lint.stderr, "it is no regular file");
});

Deno.test("config: while no agent runs, the unit that would start one is read", async () => {
  await using host = await Sandbox.create();
  await host.ok(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
  await host.ok(["cp", "-r", "/etc/.", "/mnt"]);
  await host.ok(["mount", "--bind", "/mnt", "/etc"]);
  await host.ok(["mkdir", "-p", "/etc/systemd/system/mesos-agent.service.d"]);
  const write = (path: string, text: string) => host.ok(["tee", path], { stdin: text });
  await write(
    "/etc/systemd/system/mesos-agent.service",
    `[Service]
Environment=RUN=/unit/run "MESOS_NETWORK_CNI_PLUGINS_DIR=/unit/plugins dir"
EnvironmentFile=-/etc/mesos-agent.env
EnvironmentFile=-/etc/not-there
# a comment
ExecStart=/usr/sbin/mesos-agent --runtime_dir=\${RUN} \\
# in the middle
  --work_dir='/unit/work' --no-network_cni_metrics
`,
  );
  await write("/etc/mesos-agent.env", "MESOS_NETWORK_CNI_CONFIG_DIR=/unit/configs\n");
  const unit = "/etc/systemd/system/mesos-agent.service";
  assertEquals(await settings(host), {
    network_cni_config_dir: `/unit/configs (${unit})`,
    network_cni_plugins_dir: `/unit/plugins dir (${unit})`,
    runtime_dir: `/unit/run (${unit})`,
    work_dir: `/unit/work (${unit})`,
    network_cni_root_dir_persist: "false (default)",
    no_payload: "null (default)",
    default_container_dns: "null (default)",
    network_cni_metrics: `false (${unit})`,
    firewall: "nf_tables (/usr/sbin/iptables)",
  });

  // A drop-in counts after the unit; an empty value takes back what was said before it.
  await write(
    "/etc/systemd/system/mesos-agent.service.d/50-own.conf",
    "[Service]\nEnvironmentFile=\nExecStart=\nExecStart=/usr/sbin/mesos-agent --work_dir=/own\n",
  );
  const changed = await settings(host);
  assertEquals(changed.work_dir, `/own (${unit})`);
  assertEquals(changed.network_cni_config_dir, "null (default)");
});
