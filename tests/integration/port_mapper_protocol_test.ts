import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { address4, bridge, DUAL_STACK, network, PortMapperAgent } from "../harness/port_mapper.ts";

const CHAIN = "MESOS-TEST-PORT-MAPPER";

Deno.test("the documents' network: rules in the known shape, a 0.1.0 result, and none left", async () => {
  await using agent = await PortMapperAgent.create();
  const result = await agent.add("c1", network([8080, { host_port: 8081, container_port: 443 }]));
  assertEquals(result.cniVersion, "0.1.0");
  assertEquals(address4(result), "192.168.0.2");
  const rule = (port: number, to: number) =>
    `-A ${CHAIN} ! -i mesos-cni0 -p tcp -m tcp --dport ${port} -m comment ` +
    `--comment "container_id: c1" -j DNAT --to-destination 192.168.0.2:${to}`;
  assertEquals(await agent.rules(CHAIN), [
    `-A PREROUTING -m addrtype --dst-type LOCAL -j ${CHAIN}`,
    `-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j ${CHAIN}`,
    rule(8080, 80),
    rule(8081, 443),
  ]);
  assertEquals(await agent.rules("", "ip6tables-save"), []);
  await agent.ok("DEL", "c1", network());
  assertEquals(await agent.leftovers(), []);
});

for (const version of ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]) {
  Deno.test(`the result is in version ${version} when the config asks for it`, async () => {
    await using agent = await PortMapperAgent.create();
    // The Debian plugins know versions up to 1.0.0, so a newer one is converted.
    const delegate = version === "1.1.0" ? bridge({ cniVersion: "1.0.0" }) : bridge();
    const config = network([8080], { cniVersion: version, delegate });
    const result = await agent.add("c1", config);
    assertEquals(result.cniVersion, version);
    const old = version === "0.1.0" || version === "0.2.0";
    // Mesos reads nothing else, in whatever version it is answered.
    assertEquals((result.ip4 as { ip: string }).ip, "192.168.0.2/16");
    assertEquals("ips" in result, !old);
    if (!old) {
      const [ip] = result.ips as { address: string; version?: string }[];
      assertEquals(ip!.address, "192.168.0.2/16");
      assertEquals(ip!.version, version.startsWith("0.") ? "4" : undefined);
    }
    assertEquals((await agent.rules("container_id: c1")).length, 1);
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
  });
}

Deno.test("in a list: addresses of prevResult, mappings of runtimeConfig, hostIP and both protocols", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const prevResult = {
    cniVersion: "1.0.0",
    interfaces: [{ name: "eth0", sandbox: agent.netns("c1") }],
    ips: [{ address: "10.1.2.3/24", interface: 0 }, { address: "fd00::3/64", interface: 0 }],
    unknown: { kept: true },
  };
  const config = {
    cniVersion: "1.0.0",
    name: "list",
    type: "mesos-cni-port-mapper",
    chain: "LIST",
    runtimeConfig: {
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp" },
        { hostPort: 53, containerPort: 5353, protocol: "UDP", hostIP: "203.0.113.1" },
        { hostPort: 53, containerPort: 5353, protocol: "udp", hostIP: "2001:db8::0:1" },
        { hostPort: 99, containerPort: 9, protocol: "sctp", hostIP: "0.0.0.0" },
      ],
    },
    prevResult,
  };
  assertEquals(await agent.ok("ADD", "c1", config), prevResult);
  const comment = '-m comment --comment "container_id: c1" -j DNAT --to-destination';
  assertEquals(await agent.rules("container_id"), [
    `-A LIST -p tcp -m tcp --dport 8080 ${comment} 10.1.2.3:80`,
    `-A LIST -d 203.0.113.1/32 -p udp -m udp --dport 53 ${comment} 10.1.2.3:5353`,
    `-A LIST -p sctp -m sctp --dport 99 ${comment} 10.1.2.3:9`,
  ]);
  assertEquals(await agent.rules("container_id", "ip6tables-save"), [
    `-A LIST -p tcp -m tcp --dport 8080 ${comment} [fd00::3]:80`,
    `-A LIST -d 2001:db8::1/128 -p udp -m udp --dport 53 ${comment} [fd00::3]:5353`,
  ]);
  await agent.ok("CHECK", "c1", config);
  await agent.ok("DEL", "c1", config);
  assertEquals(await agent.leftovers(), []);
});

Deno.test("without mappings the delegate runs, and there is no chain", async () => {
  for (const args of [undefined, { "org.apache.mesos": { network_info: {} } }]) {
    await using agent = await PortMapperAgent.create();
    const config = network([], { args });
    const result = await agent.add("c1", config);
    assertEquals(address4(result), "192.168.0.2");
    assertEquals(await agent.rules(CHAIN), []);
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
  }
});

Deno.test("args without org.apache.mesos are an error, of the codes that the original has", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const { code, msg } = await agent.fails("ADD", "c1", network([], { args: { other: 1 } }));
  assertEquals(code, 101);
  assertStringIncludes(msg, 'args."org.apache.mesos" is missing');
});

Deno.test("the delegate gets name, args and version of the outer config, and keeps its own version", async () => {
  await using agent = await PortMapperAgent.create();
  const seen = `${agent.sandbox.dir}/seen`;
  await Deno.writeTextFile(
    `${agent.pluginDir}/probe`,
    `#!/bin/sh\ncat > ${seen}; env > ${seen}.env; echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.9/24"}]}'\n`,
    { mode: 0o755 },
  );
  const config = network([8080], { cniVersion: "0.4.0", delegate: { type: "probe", own: 1 } });
  const result = await agent.add("c1", config, { env: { CNI_ARGS: "A=1;B=2", SECRET: "no" } });
  assertEquals((result.ips as { address: string }[])[0]!.address, "10.0.0.9/24");
  assertEquals(JSON.parse(await Deno.readTextFile(seen)), {
    type: "probe",
    own: 1,
    name: "pm",
    cniVersion: "0.4.0",
    args: config.args,
  });
  const env = await Deno.readTextFile(`${seen}.env`);
  for (const line of ["CNI_COMMAND=ADD", "CNI_ARGS=A=1;B=2", `PATH=${agent.path}`]) {
    assertStringIncludes(env, `${line}\n`);
  }
  assert(!env.includes("SECRET"));
});

Deno.test("VERSION lists all versions, with or without a config", async () => {
  await using agent = await PortMapperAgent.create();
  for (const stdin of ["", '{"cniVersion":"0.4.0"}']) {
    const { supportedVersions } = await agent.ok("VERSION", "", {}, { stdin, netns: null });
    assertEquals(supportedVersions, [
      "0.1.0",
      "0.2.0",
      "0.3.0",
      "0.3.1",
      "0.4.0",
      "1.0.0",
      "1.1.0",
    ]);
  }
});

Deno.test("STATUS: fine, or code 50 with what is missing", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.ok(
    "STATUS",
    "",
    network([], { cniVersion: "1.1.0", delegate: bridge({ cniVersion: "1.0.0" }) }),
  );
  // An agent without iptables: nothing in the system's directories either.
  const empty = `${agent.sandbox.dir}/empty`;
  await Deno.mkdir(empty);
  for (const directory of ["/usr/sbin", "/usr/local/sbin"]) {
    await agent.sandbox.ok(["mount", "--bind", empty, directory]);
  }
  const missing = network([], {
    cniVersion: "1.1.0",
    delegate: undefined,
    backend: "iptables",
  });
  const { code, msg } = await agent.fails("STATUS", "", missing);
  assertEquals(code, 50);
  assertStringIncludes(msg, "iptables is not installed");
  // The other backend needs the kernel alone, and is the one of a network that names none.
  await agent.ok("STATUS", "", { ...missing, backend: "nftables" });
  await agent.ok("STATUS", "", { ...missing, backend: undefined });
});

Deno.test("GC removes what belongs to no valid attachment, and no other network's", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8081]));
  await agent.add("c2", network([8082]));
  await agent.add("c3", network([8083], { name: "other", chain: "OTHER" }));
  await agent.ok("GC", "", {
    ...network([], { cniVersion: "1.1.0", delegate: bridge({ cniVersion: "1.0.0" }) }),
    "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }],
  }, { netns: null });
  assertEquals(await agent.rules("container_id: c1"), []);
  assertEquals((await agent.rules("container_id: c2")).length, 1);
  assertEquals((await agent.rules("container_id: c3")).length, 1);
  // c1's port is free.
  await agent.add("c4", network([8081]));
});

Deno.test("dual stack: both families, rules in both tables, and none left", async () => {
  await using agent = await PortMapperAgent.create();
  const config = network([8080], { cniVersion: "1.0.0", delegate: DUAL_STACK });
  const result = await agent.add("c1", config);
  assertEquals((await agent.rules("DNAT --to-destination 192.168.0.2:80")).length, 1);
  assertEquals(
    (await agent.rules("DNAT --to-destination [fd00:1::2]:80", "ip6tables-save")).length,
    1,
  );
  await agent.ok("CHECK", "c1", { ...config, prevResult: result });
  await agent.ok("DEL", "c1", config);
  assertEquals(await agent.leftovers(), []);
});

Deno.test("input that is no config, and commands that are none, are errors of the contract's codes", async () => {
  await using agent = await PortMapperAgent.create();
  for (const stdin of ["", "{", "[]", "null", new Uint8Array([0xff, 0xfe])]) {
    assertEquals((await agent.fails("ADD", "c1", {}, { stdin })).code, 100);
  }
  assertEquals((await agent.fails("FROB", "c1", network())).code, 104);
  // An empty one is none, for Go's plugins too: they say what they are.
  assertEquals((await agent.call("", "c1", network())).code, 0);
  assertEquals((await agent.fails("ADD", "", network())).code, 4);
  assertEquals((await agent.fails("ADD", "c1", network(), { ifName: "a/b" })).code, 4);
  assertEquals((await agent.fails("ADD", "c1", network(), { netns: null })).code, 4);
  assertEquals((await agent.fails("ADD", "c1", network([], { cniVersion: "9.0.0" }))).code, 1);
  assertEquals((await agent.fails("ADD", "c1", network([], { delegate: undefined }))).code, 7);
  assertEquals((await agent.fails("ADD", "c1", network([], { chain: undefined }))).code, 7);
  const missing = await agent.fails("ADD", "c1", network([], { delegate: { type: "nowhere" } }));
  assertEquals(missing.code, 102);
  assertStringIncludes(missing.msg, agent.pluginDir);
  assertEquals(await agent.leftovers(), []);
});

Deno.test("a variable that is no UTF-8 is an error with a code, and without a stack", async () => {
  await using agent = await PortMapperAgent.create();
  for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_COMMAND"]) {
    // Only a shell can make such a variable here: Deno would not pass it on.
    const script = `export ${name}="$(printf 'a\\377')"; exec ${agent.plugin}`;
    const { code, stdout } = await agent.sandbox.run(["sh", "-c", script], {
      clearEnv: true,
      env: agent.environment("DEL", "c1"),
      stdin: JSON.stringify(network()),
    });
    const { code: cniCode, msg, details } = JSON.parse(stdout);
    assertEquals([code, cniCode, msg, details], [
      1,
      4,
      `${name} is no UTF-8; correct or unset it`,
      undefined,
    ]);
  }
});

Deno.test("what a caller names stands in an answer without any control character, C1's among them", async () => {
  await using agent = await PortMapperAgent.create();
  const { code, stdout } = await agent.call("ADD", "a\u009b31m\u202e", network(), {
    netns: "/none",
  });
  assertEquals(code, 1);
  assertMatch(stdout, /^[\t\n -~]*$/);
  assertStringIncludes(JSON.parse(stdout).msg, "a\u009b31m\u202e");
});
