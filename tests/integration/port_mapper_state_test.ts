/** Reservations, lost state, foreign rules, and rules that somebody flushed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { until } from "../harness/agent.ts";
import { partOf } from "../harness/part.ts";
import { bridge, network, PortMapperAgent, STATE_DIR, VARIANTS } from "../harness/port_mapper.ts";

const CHAIN = "MESOS-TEST-PORT-MAPPER";
const PLAIN = bridge({ ipMasq: false });

const WAYS = [
  ...VARIANTS.map((variant) => ({ name: `iptables-${variant}`, backend: "iptables", variant })),
  { name: "nftables", backend: "nftables", variant: "nft" as const },
];

for (const { name, backend, variant } of partOf(WAYS, 3)) {
  Deno.test(`${name}: DEL after all state is lost, twice, and without CNI_NETNS`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const config = network([8080, 8081], { backend, snat: true });
    await agent.add("c1", config);
    await agent.add("c11", network([8082], { backend, snat: true }));
    await agent.sandbox.ok(["rm", "-rf", "/run/mesos-cni"]);
    await agent.sandbox.ok(["ip", "netns", "delete", "c1"]);
    await agent.ok("DEL", "c1", config, { netns: null });
    await agent.ok("DEL", "c1", config, { netns: null });
    const left = backend === "nftables"
      ? (await agent.elements()).split("\n").filter((line) => line.includes("container_id"))
      : await agent.rules("container_id");
    assert(
      left.length > 0 && left.every((line) => line.includes('"container_id: c11"')),
      left.join(),
    );
    await agent.ok("DEL", "c11", network([], { backend }));
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: rules that somebody flushed: CHECK misses them, GC puts them back`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const versions = {
      cniVersion: "1.1.0",
      backend,
      snat: true,
      delegate: bridge({ cniVersion: "1.0.0" }),
    };
    const config = network([8080], versions);
    const prevResult = await agent.add("c1", config);
    await agent.add("dead", network([8081], versions));
    const flush = backend === "nftables"
      ? ["nft", "delete", "table", "inet", "mesos-cni"]
      : ["iptables", "-t", "nat", "-F"];
    await agent.sandbox.ok(flush, { env: { PATH: agent.path } });
    const check = { ...config, prevResult };
    // The delegate's own CHECK would miss its masquerading first.
    const own = { ...check, delegate: undefined };
    assertStringIncludes((await agent.fails("CHECK", "c1", own)).msg, "8080");
    const collect = () =>
      agent.ok("GC", "", {
        ...config,
        "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
      }, { netns: null });
    await collect();
    await agent.ok("CHECK", "c1", own);
    if (backend === "nftables") {
      await agent.sandbox.ok(["nft", "flush", "chain", "inet", "mesos-cni", "loopback"]);
      assertStringIncludes((await agent.fails("CHECK", "c1", own)).msg, "table inet mesos-cni");
    }
    const all = (await agent.rules()).join("\n") + await agent.elements();
    assert(!all.includes("container_id: dead"));
    await agent.ok("DEL", "c1", config);
    await agent.ok("DEL", "dead", config);
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: a port stays its container's, whatever becomes of its reservation`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    // Of Mesos' containers, the end of one that lives would be waited for.
    const mapping = (hostPort: number) =>
      network([], {
        cniVersion: "1.1.0",
        backend,
        args: undefined,
        delegate: bridge({ cniVersion: "1.0.0" }),
        runtimeConfig: { portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] },
      });
    const config = mapping(8080);
    const prevResult = await agent.add("c1", config);
    await agent.container("c2");
    await agent.add("c3", mapping(8081));
    const check = () => agent.ok("CHECK", "c1", { ...config, delegate: undefined, prevResult });
    const state = async () => [await agent.rules("container_id"), await agent.elements()];
    const before = await state();
    const [claims, port] = [`${STATE_DIR}/ports`, "tcp-8080"];
    const damages = [
      "rm -r $port",
      "rm $port/*",
      "for f in $port/*; do ln -sfn nobody $f; done",
      "for f in $port/*; do rm $f; echo hello >$f; done",
      "for f in $port/*; do rm $f; mkfifo $f; done",
      "for f in $port/*; do rm $f; mkdir -p $f/x; done",
      "rm -r $port; touch $port",
      "rm -r $port; mkfifo $port",
      "rm -r $port; ln -s $port $port",
      "rm -r ../ports",
    ];
    for (const damage of damages) {
      await agent.sandbox.ok(["sh", "-ec", `cd ${claims}; port=${port}; ${damage}`]);
      const { code, msg } = await agent.fails("ADD", "c2", config);
      assertEquals([code, msg.includes("is taken by container c1")], [103, true], damage + msg);
      assertEquals(await state(), before, damage);
      await check();
    }
    for (const damage of damages) {
      await agent.sandbox.ok(["sh", "-ec", `cd ${claims}; port=${port}; ${damage}`]);
      await agent.ok("GC", "", {
        ...config,
        "cni.dev/valid-attachments": ["c1", "c3"].map((containerID) => ({
          containerID,
          ifname: "eth0",
        })),
      }, { netns: null });
      await check();
      await agent.sandbox.ok(["sh", "-ec", `cd ${claims}; port=${port}; ${damage}`]);
      await agent.ok("DEL", "c1", config);
      await agent.ok("ADD", "c1", config);
    }
    await agent.ok("DEL", "c1", config);
    await agent.ok("ADD", "c2", config);
    await agent.ok("DEL", "c2", config);
    await agent.ok("DEL", "c3", mapping(8081));
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: a port stays its container's, whose record somebody removed`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const config = network([8080], { backend });
    await agent.add("c1", config);
    await agent.container("c2");
    const state = async () => [await agent.rules("container_id"), await agent.elements()];
    const before = await state();
    await agent.sandbox.ok(["rm", `${STATE_DIR}/attachments/c1:pm:eth0.json`]);
    assertStringIncludes((await agent.fails("ADD", "c2", config)).msg, "container_id: c1");
    assertEquals(await state(), before);
  });

  Deno.test(`${name}: ADD again: one set of rules, of the new mappings, and the old port is free`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    await agent.container("c1");
    const list = (port: number, address: string) => ({
      ...network([port], { backend, delegate: undefined, snat: true }),
      prevResult: { cniVersion: "0.1.0", ip4: { ip: address } },
    });
    await agent.sandbox.ok(["ip", "link", "add", "mesos-cni0", "type", "bridge"]);
    await agent.sandbox.ok(["ip", "address", "add", "10.1.0.1/24", "dev", "mesos-cni0"]);
    await agent.sandbox.ok(["ip", "link", "set", "mesos-cni0", "up"]);
    await agent.ok("ADD", "c1", list(8080, "10.1.0.2/24"));
    await agent.ok("ADD", "c1", list(8080, "10.1.0.2/24"));
    await agent.ok("ADD", "c1", list(8081, "10.1.0.3/24"));
    const all = (await agent.rules("container_id")).join("\n") +
      (await agent.elements()).split("\n").filter((line) => line.includes("container_id")).join();
    assert(!all.includes("8080") && !all.includes("10.1.0.2"), all);
    assertEquals(all.match(/8081/g)?.length, backend === "iptables" ? 2 : 3);
    await agent.container("c2");
    await agent.ok("ADD", "c2", list(8080, "10.1.0.4/24"));
    await agent.ok("DEL", "c1", list(8081, "10.1.0.3/24"));
    await agent.ok("DEL", "c2", list(8080, "10.1.0.4/24"));
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: two networks of one container in one chain are told apart`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const a = network([8080], { backend });
    const b = network([8081], { backend, name: "second" });
    await agent.add("c1", a);
    await agent.ok("ADD", "c1", b, { ifName: "eth1" });
    // Handles of before are void, and the record of one network is lost.
    await agent.sandbox.ok(["rm", `${STATE_DIR}/attachments/c1:pm:eth0.json`]);
    await agent.ok("DEL", "c1", a);
    const all = (await agent.rules("container_id")).join("\n") + await agent.elements();
    assert(all.includes("8081") && !all.includes("8080"), all);
    await agent.ok("DEL", "c1", b, { ifName: "eth1" });
    assertEquals(await agent.leftovers(), []);
  });
}

Deno.test("nftables: an ADD that finds another's element leaves it", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8081], { backend: "nftables" }));
  const foreign = 'tcp . 8080 comment "container_id: x" : 10.1.0.2 . 80';
  await agent.sandbox.ok(["nft", `add element inet mesos-cni ports4 { ${foreign} }`]);
  const before = await agent.elements();
  await agent.container("c2");
  const config = network([8080], { backend: "nftables", excludeDevices: [] });
  const { code, msg } = await agent.fails("ADD", "c2", config);
  assertEquals(code, 103);
  assertStringIncludes(msg, "container_id: x");
  assertEquals(await agent.elements(), before);
});

Deno.test("ADD again whose delegate fails leaves the first ADD's rules and ports as they are", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1");
  const before = [await agent.rules("container_id"), await agent.leftovers()];
  // host-local refuses a second address for the same interface.
  assertEquals((await agent.fails("ADD", "c1", network([8080, 8081]))).code, 102);
  assertEquals([await agent.rules("container_id"), await agent.leftovers()], before);
  await agent.add("c2", network([8081]));
});

Deno.test("rules that the original plugin wrote are removed, by their exact id", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const original = (id: string, port: number) =>
    agent.sandbox.ok([
      ...["iptables", "-w", "-t", "nat", "-A", CHAIN, "!", "-i", "mesos-cni0", "-p", "tcp", "-m"],
      ...["tcp", "--dport", `${port}`, "-j", "DNAT", "--to-destination", "192.168.0.2:80"],
      ...["-m", "comment", "--comment", `container_id: ${id}`],
    ]);
  await agent.sandbox.ok(["iptables", "-w", "-t", "nat", "-N", CHAIN]);
  for (const [i, id] of ["c1", "c1", "c12", "xc1"].entries()) await original(id, 8080 + i);
  await agent.ok("DEL", "c1", network());
  assertEquals((await agent.rules("container_id")).length, 2);

  // Of a container in a container in a container, whose id is longer than our own comments.
  const nested = Array.from({ length: 3 }, () => crypto.randomUUID()).join(".");
  await original(nested, 8090);
  await agent.container(nested);
  await agent.ok("DEL", nested, network());
  assertEquals((await agent.rules("container_id")).length, 2);
});

Deno.test("after an operator's save and restore of all rules, DEL still finds its own", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8080, 8081], { delegate: PLAIN }));
  await agent.add("c2", network([8082], { delegate: PLAIN }));
  await agent.sandbox.ok(["sh", "-c", "iptables-save | iptables-restore"]);
  await agent.ok("DEL", "c1", network([], { delegate: PLAIN }));
  assertEquals((await agent.rules("container_id")).length, 1);
  await agent.ok("DEL", "c2", network([], { delegate: PLAIN }));
  assertEquals(await agent.leftovers(), []);
});

Deno.test("where descriptors are few, an ADD that looks for rules without a record says so in a few words", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const config = network([8080], { delegate: PLAIN });
  for (let most = 13; most < 24; most++) {
    await agent.sandbox.ok(["rm", "-f", `${STATE_DIR}/orphans.json`]);
    const { stdout } = await agent.sandbox.run(
      ["prlimit", `--nofile=${most}`, "--", agent.plugin],
      { clearEnv: true, env: agent.environment("ADD", "c1"), stdin: JSON.stringify(config) },
    );
    assert(!stdout.includes("    at "), stdout); // no stack
    await agent.ok("DEL", "c1", config);
  }
});

Deno.test("rules of a container that is gone, put back by somebody, keep its port from others until they go", async () => {
  await using agent = await PortMapperAgent.create();
  const config = (port: number) => network([port], { delegate: PLAIN });
  const saved = `${agent.sandbox.dir}/saved`;
  const save = "iptables-save -t nat >$0";
  await agent.add("c1", config(8080));
  await agent.add("c2", config(8081));
  await agent.sandbox.ok(["sh", "-ec", save, saved]);
  for (const restore of ["iptables-restore $0", "grep -v ^: $0 | iptables-restore --noflush"]) {
    await agent.ok("DEL", "c1", config(8080));
    // As many rules as were saved.
    await agent.add("c3", config(8082));
    await agent.sandbox.ok(["sh", "-ec", restore, saved]);
    await agent.container("c4");
    const { msg } = await agent.fails("ADD", "c4", config(8080));
    assertStringIncludes(msg, "leads to a container that is not on record");
    await agent.ok("DEL", "c1", config(8080));
    await agent.ok("ADD", "c4", config(8080));
    for (const [id, port] of [["c3", 8082], ["c4", 8080]] as const) {
      await agent.ok("DEL", id, config(port));
      await agent.kill(id);
      await agent.sandbox.ok(["ip", "netns", "del", id]);
    }
  }
});

for (const variant of VARIANTS) {
  Deno.test(`rules that a script replayed, each three times: DEL leaves none of its own (${variant})`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const config = (port: number) => network([port], { delegate: PLAIN, snat: true });
    await agent.add("c1", config(8080));
    await agent.add("c2", config(8081));
    const own = (await agent.rules("container_id: c2")).length;
    const replay = "iptables-save | grep -v ^: >$0; iptables-restore --noflush $0; " +
      "iptables-restore --noflush $0";
    await agent.sandbox.ok(["sh", "-ec", replay, `${agent.sandbox.dir}/saved`], {
      env: { PATH: agent.path },
    });
    await agent.ok("DEL", "c1", config(8080));
    assertEquals(await agent.rules("container_id: c1"), []);
    assertEquals((await agent.rules("container_id: c2")).length, 3 * own);
    await agent.add("c3", config(8080));
    await agent.serve("c3");
    assertStringIncludes(await agent.ask("192.168.0.1", 8080), "c3 ");
    for (const [id, port] of [["c2", 8081], ["c3", 8080]] as const) {
      await agent.ok("DEL", id, config(port));
    }
    assertEquals(await agent.leftovers(), []);
  });
}

Deno.test("of many containers that want one port at the same time, exactly one gets it", async () => {
  await using agent = await PortMapperAgent.create();
  const ids = Array.from({ length: 8 }, (_, i) => `c${i}`);
  for (const id of ids) await agent.container(id);
  const replies = await Promise.all(ids.map((id) => agent.call("ADD", id, network())));
  assertEquals(replies.filter(({ code }) => code === 0).length, 1);
  for (const { code, stdout } of replies) {
    if (code !== 0) assertStringIncludes(stdout, "is taken by");
  }
  assertEquals((await agent.rules("container_id")).length, 1);
});

Deno.test("a port's conflicts: per protocol, per address, and every address against each", async () => {
  await using agent = await PortMapperAgent.create();
  const on = (hostIP: string | undefined, protocol = "tcp") =>
    network([], {
      args: undefined,
      delegate: PLAIN,
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol, hostIP }] },
    });
  await agent.add("c1", on("203.0.113.1"));
  for (const id of ["c2", "c3"]) await agent.container(id);
  for (const taken of ["203.0.113.1", "0.0.0.0", undefined]) {
    assertStringIncludes(
      (await agent.fails("ADD", "c2", on(taken))).msg,
      "is taken by container c1",
    );
  }
  await agent.ok("ADD", "c2", on("203.0.113.2"));
  await agent.ok("ADD", "c3", on(undefined, "udp"));
});

Deno.test("the port of a container that is gone is taken over, with its rules", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("gone", network([8080, 8081]));
  // A new container at the same path is not the old one. The kernel gives a namespace the number of one that
  // has ended, by which they would be the same: so it is there before.
  await agent.container("new");
  await agent.sandbox.ok(["sh", "-ec", "ip netns pids gone | xargs kill -9; ip netns delete gone"]);
  const [old, fresh] = [agent.netns("gone"), agent.netns("new")];
  await agent.sandbox.ok(["sh", "-ec", `touch ${old}; mount --bind ${fresh} ${old}`]);
  await agent.add("next", network([8080]));
  const rules = await agent.rules("container_id");
  assertEquals(rules.length, 1);
  assertStringIncludes(rules[0]!, "container_id: next");
  await agent.ok("DEL", "gone", network());
  await agent.ok("DEL", "next", network());
  assertEquals(await agent.leftovers(), []);
});

Deno.test("a namespace with the number of one that has ended is another, at the same path too", async () => {
  await using agent = await PortMapperAgent.create();
  const { sandbox } = agent;
  await agent.add("gone", network([8080, 8081]));
  await sandbox.ok(["sh", "-ec", "ip netns pids gone | xargs kill -9; ip netns delete gone"]);
  const wires = ["ip", "-o", "link", "show", "type", "veth"];
  await until(async () => await sandbox.ok(wires) === "", "the wire of what is gone to go");
  await agent.container("gone");
  // The kernel gives the lowest number that is free: whether the old one's depends on who else makes namespaces.
  const number = (await sandbox.ok(["stat", "-Lc%i", agent.netns("gone")])).trim();
  const rewrite = (change: string) =>
    sandbox.ok(["sh", "-ec", `sed -i '${change}' ${STATE_DIR}/attachments/*`]);
  await rewrite(`s/"netnsInode":[0-9]*/"netnsInode":${number}/`);
  await agent.add("next", network([8080]));
  const rules = await agent.rules("container_id");
  assertEquals(rules.length, 1);
  assertStringIncludes(rules[0]!, "container_id: next");
  await agent.ok("DEL", "gone", network());
  // Where the kernel tells no more than the number, that is what there is to go by.
  await rewrite('s/,"netnsCookie":"[0-9]*"//');
  await agent.container("third");
  // No framework's: its port's holder is not waited for.
  const chosen = {
    ...network([], { args: undefined }),
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
  };
  const { msg } = await agent.fails("ADD", "third", chosen);
  assertStringIncludes(msg, "is taken by container next");
  await agent.ok("DEL", "next", network());
  assertEquals(await agent.leftovers(), []);
});

Deno.test("two containers of one id: the second's ADD and DEL leave the first what it has", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8080]));
  const had = async () => [await agent.rules(), (await agent.leftovers()).sort()];
  const before = await had();
  await agent.container("other");
  const second = { netns: agent.netns("other") };
  for (const port of [8080, 8081]) {
    const { msg } = await agent.fails("ADD", "c1", network([port]), second);
    assertStringIncludes(msg, "a container c1 is attached to pm (eth0) already, in /run/netns/c1");
    const list = { cniVersion: "0.4.0", name: "pm", type: "portmap" };
    for (
      const { stderr } of [
        await agent.call("DEL", "c1", network([port]), second),
        await agent.call("DEL", "c1", list, { ...second, type: "portmap" }),
      ]
    ) {
      assertStringIncludes(stderr, "/run/netns/c1");
      assertEquals(await had(), before);
    }
  }
  const { msg } = await agent.fails("ADD", "c1", network([]), second);
  assertStringIncludes(msg, "attached to pm (eth0) already");
  // Which namespace is meant is not told: a DEL is of who has the id.
  await agent.ok("DEL", "c1", network(), { netns: null });
  assertEquals(await agent.leftovers(), []);
  await agent.ok("ADD", "c1", network(), second);
  // Nor by the path of what has ended.
  await agent.ok("DEL", "c1", network(), { netns: "/run/netns/ended" });
  assertEquals(await agent.leftovers(), []);
});

Deno.test("a handle that its runtime gave to another namespace is that container's, whoever stays in the old one", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8080]));
  await agent.sandbox.ok([
    "sh",
    "-ec",
    "umount /run/netns/c1; ip netns delete c1; ip netns add c1",
  ]);
  await agent.ok("DEL", "c1", network([8080]));
  assertEquals(await agent.leftovers(), []);
});

Deno.test("nobody in a namespace, its mount alone: another container of its id is not kept out", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.add("c1", network([8080]));
  await agent.sandbox.ok(["sh", "-ec", "ip netns pids c1 | xargs kill -9"]);
  await agent.container("other");
  await agent.ok("DEL", "c1", network([8080]), { netns: agent.netns("other") });
  assertEquals(await agent.leftovers(), []);
});

Deno.test("a port that a process of the host listens on is refused to frameworks unless the operator allows it", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.listen("8080");
  await agent.container("c1");
  const refused = await agent.fails("ADD", "c1", network());
  assertEquals(refused.code, 101);
  assertStringIncludes(refused.msg, '"allowHostPorts": true');
  assertEquals(await agent.leftovers(), []);
  const allowed = network([8080], { allowHostPorts: true });
  const reply = await agent.call("ADD", "c1", allowed);
  assertEquals(reply.code, 0, reply.stdout);
  assertStringIncludes(reply.stderr, "host port 8080/tcp is listened on by a process of this host");
  await agent.ok("DEL", "c1", allowed);
  // Another runtime's operator chose the port: a warning is enough.
  const chosen = {
    ...network([], { args: undefined }),
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] },
  };
  await agent.ok("ADD", "c1", chosen);
  await agent.ok("DEL", "c1", chosen);
  const delegate = bridge({ ipam: {} });
  const { code, details } = await agent.fails("ADD", "c1", { ...allowed, delegate });
  assertEquals(code, 102);
  assertStringIncludes(details, "8080/tcp is listened on");
});

Deno.test("an agent without iptables can still remove containers that have no mappings", async () => {
  await using agent = await PortMapperAgent.create();
  const delegate = { type: "addresses" };
  await agent.script("addresses", `cat >/dev/null; echo '{"ips":[{"address":"10.0.0.2/24"}]}'`);
  const empty = `${agent.sandbox.dir}/empty`;
  await Deno.mkdir(empty);
  for (const directory of ["/usr/sbin", "/usr/local/sbin"]) {
    await agent.sandbox.ok(["mount", "--bind", empty, directory]);
  }
  const none = network([], { delegate });
  await agent.sandbox.ok(["ip", "netns", "add", "c1"]);
  await agent.ok("ADD", "c1", none);
  await agent.ok("DEL", "c1", none);
  // Rules of nf_tables are removed without it, as far as there are any.
  await agent.ok("DEL", "c1", network([8080], { delegate }));
});

Deno.test("what one container lacks keeps nobody's rules from being put back", async () => {
  await using agent = await PortMapperAgent.create();
  const list = (bridgeName: string, address: string, port: number) => ({
    ...network([port], { delegate: undefined, snat: true, cniVersion: "1.1.0" }),
    prevResult: { cniVersion: "1.1.0", ips: [{ address: `${address}.2/24` }] },
    bridgeName,
  });
  const ways = [list("a0", "10.1.0", 8080), list("b0", "10.2.0", 8081)];
  for (const [i, way] of ways.entries()) {
    const address = way.prevResult.ips[0]!.address.replace(".2/", ".1/");
    await agent.sandbox.ok(["ip", "link", "add", way.bridgeName, "type", "bridge"]);
    await agent.sandbox.ok(["ip", "address", "add", address, "dev", way.bridgeName]);
    await agent.sandbox.ok(["ip", "link", "set", way.bridgeName, "up"]);
    await agent.add(`c${i}`, way);
  }
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F"]);
  await agent.sandbox.ok(["ip", "link", "delete", "a0"]);
  const { code, msg } = await agent.fails("GC", "", {
    ...ways[0],
    "cni.dev/valid-attachments": [0, 1].map((i) => ({ containerID: `c${i}`, ifname: "eth0" })),
  });
  assertEquals(code, 103);
  assertStringIncludes(msg, "c0: ENETUNREACH");
  assert((await agent.rules("container_id: c1")).length > 0);
});
