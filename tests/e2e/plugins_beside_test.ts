/** Our portmap on a host where the reference's portmap has attached containers too, and the way there and back. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { PluginMachine as Machine } from "../harness/plugin_machine.ts";

const BRIDGE = {
  ...{ cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0", isGateway: true },
  ipam: { type: "host-local", subnet: "10.9.0.0/16" },
};
const TYPES = ["bridge", "host-local", "portmap"];

function portmap(prevResult: object, hostPort: number, more: object = {}) {
  const portMappings = [{ hostPort, containerPort: 80, protocol: "tcp" }];
  const base = { cniVersion: "1.0.0", name: "net", type: "portmap" };
  return { ...base, prevResult, runtimeConfig: { portMappings }, ...more };
}

/** What the reference's backend for nftables writes for a container of that address (1.10). */
function tableOf(id: string, address: string, port: number): string {
  return `table ip cni_hostport {
    chain hostports { tcp dport ${port} dnat to ${address}:80 comment "${id}"; }
    chain hostip_hostports { }
    chain hostports_all { jump hostip_hostports; jump hostports; }
    chain prerouting {
      type nat hook prerouting priority dstnat; fib daddr type local jump hostports_all;
    }
  }`;
}

for (const backend of partOf(["iptables", "nftables"], 2)) {
  Deno.test(`a port that the reference's portmap has is refused, and CHECK takes it for what it is: ${backend}`, async () => {
    await using machine = await Machine.create(TYPES);
    for (const id of ["a", "b"]) await machine.namespace(id);
    const [a, b] = [await machine.ok("ADD", "a", BRIDGE), await machine.ok("ADD", "b", BRIDGE)];
    const config = portmap(a, 8080);
    if (backend === "iptables") await machine.ok("ADD", "a", config, CNI_PLUGINS);
    else {
      const stdin = tableOf("a", a.ips[0].address.split("/")[0], 8080);
      await machine.sandbox.ok(["nft", "-f", "-"], { stdin });
    }
    await machine.ok("CHECK", "a", config);
    const elsewhere = [{ hostPort: 8080, containerPort: 81, protocol: "tcp" }];
    const wrong = { ...config, runtimeConfig: { portMappings: elsewhere } };
    assertEquals((await machine.call("CHECK", "a", wrong)).code, 1);
    const refused = await machine.call("ADD", "b", portmap(b, 8080));
    assertEquals(refused.code, 1);
    assertStringIncludes(JSON.parse(refused.stdout).msg, "8080/tcp is taken by container a");
    await machine.ok("ADD", "b", portmap(b, 8081));
    await machine.ok("DEL", "a", config);
    assertEquals((await machine.call("CHECK", "a", config)).code, 1);
    await machine.namespace("c");
    await machine.ok("ADD", "c", portmap(await machine.ok("ADD", "c", BRIDGE), 8080));
  });

  Deno.test(`a container on two networks has its port once, and no conflict with itself: ${backend}`, async () => {
    await using machine = await Machine.create(TYPES);
    await machine.namespace("a");
    const one = portmap(await machine.ok("ADD", "a", BRIDGE), 8080, { backend });
    const two = { ...one, name: "other" };
    await machine.ok("ADD", "a", one);
    await machine.ok("ADD", "a", two);
    for (const config of [one, two]) await machine.ok("CHECK", "a", config);
    await machine.ok("DEL", "a", two);
    await machine.ok("CHECK", "a", one);
    await machine.ok("DEL", "a", one);
    assertEquals(await machine.sandbox.ok(["find", "/run/mesos-cni", "-name", "tcp-8080"]), "");
    await machine.namespace("b");
    await machine.ok("ADD", "b", portmap(await machine.ok("ADD", "b", BRIDGE), 8080, { backend }));
  });
}

Deno.test("portmap behind a network without addresses leads nothing, and succeeds", async () => {
  await using machine = await Machine.create(TYPES);
  await machine.namespace("a");
  const { ipam: _, isGateway: __, ...layer2 } = BRIDGE;
  const config = portmap(await machine.ok("ADD", "a", layer2), 8080);
  for (const command of ["ADD", "CHECK", "DEL"]) await machine.ok(command, "a", config);
});

for (const backend of partOf(["iptables", "nftables"], 2)) {
  Deno.test(`of two mappings of one host port the first is made: ${backend}`, async () => {
    await using machine = await Machine.create(TYPES);
    await machine.namespace("a");
    const portMappings = [80, 81].map((containerPort) => ({
      ...{ hostPort: 8080, protocol: "tcp", containerPort },
    }));
    const more = { backend, runtimeConfig: { portMappings } };
    await machine.ok("ADD", "a", portmap(await machine.ok("ADD", "a", BRIDGE), 8080, more));
    const rules = await machine.sandbox.ok(["nft", "list", "ruleset"]);
    const targets = [...rules.matchAll(/10\.9\.0\.2(?::| \. )(8\d)\b/g)].map(([, port]) => port);
    assertEquals([...new Set(targets)], ["80"], rules);
  });
}

Deno.test("portmap refuses an externalSetMarkChain that is missing, or that its backend has no use for", async () => {
  await using machine = await Machine.create(TYPES);
  await machine.namespace("a");
  const more = { externalSetMarkChain: "KUBE-MARK-MASQ" };
  const config = portmap(await machine.ok("ADD", "a", BRIDGE), 8080, more);
  const refused = await machine.call("ADD", "a", config);
  assertEquals(refused.code, 1);
  assertStringIncludes(JSON.parse(refused.stdout).msg, '"KUBE-MARK-MASQ" is no chain of the nat');
  assertEquals(await machine.sandbox.ok(["iptables-save"]), "");
  await machine.sandbox.ok(["iptables", "-t", "nat", "-N", "KUBE-MARK-MASQ"]);
  assertEquals((await machine.call("ADD", "a", { ...config, backend: "nftables" })).code, 1);
  await machine.ok("ADD", "a", config);
  await machine.ok("DEL", "a", config);
});

Deno.test("masqAll with nftables masquerades whoever asks, until DEL", async () => {
  await using machine = await Machine.create(TYPES);
  await machine.namespace("a");
  const more = { backend: "nftables", masqAll: true };
  const config = portmap(await machine.ok("ADD", "a", BRIDGE), 8080, more);
  const nearby = () => machine.sandbox.ok(["nft", "list", "set", "inet", "mesos-cni", "nearby4"]);
  await machine.ok("ADD", "a", config);
  assertStringIncludes(await nearby(), "0.0.0.0/0 . 10.9.0.2");
  await machine.ok("CHECK", "a", config);
  await machine.ok("DEL", "a", config);
  assertEquals((await nearby()).includes("10.9.0.2"), false);
});

Deno.test("changing over and back loses no request, and leaves nothing in the way of the next", async () => {
  await using machine = await Machine.create(TYPES);
  const { sandbox } = machine;
  const results = new Map<string, object>();
  const attach = async (id: string, port: number, directory?: string) => {
    await machine.namespace(id);
    const result = await machine.ok("ADD", id, BRIDGE, directory);
    results.set(id, result);
    await machine.ok("ADD", id, portmap(result, port), directory);
    await sandbox.ok([
      "sh",
      "-c",
      `mkdir -p /run/www/${id}; echo ${id} >/run/www/${id}/index.html`,
    ]);
    await machine.inside(id, ["busybox", "httpd", "-p", "80", "-h", `/run/www/${id}`]);
  };
  const detach = async (id: string, port: number, directory?: string) => {
    const prevResult = results.get(id)!;
    await machine.ok("DEL", id, portmap(prevResult, port), directory);
    await machine.ok("DEL", id, { ...BRIDGE, prevResult }, directory);
  };
  const page = async (port: number) => {
    const url = `http://10.9.0.1:${port}/`;
    const argv = ["/usr/bin/curl", "--noproxy", "*", "-sS", "-m", "20", url];
    const { stdout, stderr } = await sandbox.run(argv);
    return stdout.trim() || stderr;
  };
  /** Asks again and again until it is told to stop; resolves with the answers, each once. */
  const ask = async (loop: AbortSignal, port: number) => {
    const answers = new Set<string>();
    while (!loop.aborted) answers.add(await page(port));
    return [...answers];
  };

  await attach("a", 8080, CNI_PLUGINS);
  assertEquals(await page(8080), "a");
  const [first, second] = [new AbortController(), new AbortController()];
  const toA = ask(first.signal, 8080);
  // Over: what comes from now on is ours.
  await attach("b", 8081);
  const toB = ask(second.signal, 8081);
  await machine.ok("CHECK", "a", portmap(results.get("a")!, 8080));
  first.abort();
  assertEquals(await toA, ["a"]);
  await detach("a", 8080);
  // Back: what comes from now on is the reference's, and b goes on.
  await attach("c", 8080, CNI_PLUGINS);
  assertEquals(await page(8080), "c");
  second.abort();
  assertEquals(await toB, ["b"]);
  await detach("b", 8081, CNI_PLUGINS);
  await sandbox.ok(["umount", "/run/ns/b"]);
  const status = await sandbox.run([MESOS_CNI, "status"]);
  assertEquals(status.code, 1);
  assertStringIncludes(status.stdout, "rules still lead 8081/tcp to b, whose network is gone");
  await sandbox.ok([MESOS_CNI, "gc", "--apply"]);
  await sandbox.ok([MESOS_CNI, "status"]);
  await attach("d", 8081, CNI_PLUGINS);
  assertEquals(await page(8081), "d");
  assertEquals(await page(8080), "c");
});

Deno.test("a condition that only iptables has words for is written by iptables, checked and removed", async () => {
  await using machine = await Machine.create(TYPES);
  await machine.namespace("a");
  const conditionsV4 = ["-i", "eth+", "-m", "mark", "!", "--mark", "0x5"];
  const config = portmap(await machine.ok("ADD", "a", BRIDGE), 8080, { conditionsV4 });
  const rules = () => machine.sandbox.ok(["iptables-save", "-t", "nat"]);
  await machine.ok("ADD", "a", config);
  assertStringIncludes(await rules(), "-i eth+ -p tcp -m tcp --dport 8080 -m mark ! --mark 0x5");
  await machine.ok("CHECK", "a", config);
  await machine.sandbox.ok(["iptables", "-t", "nat", "-F", "MESOS-CNI-PORTMAP"]);
  assertEquals((await machine.call("CHECK", "a", config)).code, 1);
  await machine.ok("ADD", "a", config);
  await machine.ok("DEL", "a", config);
  assertEquals((await rules()).includes("--dport 8080"), false);
  for (const hostile of ["-j", "--jump", "--jum", "-A", "-t", "x\nCOMMIT", "'", "$(id)", "--new"]) {
    const other = { ...config, conditionsV4: ["-m", "mark", hostile, "ACCEPT"] };
    assertEquals((await machine.call("ADD", "a", other)).code, 1, hostile);
  }
  assertEquals((await rules()).includes("--dport 8080"), false);
});

Deno.test("a task of Mesos waits for the one that had its port, if portmap leads both", async () => {
  await using machine = await Machine.create(TYPES);
  const args = { "org.apache.mesos": { network_info: { name: "net" } } };
  for (const id of ["a", "b"]) await machine.namespace(id);
  const [first, second] = [
    portmap(await machine.ok("ADD", "a", BRIDGE), 8080, { args }),
    portmap(await machine.ok("ADD", "b", BRIDGE), 8080, { args }),
  ];
  await machine.ok("ADD", "a", first);
  const detached = new Promise((resolve) => setTimeout(resolve, 1_500))
    .then(() => machine.ok("DEL", "a", first));
  await machine.ok("ADD", "b", second);
  await detached;
  await machine.ok("CHECK", "b", second);
});
