/** What the newest release of the reference does, and what is better than that. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { LEASES, PluginMachine as Machine } from "../harness/plugin_machine.ts";
import { FULL } from "../harness/scale.ts";

const RANGE = { type: "host-local", subnet: "10.9.0.0/16" };
/** A bridge with addresses, and nothing else. */
const PLAIN = { cniVersion: "1.0.0", name: "net", type: "bridge", bridge: "br0", ipam: RANGE };
const GATEWAY = { ...PLAIN, isGateway: true };
const NO_MAC = "00:00:00:00:00:00";

async function macOf(machine: Machine): Promise<string> {
  return JSON.parse(await machine.sandbox.ok(["ip", "-j", "link", "show", "br0"]))[0].address;
}

Deno.test("a bridge that lost its last port gets a hardware address, and keeps it", async () => {
  await using machine = await Machine.create();
  for (const id of ["a", "b"]) await machine.namespace(id);
  await machine.ok("ADD", "a", PLAIN);
  await machine.ok("DEL", "a", PLAIN);
  assertEquals(await macOf(machine), NO_MAC);
  const { interfaces } = await machine.ok("ADD", "a", GATEWAY);
  const mac = await macOf(machine);
  assert(mac !== NO_MAC);
  assertEquals(interfaces[0].mac, mac);
  const ping = ["ping", "-c1", "-W30", "10.9.0.1"];
  assertEquals((await machine.inside("a", ping)).code, 0);
  await machine.ok("ADD", "b", GATEWAY);
  for (const id of ["a", "b"]) await machine.ok("DEL", id, GATEWAY);
  assertEquals(await macOf(machine), mac);
});

Deno.test("a bridge whose address is there already keeps its hardware address too", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  await machine.sandbox.ok(["ip", "link", "add", "br0", "type", "bridge"]);
  await machine.sandbox.ok(["ip", "address", "add", "10.9.0.1/16", "dev", "br0"]);
  const mac = await macOf(machine);
  await machine.ok("ADD", "a", GATEWAY);
  assertEquals(await macOf(machine), mac);
  await machine.ok("DEL", "a", GATEWAY);
  assertEquals(await macOf(machine), mac);
});

/** A plugin that keeps what it was given. */
async function recorder(machine: Machine): Promise<void> {
  const answer = '{"cniVersion":"1.0.0","ips":[{"address":"10.9.0.2/16"}],"big":9007199254740993}';
  await machine.sandbox.ok(["tee", "/run/ours/recorder"], {
    stdin: `#!/bin/sh\ncat >/run/seen\n[ $CNI_COMMAND != ADD ] || echo '${answer}'\n`,
  });
  await machine.sandbox.ok(["chmod", "755", "/run/ours/recorder"]);
}

Deno.test("numbers are handed on with the digits that they came with", async () => {
  await using machine = await Machine.create(["bridge", "mesos-cni-port-mapper"]);
  await machine.namespace("a");
  await recorder(machine);
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  const digits = ["9007199254740993", "1.0", "1e3", "-0", "0.10"];
  const numbers = Object.fromEntries(digits.map((text, i) => [`n${i}`, rawJSON(text)]));
  const seen = async () => {
    const text = await machine.sandbox.ok(["cat", "/run/seen"]);
    return digits.map((_, i) => new RegExp(`"n${i}":([^,}]*)`).exec(text)?.[1]);
  };
  await machine.ok("ADD", "a", { ...PLAIN, ipam: { type: "recorder", ...numbers } });
  assertEquals(await seen(), digits);
  await machine.ok("DEL", "a", { ...PLAIN, ipam: { type: "recorder", ...numbers } });
  const { cniVersion, name } = PLAIN;
  const mapper = { cniVersion, name, type: "mesos-cni-port-mapper", chain: "CHAIN" };
  const delegate = { type: "recorder", ...numbers };
  const result = await machine.call("ADD", "a", { ...mapper, delegate });
  assertEquals(await seen(), digits);
  assertStringIncludes(result.stdout, '"big":9007199254740993');
});

Deno.test("the port mapper takes null for absent, as the original does", async () => {
  await using machine = await Machine.create(["bridge", "host-local", "mesos-cni-port-mapper"]);
  const delegate = { ...GATEWAY, name: undefined };
  const mapper = { ...PLAIN, type: "mesos-cni-port-mapper", chain: "CHAIN", delegate };
  const asked = (info: object) => ({ "org.apache.mesos": { network_info: info } });
  const mapping = { host_port: 8080, container_port: 80, protocol: null };
  const configs = [
    { ...mapper, args: null, excludeDevices: null, prevResult: null, snat: null },
    { ...mapper, args: asked({ port_mappings: null }) },
    { ...mapper, args: asked({ port_mappings: [mapping] }) },
  ];
  for (const [i, config] of configs.entries()) {
    await machine.namespace(`c${i}`);
    await machine.ok("ADD", `c${i}`, config);
  }
  const rules = await machine.sandbox.ok(["iptables-save", "-t", "nat"]);
  assertStringIncludes(rules, "-p tcp -m tcp --dport 8080");
  for (const [i, config] of configs.entries()) await machine.ok("DEL", `c${i}`, config);
});

Deno.test("an ADD of host-local that fails leaves the mark of the last address as it was", async () => {
  await using machine = await Machine.create(["host-local"]);
  await machine.namespace("a");
  const ranges = [[{ subnet: "10.9.0.0/16" }], [{ subnet: "10.8.0.0/30" }]];
  const config = { ...PLAIN, type: "host-local", ipam: { type: "host-local", ranges } };
  const files = async () => (await machine.sandbox.ok(["ls", LEASES])).trim().split("\n");
  await machine.sandbox.ok(["mkdir", "-p", LEASES]);
  await machine.sandbox.ok(["sh", "-c", `printf x >${LEASES}/10.8.0.2`]);
  assertEquals((await machine.call("ADD", "a", config)).code, 1);
  assertEquals(await files(), ["10.8.0.2", "lock"]);
  await machine.sandbox.ok(["sh", "-c", `printf 10.9.0.7 >${LEASES}/last_reserved_ip.0`]);
  assertEquals((await machine.call("ADD", "a", config)).code, 1);
  assertEquals(await machine.sandbox.ok(["cat", `${LEASES}/last_reserved_ip.0`]), "10.9.0.7");
});

/** Attaches at the same time, of which every third fails once the bridge is there. */
const AT_ONCE = FULL ? 200 : 45;

Deno.test(`${AT_ONCE} at once of which every third fails: nobody has a wire to nothing`, async () => {
  await using machine = await Machine.create();
  const ids = Array.from({ length: AT_ONCE }, (_, i) => `c${i}`);
  for (const id of ids) await machine.namespace(id);
  // A group address, which the kernel gives no interface.
  const broken = { ...GATEWAY, runtimeConfig: { mac: "01:00:5e:00:00:01" } };
  const isBroken = (i: number) => i % 3 === 0;
  // Whoever made the bridge does not take it away from those who come while it fails.
  assertEquals((await machine.call("ADD", "c0", broken)).code, 1);
  await machine.sandbox.ok(["ip", "link", "show", "br0"]);
  const codes = await Promise.all(
    ids.map(async (id, i) => (await machine.call("ADD", id, isBroken(i) ? broken : GATEWAY)).code),
  );
  assertEquals(codes, ids.map((_, i) => isBroken(i) ? 1 : 0));
  const good = ids.filter((_, i) => !isBroken(i));
  const ports = await machine.sandbox.ok(["ip", "-o", "link", "show", "master", "br0"]);
  assertEquals(ports.trim().split("\n").length, good.length);
  const veths = await machine.sandbox.ok(["ip", "-o", "link", "show", "type", "veth"]);
  assertEquals(veths.trim().split("\n").length, good.length);
  for (const id of good) {
    assertEquals((await machine.inside(id, ["ping", "-c1", "-W30", "10.9.0.1"])).code, 0, id);
  }
});

Deno.test("GC gives back leases that no valid attachment has, and keeps those of the living", async () => {
  await using machine = await Machine.create();
  const config = { ...GATEWAY, cniVersion: "1.1.0" };
  for (const id of ["a", "b", "c"]) {
    await machine.namespace(id);
    await machine.ok("ADD", id, config);
  }
  await machine.inside("c", ["ip", "link", "del", "eth0"]);
  assertEquals((await machine.leases()).length, 3);
  const valid = [{ containerID: "a", ifname: "eth0" }];
  const gc = await machine.call("GC", "", { ...config, "cni.dev/valid-attachments": valid });
  assertEquals([gc.code, gc.stdout], [0, ""]);
  // b's container lives: its address is not another one's yet.
  assertEquals(await machine.leases(), ["10.9.0.2", "10.9.0.3"]);
  assertStringIncludes(gc.stderr, "10.9.0.3");
});

Deno.test("a gateway outside its network is refused", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  const ipam = { ...RANGE, gateway: "10.10.0.1" };
  const { code, stdout } = await machine.call("ADD", "a", { ...GATEWAY, ipam });
  assertEquals(code, 1);
  assertStringIncludes(JSON.parse(stdout).msg, "ipam.gateway");
});

Deno.test("DEL of a delegate that never spoke the config's version succeeds; of one attached, fails", async () => {
  await using machine = await Machine.create(["mesos-cni-port-mapper"]);
  await machine.namespace("a");
  const refusal = '{"cniVersion":"1.0.0","code":1,"msg":"incompatible CNI versions"}';
  await machine.sandbox.ok(["tee", "/run/ours/old"], {
    stdin: `#!/bin/sh\ncat >/dev/null\necho '${refusal}'\nexit 1\n`,
  });
  await machine.sandbox.ok(["chmod", "755", "/run/ours/old"]);
  const mapper = { name: "net", type: "mesos-cni-port-mapper", chain: "CHAIN" };
  const config = { ...mapper, cniVersion: "1.1.0", delegate: { type: "old" } };
  assertEquals((await machine.call("ADD", "a", config)).code, 1);
  await machine.ok("DEL", "a", config);
  await machine.inside("a", ["ip", "link", "add", "eth0", "type", "bridge"]);
  assertEquals((await machine.call("DEL", "a", config)).code, 1);
});
