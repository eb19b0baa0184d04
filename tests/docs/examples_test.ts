import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { NETWORK_FLAGS, settingsFrom } from "../../lib/cli/agent_flags.ts";
import { parseCall } from "../../lib/cli/parse.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { REGISTRY } from "../../plugins/registry.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

const EXAMPLES = fromFileUrl(new URL("../../examples/", import.meta.url));
const NETWORKS = join(EXAMPLES, "networks");

async function readJson(name: string) {
  return JSON.parse(await Deno.readTextFile(join(EXAMPLES, "frameworks", name)));
}

/** What the tasks of all examples ask for. */
const ASKED = {
  name: "port-mapper-test",
  labels: { labels: [{ key: "app", value: "web" }, { key: "env", value: "prod" }] },
  port_mappings: [{ host_port: 8080, container_port: 80, protocol: "tcp" }],
};

/** Where the task is in each of them. */
const TASKS: readonly { name: string; path: readonly (string | number)[] }[] = [
  { name: "mesos-execute-task.json", path: [] },
  {
    name: "scheduler-accept.json",
    path: ["accept", "operations", 0, "launch", "task_infos", 0],
  },
];

for (const { name, path } of TASKS) {
  Deno.test(`the isolator takes the container of ${name}`, async () => {
    const message = await readJson(name);
    const { container } = path.reduce((value, key) => value[key], message);
    assertEquals(container.network_infos, [ASKED]);
    await using agent = await Sandbox.create();
    const launchInfo = await agent.ok([
      MESOS_CNI,
      "isolator",
      "prepare",
      "web-1",
      `--network_cni_config_dir=${NETWORKS}`,
      `--network_cni_plugins_dir=${CNI_PLUGINS}`,
    ], { stdin: JSON.stringify({ container_info: container }) });
    assertStringIncludes(launchInfo, "clone_namespaces");
  });
}

Deno.test("Marathon's example asks for the same as the others", async () => {
  const { networks, container } = await readJson("marathon-app.json");
  assertEquals(container.type, "MESOS");
  const [network] = networks;
  const [mapping] = container.portMappings;
  assertEquals({
    name: network.name,
    labels: {
      labels: Object.entries(network.labels).map(([key, value]) => ({ key, value })),
    },
    port_mappings: [{
      host_port: mapping.hostPort,
      container_port: mapping.containerPort,
      protocol: mapping.protocol,
    }],
  }, ASKED);
});

// What the flags don't say is looked for on the machine, which takes the C library.
const LOADS = { sanitizeResources: false };

Deno.test("the isolator takes the agent's flags about networks", LOADS, async () => {
  const text = await Deno.readTextFile(join(EXAMPLES, "agent/agent-flags.env"));
  const flags = [...text.matchAll(/^MESOS_([A-Z_]+)=(.*)$/gm)]
    .map(([, name, value]) => [name!.toLowerCase(), value!] as const)
    .filter(([name]) => NETWORK_FLAGS.some((flag) => flag.name === name));
  assert(flags.length >= 5);
  const command = {
    name: "",
    flags: NETWORK_FLAGS,
    examples: [["", ""]] as [[string, string]],
    run: () => Promise.resolve(0),
  };
  const settings = settingsFrom(
    parseCall(command, flags.map(([name, value]) => `--${name}=${value}`), {
      commands: TABLE,
      plugins: REGISTRY,
      found: () => undefined,
    }),
  );
  assertEquals(settings.cni, { configDir: "/etc/mesos/cni", pluginsDir: "/usr/lib/cni" });
});

Deno.test("the agent's unit is one that systemd accepts", async () => {
  await using agent = await Sandbox.create();
  const unit = join(EXAMPLES, "agent/agent-flags.service");
  const verify = await agent.run(["systemd-analyze", "verify", "--man=no", unit]);
  const complaints = (verify.stderr + verify.stdout).split("\n")
    // It also complains of units of the machine, and there is no Mesos here.
    .filter((line) => line.includes("agent-flags") && !line.includes("/usr/sbin/mesos-agent"));
  assertEquals(complaints, []);
});
