/** Network configs that change while containers come and go, without anything being restarted. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Agent, bridgeNetwork, type Config } from "../harness/agent.ts";

const FILE = "net.conf";

/** A network that notes which edition of its config each call came with. */
function edition(agent: Agent, number: number, name = "net"): Config {
  agent.plugin(
    "noting",
    `edition=$(sed 's/.*"edition":\\([0-9]*\\).*/\\1/')
     echo "$CNI_COMMAND $CNI_CONTAINERID $edition" >>${agent.sandbox.dir}/calls
     [ $CNI_COMMAND != ADD ] || echo '{"dns": {}}'`,
  );
  return { name, type: "noting", edition: number };
}

function calls(agent: Agent): string[] {
  return Deno.readTextFileSync(`${agent.sandbox.dir}/calls`).trim().split("\n");
}

Deno.test("configs: added, edited, renamed, deleted, damaged and restored under way", async () => {
  await using agent = await Agent.create();
  const fails = async (id: string, network: string, words: string) => {
    const { code, stderr } = await agent.run([`--networks=${network}`, `--name=${id}`], ["true"]);
    assertEquals(code, 1, stderr);
    assertStringIncludes(stderr, words);
  };
  await fails("early", "net", '"net" is not defined');
  agent.define(edition(agent, 1), FILE);
  const first = await agent.attach("first", ["net"]);
  agent.define(edition(agent, 2), FILE);
  const second = await agent.attach("second", ["net"]);
  await Deno.rename(`${agent.configDir}/${FILE}`, `${agent.configDir}/other-name.conf`);
  const third = await agent.attach("third", ["net"]);
  agent.define(edition(agent, 3, "renamed"), "other-name.conf");
  await fails("nobody", "net", '"net" is not defined');
  const fourth = await agent.attach("fourth", ["renamed"]);
  agent.write(`${agent.configDir}/other-name.conf`, '{"name": "renamed"');
  await fails("nobody", "renamed", "other-name.conf: not JSON");
  agent.define(edition(agent, 4, "renamed"), "other-name.conf");
  const fifth = await agent.attach("fifth", ["renamed"]);
  await Deno.remove(`${agent.configDir}/other-name.conf`);
  await fails("nobody", "renamed", '"renamed" is not defined');

  for (const [i, process] of [first, second, third, fourth, fifth].entries()) {
    await process.end();
    await agent.json("cleanup", [["first", "second", "third", "fourth", "fifth"][i]!]);
  }
  assertEquals(calls(agent), [
    "ADD first 1",
    "ADD second 2",
    "ADD third 2",
    "ADD fourth 3",
    "ADD fifth 4",
    "DEL first 1",
    "DEL second 2",
    "DEL third 2",
    "DEL fourth 3",
    "DEL fifth 4",
  ]);
  assertEquals(await agent.list(agent.checkpoint("")), []);
});

Deno.test("configs: prepare's network is gone at isolate", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.ok(["--networks=cni-test"], ["true"]);
  const before = await agent.traces();
  await agent.json("prepare", ["c1"], {
    container_info: { type: "MESOS", network_infos: [{ name: "cni-test" }] },
  });
  const process = await agent.process();
  await Deno.remove(`${agent.configDir}/cni-test.conf`);
  const { code, stderr } = await agent.isolator("isolate", ["c1", `${process.pid}`]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, '"cni-test" is not defined');
  await process.end();
  await agent.json("cleanup", ["c1"]);
  assertEquals(await agent.traces(before), before);
});

Deno.test("configs: the catalog, and why a file is not in it", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  agent.define(bridgeNetwork("also"), "zz-also.conflist");
  agent.define(bridgeNetwork(), "zz-second.conf");
  agent.define({ name: "plugin-less", type: "no-such-plugin" });
  agent.write(`${agent.configDir}/broken.json`, "{");
  agent.write(`${agent.configDir}/empty.conf`, "");
  await Deno.mkdir(`${agent.configDir}/directory`);
  await Deno.symlink("/nowhere", `${agent.configDir}/dangling.conf`);
  const { networks, skipped } = JSON.parse(
    (await agent.sandbox.run([...agent.isolatorArgv("networks"), "--json"])).stdout,
  );
  const found = networks.map(({ name, file }: { name: string; file: string }) => ({ name, file }));
  assertEquals(found, [
    { name: "also", file: `${agent.configDir}/zz-also.conflist` },
    { name: "cni-test", file: `${agent.configDir}/cni-test.conf` },
  ]);
  assertEquals(
    skipped.map(({ file }: { file: string }) => file.slice(agent.configDir.length + 1)),
    ["broken.json", "empty.conf", "plugin-less.conf", "zz-second.conf"],
  );
  const { code, stdout: text, stderr } = await agent.sandbox.run(agent.isolatorArgv("networks"));
  assertEquals([code, stderr], [1, ""]); // each reason is said, and said once
  assertMatch(text, /^also +bridge .*zz-also\.conflist$/m);
  assertMatch(text, /^skipped .*zz-second\.conf: network "cni-test" is already defined by/m);
  // Who asks for one of them hears of that file, and once; who asks for another, of all.
  const asked = await agent.run(["--networks=plugin-less"], ["true"]);
  assertMatch(
    asked.stderr,
    /^error: [^\n]*; skipped there: [^\n]*\/plugin-less\.conf: [^\n]*"no-such-plugin" is not in[^\n]*\n$/,
  );
  const other = await agent.run(["--networks=cni-test"], ["true"]);
  assertEquals([other.code, other.stderr.match(/ skipped /g)?.length], [0, 4]);
});

Deno.test("configs: containers come and go while the config is written over and over", async () => {
  await using agent = await Agent.create();
  let written = 0;
  let going = true;
  const write = async () => {
    while (going) {
      agent.define(edition(agent, ++written), FILE);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  agent.define(edition(agent, 0), FILE);
  const writing = write();
  try {
    await Promise.all(Array.from({ length: 4 }, async (_, worker) => {
      for (let i = 0; i < 3; i++) {
        await agent.ok(["--networks=net", `--name=c${worker}-${i}`], ["true"]);
      }
    }));
  } finally {
    going = false;
    await writing;
  }
  const editions = new Map<string, string[]>();
  for (const [, id, number] of calls(agent).map((line) => line.split(" "))) {
    editions.set(id!, [...editions.get(id!) ?? [], number!]);
  }
  assertEquals(editions.size, 12);
  for (const [id, [add, del, ...more]] of editions) assertEquals([del, more], [add, []], id);
  assertEquals(new Set([...editions.values()].flat()).size > 1, true);
});

Deno.test("configs: a chain gets prevResult and runtimeConfig, and DEL runs backwards", async () => {
  await using agent = await Agent.create();
  const log = `${agent.sandbox.dir}/chain`;
  for (const name of ["one", "two"]) {
    agent.plugin(
      name,
      `input=$(cat); [ $CNI_COMMAND != VERSION ] || exit 0
       echo "$CNI_COMMAND ${name} $input" >>${log}
       [ $CNI_COMMAND != ADD ] ||
       echo '{"cniVersion": "1.0.0", "ips": [{"address": "198.51.100.${
        name === "one" ? 1 : 2
      }/24"}]}'`,
    );
  }
  agent.define({
    cniVersion: "1.0.0",
    name: "chain",
    plugins: [{ type: "one" }, { type: "two", capabilities: { portMappings: true } }],
  }, "chain.conflist");
  await agent.json("prepare", ["c1"], {
    container_info: {
      network_infos: [{
        name: "chain",
        port_mappings: [{ host_port: 8080, container_port: 80, protocol: "TCP" }],
      }],
    },
  });
  const process = await agent.process();
  const status = await agent.json("isolate", ["c1", `${process.pid}`]);
  assertEquals(status.network_infos[0].ip_addresses[0].ip_address, "198.51.100.2");
  // The plugins say so; that they made no interface, and map no ports, is seen.
  const check = await agent.isolator("check", ["c1"]);
  const [{ outcome, causes }] = JSON.parse(check.stdout);
  assertEquals([check.code, outcome], [1, "intact"]);
  assertEquals(causes.map(({ code }: { code: string }) => code), [
    "interface_gone",
    "no_port_mapper",
  ]);
  await process.end();
  await agent.json("cleanup", ["c1"]);
  const lines = Deno.readTextFileSync(log).trim().split("\n").map((line) => {
    const [command, plugin] = line.split(" ");
    const config = JSON.parse(line.slice(`${command} ${plugin} `.length));
    return [
      command,
      plugin,
      config.prevResult?.ips[0].address,
      config.runtimeConfig?.portMappings,
      config.args["org.apache.mesos"].network_info.port_mappings.length,
    ];
  });
  const mappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  assertEquals(lines, [
    ["ADD", "one", undefined, undefined, 1],
    ["ADD", "two", "198.51.100.1/24", mappings, 1],
    ["CHECK", "one", "198.51.100.2/24", undefined, 1],
    ["CHECK", "two", "198.51.100.2/24", mappings, 1],
    ["DEL", "two", "198.51.100.2/24", mappings, 1],
    ["DEL", "one", "198.51.100.2/24", undefined, 1],
  ]);
});
