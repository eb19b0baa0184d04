/** What the compiled program prints as JSON, held to the schemas in docs/schemas. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import Ajv from "ajv";
import { JSON_FLAG } from "../../lib/cli/command.ts";
import { allCommands } from "../../tools/docs/commands.ts";
import { readSchemas, type Schema, withFields } from "../../tools/docs/json.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

const DOCUMENT = fromFileUrl(new URL("../../docs/json.md", import.meta.url));
const EXAMPLES = new URL("../../examples/networks/", import.meta.url);

const schemas = readSchemas();
const seen = new Set<string>();

/** For consumers, new fields are no fault; here, each must be written down. */
function strict(schema: Schema): Schema {
  const inner = Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (key === "properties" || key === "definitions") {
        return [
          key,
          Object.fromEntries(
            Object.entries(value as Record<string, Schema>).map(([name, one]) => [
              name,
              strict(one),
            ]),
          ),
        ];
      }
      if (key === "items") return [key, strict(value as Schema)];
      if (key === "oneOf" || key === "anyOf") return [key, (value as Schema[]).map(strict)];
      return [key, value];
    }),
  );
  return schema.properties && schema.additionalProperties === undefined
    ? { ...inner, additionalProperties: false }
    : inner;
}

const ajv = new Ajv({ allErrors: true, schemaId: "auto" } as Ajv.Options);
for (const schema of schemas) ajv.addSchema(strict(schema));

function hold(name: string, output: string): unknown {
  const value = JSON.parse(output);
  assert(
    ajv.validate(`${name}.json`, value),
    `${name}: ${ajv.errorsText()}\n${output.slice(0, 4000)}`,
  );
  seen.add(name);
  return value;
}

/** An agent with containers, of which not all are well, and networks, of which not all are. */
class Place implements AsyncDisposable {
  #running: Deno.ChildProcess[] = [];

  private constructor(readonly host: Sandbox, private readonly env: Record<string, string>) {}

  static async open(): Promise<Place> {
    const host = await Sandbox.create();
    await host.outside();
    const config = `${host.dir}/net.d`;
    await host.ok(["mkdir", config]);
    for (const name of ["cni-test", "port-mapper-test"]) {
      Deno.copyFileSync(new URL(`${name}.conf`, EXAMPLES), `${config}/${name}.conf`);
    }
    Deno.writeTextFileSync(`${config}/broken.conf`, "{");
    Deno.writeTextFileSync(
      `${config}/new.conf`,
      JSON.stringify({
        cniVersion: "1.0.0",
        name: "new",
        type: "bridge",
        bridge: "new0",
        isGateway: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd09::/64" }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      }),
    );
    const place = new Place(host, {
      MESOS_NETWORK_CNI_CONFIG_DIR: config,
      MESOS_NETWORK_CNI_PLUGINS_DIR: CNI_PLUGINS,
    });
    await place.start("web-1", "--networks=port-mapper-test", "--port_mappings=8080:80");
    await place.start("web-2", "--networks=cni-test,new", "--hostname=two");
    return place;
  }

  async start(id: string, ...flags: string[]): Promise<void> {
    const child = this.host.spawn(
      [MESOS_CNI, "run", `--name=${id}`, ...flags, "--", "sh", "-c", "echo up; cat"],
      { env: this.env },
    );
    const reader = child.stdout.getReader();
    assertEquals(new TextDecoder().decode((await reader.read()).value), "up\n");
    reader.releaseLock();
    this.#running.push(child);
  }

  /** Whatever the exit code, it has printed what the schema says. */
  async holds(name: string, args: string, stdin?: string): Promise<unknown> {
    const { stdout, stderr } = await this.host.run([MESOS_CNI, ...args.split(" ")], {
      env: this.env,
      stdin,
    });
    assert(stdout !== "", `${args}: ${stderr}`);
    return hold(name, stdout);
  }

  run(args: string) {
    return this.host.run([MESOS_CNI, ...args.split(" ")], { env: this.env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      await child.stdin.close().catch(() => {});
      await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.status]);
    }
    await this.host[Symbol.asyncDispose]();
  }
}

Deno.test("every JSON output is as its schema says", async () => {
  await using place = await Place.open();
  await place.holds("version", "version --json");
  await place.holds("config", "config --json");
  const listed = await place.holds("list", "list --json") as { id: string; pid: number }[];
  assertEquals(listed.map(({ id }) => id), ["web-1", "web-2"]);
  await place.holds("inspect", "inspect web-1 --json");
  await place.holds("inspect", "inspect web-2 --json");
  await place.holds("inspect", `inspect --pid=${place.host.pid} --json`);
  await place.holds("identify", `identify ${listed[0]!.pid} --json`);
  await place.holds("identify", `identify ${place.host.pid} --json`);
  await place.holds("networks", "networks --json");
  await place.holds("networks", "network list --json");
  for (const name of ["port-mapper-test", "new"]) {
    await place.holds("network-show", `network show ${name} --json`);
  }
  await place.holds("status", "status --json");
  await place.holds("status", "status --format=json");
  await place.holds("history", "history --json");
  const status = `${place.host.dir}/status.json`;
  await Deno.writeTextFile(status, (await place.run("status --json")).stdout);
  await place.holds("fleet", `fleet ${status} /nowhere --json`);
  await place.holds("topology", "topology --json");
  await place.holds("gc", "gc --json");
  await place.holds("check", "check web-1");
  await place.holds("check", "check web-2");
  await place.holds("isolator-status", "isolator status");
  await place.holds("isolator-status", "isolator status web-2");
  await place.holds("isolator-usage", "isolator usage web-1");
  await place.holds("lint", "lint --json --statistics");
  await place.holds("lint", "lint --json --fix");
  await place.holds("install", "install --dry-run --json");
  const task = JSON.stringify({
    container_info: { type: "MESOS", network_infos: [{ name: "new" }] },
  });
  await place.holds("isolator-prepare", "isolator prepare web-3", task);
});

Deno.test("diagnoses are as their schema says, also of what is wrong", async () => {
  await using place = await Place.open();
  await place.holds("diagnose", "diagnose web-1 --json");
  await place.holds("diagnose-from", "diagnose --from=web-2 --to=web-1:80 --json");
  await place.host.ok(["iptables", "-t", "nat", "-F"]);
  await place.host.ok(["ip", "link", "set", "mesos-cni0", "down"]);
  const ill = await place.holds("diagnose", "diagnose web-1 --json") as {
    findings: { code: string; fix?: unknown }[];
  };
  assert(ill.findings.some(({ code, fix }) => code === "bridge_down" && fix !== undefined));
  await place.holds("diagnose-all", "diagnose --all --json");
  await place.holds("diagnose-from", "diagnose --from=web-2 --to=203.0.113.2:53/udp --json");
  await place.holds("check", "check web-1");
  await place.holds("list", "list --json");
  await place.holds("status", "status --json");
  await place.holds("topology", "topology --json");
});

Deno.test("what was left is found and removed as the schemas say, and logged", async () => {
  await using place = await Place.open();
  const [{ pid }] = JSON.parse((await place.run("list --json")).stdout);
  await place.host.ok(["kill", "-9", String(pid)]);
  for (const flags of ["", " --apply"]) await place.holds("gc", `gc --json${flags}`);
  await place.holds("isolator-recover", "isolator recover", "");
  for (const flags of [" --dry-run", ""]) {
    await place.holds("network-rm", `network rm port-mapper-test --json${flags}`);
  }
  const failed = await place.run("inspect nobody --log-format=json");
  for (const line of failed.stderr.trim().split("\n")) hold("log", line);
  const told = await place.run("isolator recover --log-format=json --log-level=debug");
  for (const line of told.stderr.trim().split("\n")) hold("log", line);
});

Deno.test("what is installed and removed again is as the schemas say", async () => {
  await using host = await Sandbox.create();
  await host.ok([
    "sh",
    "-c",
    "mount -t tmpfs tmpfs /etc && mkdir /etc/c /run/b /run/p /run/u /run/s",
  ]);
  const places =
    "--bin_dir=/run/b --unit_dir=/run/u --share_dir=/run/s --network_cni_config_dir=/etc/c";
  const run = (args: string) => host.ok([MESOS_CNI, ...args.split(" ")]);
  for (const flags of [" --dry-run", ""]) {
    hold("install", await run(`install --json --network_cni_plugins_dir=/run/p ${places}${flags}`));
  }
  for (const flags of [" --dry-run", ""]) hold("uninstall", await run(`uninstall --json${flags}`));
});

Deno.test("every schema was met, and every command with --json has one", async () => {
  const commands = (await allCommands()).filter(({ flags }) => flags.includes(JSON_FLAG));
  const titles = schemas.map(({ title }) => title!);
  const without = commands.filter(({ name }) => {
    const short = name.replace(/^(?:netns|isolator) /, "").replace("network list", "networks");
    return !titles.some((title) => title.startsWith(`mesos-cni ${short}`));
  });
  assertEquals(without.map(({ name }) => name), []);
  const unmet = schemas.map(({ $id }) => $id!.replace(".json", ""))
    .filter((name) => !seen.has(name) && name !== "common");
  assertEquals(unmet, []);
});

Deno.test("the document has the fields as the schemas have them", async () => {
  const document = await Deno.readTextFile(DOCUMENT);
  assertEquals(document, withFields(document), "run ./dev docs");
});
