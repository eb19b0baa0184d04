/**
 * The thirteen defects of the original plugin, each by its number in the contract. What the
 * original does is told in the name's second half.
 */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { partOf } from "../harness/part.ts";
import { bridge, DUAL_STACK, network, PortMapperAgent } from "../harness/port_mapper.ts";

const CHAIN = "MESOS-TEST-PORT-MAPPER";

Deno.test("1: every excluded device is excluded, not only the last", async () => {
  await using agent = await PortMapperAgent.create();
  const outside = await agent.sandbox.outside();
  await agent.add("c1", network([8080], { excludeDevices: ["wan0", "mesos-cni0", "none9"] }));
  await agent.serve("c1");
  await agent.assertSilent("203.0.113.1", 8080, { from: outside });
  // The agent itself comes by no device.
  assertMatch(await agent.ask("203.0.113.1", 8080), /^c1 /);
});

Deno.test("2: DEL of an id leaves those that it is a prefix or a pattern of", async () => {
  await using agent = await PortMapperAgent.create();
  const ids = ["ab", "abc", "ab.x", "abzx", "zab"];
  for (const [i, id] of ids.entries()) await agent.add(id, network([8080 + i]));
  // Also when only the comment is left to go by.
  for (const [gone, lost] of [["ab", false], ["ab.x", true]] as const) {
    if (lost) await agent.sandbox.ok(["rm", "-rf", "/run/mesos-cni"]);
    await agent.ok("DEL", gone, network());
    ids.splice(ids.indexOf(gone), 1);
    const left = (await agent.rules("container_id")).map((rule) =>
      /container_id: (\S+)"/.exec(rule)![1]
    );
    assertEquals(left, ids);
  }
});

Deno.test("3: what a framework or an operator writes is never executed by a shell", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const canary = `${agent.sandbox.dir}/canary`;
  const shell = `$(touch ${canary})`;
  const configs = [
    network([8080], { chain: shell }),
    network([8080], { excludeDevices: [shell] }),
    network([{ host_port: 8080, container_port: 80, protocol: shell }]),
    network([{ host_port: shell, container_port: 80 }]),
    network([8080], { name: shell }),
    network([8080], { delegate: { type: shell } }),
  ];
  for (const config of configs) await agent.fails("ADD", "c1", config);
  await agent.fails("ADD", shell, network(), { netns: agent.netns("c1") });
  assertEquals((await agent.sandbox.run(["test", "-e", canary])).code, 1);
  assertEquals(await agent.leftovers(), []);
});

Deno.test("4: IPv6 is mapped too, and results of all versions are read", async () => {
  await using agent = await PortMapperAgent.create();
  const outside = await agent.sandbox.outside();
  await agent.add("c1", network([8080], { cniVersion: "1.0.0", delegate: DUAL_STACK }));
  await outside.ok(["ip", "-6", "route", "add", "fd00:1::/64", "via", "2001:db8:113::1"]);
  await agent.serve("c1");
  // A new IPv6 address is silent until the kernel knows that nobody else has it.
  const answer = await agent.ask("2001:db8:113::1", 8080, { from: outside });
  assertEquals(answer, `c1 ${outside.address6}`);
});

Deno.test("5: the first containers of a chain may come all at once", async () => {
  await using agent = await PortMapperAgent.create();
  const ids = Array.from({ length: 8 }, (_, i) => `c${i}`);
  for (const id of ids) await agent.container(id);
  await Promise.all(ids.map((id, i) => agent.ok("ADD", id, network([8000 + i]))));
  assertEquals((await agent.rules(`-j ${CHAIN}`)).length, 2);
  assertEquals((await agent.rules("container_id")).length, 8);
});

Deno.test("6: rules that can't be made: the delegate's work is undone", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  // A chain that POSTROUTING leads to may not hold a DNAT: the kernel refuses it to everyone.
  await agent.sandbox.ok(["iptables", "-t", "nat", "-N", CHAIN]);
  await agent.sandbox.ok(["iptables", "-t", "nat", "-A", "POSTROUTING", "-j", CHAIN]);
  const { code, msg } = await agent.fails("ADD", "c1", network());
  assertEquals(code, 103);
  assertStringIncludes(msg, "could not be changed");
  assertEquals((await agent.sandbox.ok(["ip", "-n", "c1", "-o", "link"])).includes("eth0"), false);
  assertEquals(await agent.leftovers(), []);
});

Deno.test("7: a host port belongs to one container, and the second is told whose it is", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8080]));
  await agent.container("c2");
  const { code, msg } = await agent.fails("ADD", "c2", network([8081, 8080]));
  assertEquals(code, 103);
  assertStringIncludes(msg, "host port 8080/tcp is taken by container c1");
  // Nothing of the second is there: no address, and the port that was free still is.
  assertEquals((await agent.rules("container_id: c2")).length, 0);
  await agent.ok("ADD", "c2", network([8081]));
});

Deno.test("8: a chain that lost its jumps, or one of them, gets them back", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8080]));
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F", "PREROUTING"]);
  await agent.add("c2", network([8081]));
  assertEquals((await agent.rules(`-A PREROUTING`)).length, 1);
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F", "OUTPUT"]);
  await agent.add("c3", network([8082]));
  assertEquals((await agent.rules(`-A OUTPUT`)).length, 1);
  assertEquals((await agent.rules(`-j ${CHAIN}`)).length, 2);
});

Deno.test("9: ports and protocols that are none are refused before anything is done", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  for (const port of [0, -1, 65536, 70000, 1.5, "80", null, true]) {
    for (const key of ["host_port", "container_port"]) {
      const mapping = { host_port: 8080, container_port: 80, [key]: port };
      const { code, msg } = await agent.fails("ADD", "c1", network([mapping]));
      assertEquals(code, 101);
      assertStringIncludes(msg, `port_mappings[0].${key}`);
    }
  }
  for (const protocol of ["icmp", "tcp;", "-j", 6, "TCP\n"]) {
    const mapping = { host_port: 8080, container_port: 80, protocol };
    assertEquals((await agent.fails("ADD", "c1", network([mapping]))).code, 101);
  }
  assertEquals(await agent.leftovers(), []);
});

for (const backend of partOf(["iptables", "nftables"], 2)) {
  Deno.test(`10: a UDP flow leaves the dead container for the new one (${backend})`, async () => {
    await using agent = await PortMapperAgent.create();
    const outside = await agent.sandbox.outside();
    const config = network([{ host_port: 5300, container_port: 53, protocol: "udp" }], { backend });
    const flow = { from: outside, protocol: "udp", fromPort: 40000 } as const;
    // A flow from before there was any mapping.
    await agent.assertSilent("203.0.113.1", 5300, flow);
    for (const id of ["old", "new"]) {
      await agent.add(id, config);
      const server = await agent.serve(id, 53);
      assertEquals(await agent.ask("203.0.113.1", 5300, flow), `${id} ${outside.address}`);
      await agent.stop(server);
      await agent.ok("DEL", id, config);
    }
  });
}

Deno.test("11: DEL says so when it cannot remove the rules", async () => {
  await using agent = await PortMapperAgent.create("legacy");
  await agent.add("c1");
  const empty = `${agent.sandbox.dir}/empty`;
  await Deno.mkdir(empty);
  await agent.sandbox.ok(["mount", "--bind", empty, "/usr/sbin"]);
  const { code, msg } = await agent.fails("DEL", "c1", network(), { env: { PATH: "/usr/bin" } });
  assertEquals(code, 103);
  assertStringIncludes(msg, "iptables of the legacy kind, which is not installed");
  await agent.sandbox.ok(["umount", "/usr/sbin"]);
  await agent.ok("DEL", "c1", network());
  assertEquals(await agent.leftovers(), []);
});

Deno.test("12: CHECK finds what is missing (VERSION, GC and STATUS have tests of their own)", async () => {
  await using agent = await PortMapperAgent.create();
  const config = network([8080], { cniVersion: "0.4.0", delegate: bridge() });
  const result = await agent.add("c1", config);
  const check = { ...config, prevResult: result };
  await agent.ok("CHECK", "c1", check);
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F", CHAIN]);
  const { code, msg } = await agent.fails("CHECK", "c1", check);
  assertEquals(code, 103);
  assertStringIncludes(msg, "--dport 8080");
  assertStringIncludes(msg, "mesos-cni isolator recover");
});

Deno.test("13: neither ADD of eight mappings nor DEL starts iptables", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("first", network([9000])); // what is only done once is done
  const bin = `${agent.sandbox.dir}/bin`;
  const calls = `${agent.sandbox.dir}/calls`;
  await Deno.mkdir(bin);
  for (const tool of ["iptables", "iptables-save", "iptables-restore", "ip6tables", "nft"]) {
    await Deno.writeTextFile(
      `${bin}/${tool}`,
      `#!/bin/sh\necho ${tool} $* >> ${calls}\nexec /usr/sbin/${tool} "$@"\n`,
      { mode: 0o755 },
    );
  }
  // A program not seen before is examined once: the bridge plugin's own calls are not ours.
  const env = { PATH: `${bin}:${agent.path}` };
  const ports = Array.from({ length: 8 }, (_, i) => 8000 + i);
  const delegate = bridge({ ipMasq: false });
  await agent.add("warm", network([9001], { delegate }), { env });
  await Deno.writeTextFile(calls, "");
  await agent.add("c1", network(ports, { delegate }), { env });
  assertEquals(await Deno.readTextFile(calls), "");
  assertEquals((await agent.rules("container_id: c1")).length, 8);
  await Deno.writeTextFile(calls, "");
  await agent.ok("DEL", "c1", network(ports, { delegate }), { env });
  assertEquals(await Deno.readTextFile(calls), "");
  assertEquals((await agent.rules("container_id: c1")).length, 0);
});
