/** The plugins inside the program, in a container and side by side with the reference's. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CNI_PLUGINS, IS_COMPILED, MESOS_CNI } from "../harness/binary.ts";
import { LEASES, NETWORK, PluginMachine as Machine } from "../harness/plugin_machine.ts";
import { Running, until } from "../harness/agent.ts";
import { NEEDS_ROOT } from "../harness/debian.ts";
import { partOf } from "../harness/part.ts";
import { ALL_PARTS, FULL } from "../harness/scale.ts";

/** A launcher in its place becomes another program, and opens scripts where they are. */
const OF_THE_FILE = { ignore: !IS_COMPILED };

Deno.test(
  "a run without a plugins' directory starts no program but its command, and opens nothing in /tmp",
  OF_THE_FILE,
  async () => {
    await using machine = await Machine.create([]);
    const { sandbox } = machine;
    await sandbox.ok(["mkdir", "/run/networks", "/run/plugins"]);
    for (const backend of ["iptables", "nftables"]) {
      await sandbox.ok(["tee", "/run/networks/net.conf"], {
        stdin: JSON.stringify({ ...NETWORK, ipMasqBackend: backend }),
      });
      await sandbox.ok([
        ...[
          "strace",
          "-f",
          "-qq",
          "-e",
          "trace=execve,open,openat",
          "-o",
          "/run/trace",
          MESOS_CNI,
          "run",
        ],
        ...["--network_cni_config_dir=/run/networks", "--network_cni_plugins_dir=/run/plugins"],
        ...["--networks=net", "--", "/usr/bin/ping", "-c1", "-W30", "10.9.0.1"],
      ]);
      const trace = await sandbox.ok(["cat", "/run/trace"]);
      const programs = [...trace.matchAll(/execve\("([^"]+)".*= 0$/gm)].map(([, file]) => file)
        .filter((file) => file !== MESOS_CNI);
      assertEquals(programs, ["/usr/bin/ping"]);
      // Where anyone may have put something: no code of the runtime's, nor of ours.
      const opened = [...trace.matchAll(/open(?:at)?\(.*?"(\/tmp\/[^"]*)"/g)].map(([, file]) =>
        file
      )
        .filter((file) => file !== MESOS_CNI); // which is there where the checkout is
      assertEquals(opened, []);
    }
    await machine.assertEmpty();
  },
);

/** Containers that are attached at the same time. */
const AT_ONCE = FULL ? 64 : ALL_PARTS ? 24 : 12;

Deno.test(`${AT_ONCE} at once on a bridge that is not there yet get ${AT_ONCE} addresses`, async () => {
  await using machine = await Machine.create();
  const ids = Array.from({ length: AT_ONCE }, (_, i) => `c${i}`);
  for (const id of ids) await machine.namespace(id);
  const results = await Promise.all(ids.map((id) => machine.ok("ADD", id, NETWORK)));
  const addresses = results.map(({ ips }) => ips[0].address);
  assertEquals(new Set(addresses).size, AT_ONCE);
  assertEquals((await machine.leases()).length, 2 * AT_ONCE);
  await Promise.all(ids.map((id) => machine.ok("DEL", id, NETWORK)));
  await machine.assertEmpty();
});

Deno.test("both implementations at once on one store give no address twice", async () => {
  await using machine = await Machine.create();
  const ids = Array.from({ length: AT_ONCE / 2 }, (_, i) => `c${i}`);
  for (const id of ids) await machine.namespace(id);
  const of = (i: number) => i % 2 === 0 ? "/run/ours" : CNI_PLUGINS;
  const results = await Promise.all(ids.map((id, i) => machine.ok("ADD", id, NETWORK, of(i))));
  assertEquals(new Set(results.map(({ ips }) => ips[0].address)).size, ids.length);
  // Each takes away what the other has made.
  await Promise.all(
    ids.map((id, i) => machine.ok("DEL", id, { ...NETWORK, prevResult: results[i] }, of(i + 1))),
  );
  await machine.assertEmpty();
});

const CROSSED = [["/run/ours", CNI_PLUGINS], [CNI_PLUGINS, "/run/ours"]] as const;
for (const [by, other] of partOf(CROSSED, 2)) {
  const name = by === CNI_PLUGINS ? "the reference's" : "ours";
  const types = [
    ...["bridge", "ptp", "macvlan", "host-device", "host-local", "static", "loopback"],
    ...["firewall", "tuning", "bandwidth", "sbr", "portmap"],
  ];
  Deno.test(`crossed: what ${name} attach, the others check and detach`, async () => {
    await using machine = await Machine.create(types);
    await machine.sandbox.ok(["ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1"]);
    await machine.sandbox.ok(["ip", "link", "set", "up0", "up"]);
    const configs = [
      NETWORK,
      { ...NETWORK, ipMasq: false, type: "ptp" },
      { ...NETWORK, type: "ptp" },
      { ...NETWORK, type: "macvlan", master: "up0" },
      { cniVersion: "1.0.0", name: "net", type: "loopback" },
      { ...NETWORK, ipam: { type: "static", addresses: [{ address: "10.9.0.9/16" }] } },
      { ...NETWORK, type: "host-device", device: "up1" },
    ];
    for (const [i, config] of configs.entries()) {
      const id = `c${i}`;
      await machine.namespace(id);
      const prevResult = await machine.ok("ADD", id, config, by);
      await machine.ok("CHECK", id, { ...config, prevResult }, other);
      await machine.ok("DEL", id, { ...config, prevResult }, other);
      // The reference refuses a second DEL of a device that it has given back.
      if (config.type !== "host-device" || other !== CNI_PLUGINS) {
        await machine.ok("DEL", id, config, other);
      }
      assertEquals(await machine.leases(), []);
    }
    await machine.sandbox.ok(["ip", "link", "del", "up0"]);

    const chained = { cniVersion: "1.0.0", name: "net" };
    const burst = { ingressBurst: 1_000_000, egressBurst: 1_000_000 };
    const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
    const metas = [
      { ...chained, type: "firewall", backend: "iptables" },
      { ...chained, type: "tuning", mtu: 1400, promisc: true },
      { ...chained, type: "bandwidth", ingressRate: 1_000_000, egressRate: 1_000_000, ...burst },
      { ...chained, type: "sbr" },
      // The reference does not know the rules of ours: docs/plugins.md says how to change back.
      ...by === CNI_PLUGINS
        ? [{ ...chained, type: "portmap", runtimeConfig: { portMappings } }]
        : [],
    ];
    await machine.namespace("chained");
    for (const config of metas) {
      const first = await machine.ok("ADD", "chained", NETWORK, by);
      const prevResult = await machine.ok("ADD", "chained", { ...config, prevResult: first }, by);
      const whole = { ...config, prevResult };
      if (config.type !== "portmap") await machine.ok("CHECK", "chained", whole, other);
      await machine.ok("DEL", "chained", whole, other);
      await machine.ok("DEL", "chained", { ...NETWORK, prevResult }, other);
      const rules = await machine.sandbox.ok(["iptables-save"]);
      assertEquals(rules.match(/.*(?:10\.9\.|dport 8080|chained).*/g), null, config.type);
    }
    await machine.assertEmpty();
  });
}

Deno.test("packets: to the gateway, a neighbour and outside, and back", async () => {
  await using machine = await Machine.create(["bridge", "ptp", "macvlan", "host-local"]);
  const { sandbox } = machine;
  const outside = await sandbox.outside();
  await sandbox.ok(["ip", "link", "add", "up0", "type", "bridge"]);
  await sandbox.ok(["ip", "address", "add", "10.9.0.1/16", "dev", "up0"]);
  await sandbox.ok(["ip", "link", "set", "up0", "up"]);
  const pings = async (id: string, address: string) => {
    const { code, stdout } = await machine.inside(id, ["ping", "-c1", "-W30", address]);
    assertEquals(code, 0, `${id} to ${address}: ${stdout}`);
  };
  for (const type of ["macvlan", "ptp", "bridge"]) {
    const config = { ...NETWORK, type, master: "up0", ipMasq: type !== "macvlan" };
    const results = [];
    for (const id of [`${type}-a`, `${type}-b`]) {
      await machine.namespace(id);
      results.push(await machine.ok("ADD", id, config));
    }
    const neighbour = results[1].ips[0].address.split("/")[0];
    // A macvlan does not reach the host's own addresses below it.
    if (type !== "macvlan") await pings(`${type}-a`, "10.9.0.1");
    await pings(`${type}-a`, neighbour);
    // Outside knows no route to the container: what comes back was masqueraded.
    if (type !== "macvlan") await pings(`${type}-a`, outside.address);
    for (const id of [`${type}-a`, `${type}-b`]) await machine.ok("DEL", id, config);
    if (type === "macvlan") await sandbox.ok(["ip", "link", "del", "up0"]);
  }
  await machine.assertEmpty();
});

Deno.test("packets: behind ptp, the gateway of IPv6 answers as soon as ADD has ended", async () => {
  await using machine = await Machine.create(["ptp", "host-local"]);
  // A kernel that looks for others with the address takes this long on a busy host, too.
  await machine.sandbox.ok(["sysctl", "-qw", "net.ipv6.conf.default.dad_transmits=9"]);
  await machine.namespace("a");
  await machine.inside("a", ["sysctl", "-qw", "net.ipv6.conf.default.dad_transmits=1"]);
  await machine.ok("ADD", "a", { ...NETWORK, type: "ptp", ipMasq: false });
  const { code, stdout } = await machine.inside("a", ["ping", "-c1", "-W5", "fd09::1"]);
  assertEquals(code, 0, stdout);
});

Deno.test("an ADD that fails leaves nothing, and says what was wrong", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  const broken = { ...NETWORK, ipMasqBackend: "ebtables" };
  const { code, stdout } = await machine.call("ADD", "a", broken);
  assertEquals(code, 1);
  assertStringIncludes(JSON.parse(stdout).msg, "ipMasqBackend");
  await machine.assertEmpty();
  // As long as a framework may make the id of a nested container.
  const long = `${"a".repeat(235)}.b.c`;
  await machine.namespace(long);
  const masked = { ...NETWORK, isGateway: true, ipMasq: true };
  for (
    const [config, isMade] of [
      [{ ...masked, ipMasqBackend: "iptables" }, false],
      [{ ...masked, ipMasqBackend: "nftables" }, true],
      [{ ...masked, ipMasq: false, macspoofchk: true }, false],
    ] as const
  ) {
    const added = await machine.call("ADD", long, config);
    assertEquals(added.code, isMade ? 0 : 1, added.stdout);
    if (!isMade) assertStringIncludes(JSON.parse(added.stdout).msg, "no room for a comment");
    assert(!added.stdout.includes("    at "), added.stdout);
    await machine.ok("DEL", long, config);
    await machine.assertEmpty();
  }
  await machine.sandbox.ok(["ip", "link", "del", "br0"]);
  assert(!(await machine.sandbox.ok(["ip", "link"])).includes("br0"));
});

Deno.test("DEL finds what its container renamed or took elsewhere, and what is out of reach", async () => {
  const types = ["bridge", "ptp", "macvlan", "host-device"];
  await using machine = await Machine.create([...types, "host-local"]);
  await machine.sandbox.ok(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1"]);
  for (const id of [...types, "beside", "nested"]) await machine.namespace(id);
  const rename = ["ip", "link", "set", "eth0", "name", "mine"];
  const nest = ["ip", "link", "set", "eth0", "netns", "/run/ns/nested"];
  const isIn = async (id: string, name: string) =>
    (await machine.inside(id, ["ip", "link", "show", name])).code === 0;
  for (const type of types.slice(0, 3)) {
    const network = { ...NETWORK, type, master: "lan0", ipMasq: false };
    const neighbour = { ...network, name: "beside", ipam: {} };
    if (type !== "ptp") await machine.ok("ADD", "beside", neighbour);
    for (const hide of type === "macvlan" ? [rename] : [rename, nest]) {
      const [where, name] = hide === rename ? [type, "mine"] as const : ["nested", "eth0"] as const;
      for (
        const known of partOf(["result", "namespace", "neither", "namespace, and two ADDs"], 2)
      ) {
        const prevResult = await machine.ok("ADD", type, network);
        assertEquals((await machine.inside(type, hide)).code, 0);
        const more = known === "result" ? { prevResult } : {};
        const unnamed = known === "neither" ? ["env", "CNI_NETNS="] : [];
        if (known.includes("two ADDs")) {
          await machine.sandbox.ok(["rm", "-r", LEASES]);
          await machine.ok("ADD", type, network);
          assert(!await isIn(where, name), `${type}: two of one attachment`);
        }
        await machine.ok("DEL", type, { ...network, ...more }, undefined, unnamed);
        assert(!await isIn(where, name), `${type}, by ${known}: ${hide.join(" ")}`);
      }
    }
    if (type === "ptp") continue;
    assert(await isIn("beside", "eth0"), `${type} of another container`);
    await machine.ok("DEL", "beside", neighbour);
  }
  const device = { ...NETWORK, type: "host-device", device: "lan1" };
  await machine.ok("ADD", "host-device", device);
  assertEquals((await machine.inside("host-device", rename)).code, 0);
  await machine.ok("DEL", "host-device", device);
  await machine.sandbox.ok(["ip", "link", "show", "lan1"]);
  await machine.assertEmpty();
});

Deno.test("a late DEL whose CNI_NETNS leads to a later container's network takes nothing of it", async () => {
  const types = ["bridge", "ptp", "macvlan"];
  await using machine = await Machine.create([...types, "host-local"]);
  await machine.sandbox.ok(["ip", "link", "add", "lan0", "type", "veth", "peer", "name", "lan1"]);
  const reused = ["env", "CNI_NETNS=/run/ns/later"];
  const pairs = [...types.map((type) => [type, type]), ["bridge", "macvlan"], [
    "macvlan",
    "bridge",
  ]];
  for (const pair of pairs) {
    const [network, later] = pair.map((type) => ({ ...NETWORK, type, master: "lan0" }));
    for (const id of ["early", "later"]) await machine.namespace(id);
    await machine.ok("ADD", "early", network!);
    await machine.sandbox.ok(["umount", "/run/ns/early"]);
    await machine.ok("ADD", "later", later!);
    const before = await machine.leases();
    await machine.ok("DEL", "early", network!, undefined, reused);
    const { code } = await machine.inside("later", ["ip", "link", "show", "eth0"]);
    const left = (await machine.leases()).length;
    assertEquals([code, left], [0, before.length - 2], pair.join(", then "));
    await machine.ok("DEL", "later", later!);
    await machine.sandbox.ok(["umount", "/run/ns/later"]);
  }
  await machine.assertEmpty();
});

Deno.test("a late DEL gives a later container's interface no setting back", async () => {
  await using machine = await Machine.create(["bridge", "host-local", "tuning"]);
  const tuning = { cniVersion: "1.0.0", name: "net", type: "tuning" };
  const prevResults = new Map<string, object>();
  for (const id of ["early", "later"]) {
    await machine.namespace(id);
    prevResults.set(id, await machine.ok("ADD", id, { ...NETWORK, ipMasq: false }));
    const prevResult = prevResults.get(id);
    const mac = id === "early" ? "02:00:00:00:00:01" : "02:00:00:00:00:02";
    await machine.ok("ADD", id, { ...tuning, mac, mtu: 1400, prevResult });
    if (id === "early") await machine.sandbox.ok(["umount", "/run/ns/early"]);
  }
  const link = async () => (await machine.inside("later", ["ip", "link", "show", "eth0"])).stdout;
  const before = await link();
  const prevResult = prevResults.get("early");
  await machine.ok("DEL", "early", { ...tuning, mtu: 1400, prevResult }, undefined, [
    ...["env", "CNI_NETNS=/run/ns/later"],
  ]);
  assertEquals(await link(), before);
  await machine.ok("DEL", "later", { ...tuning, mtu: 1400, prevResult: prevResults.get("later") });
  assertMatch(await link(), /mtu 1500/);
});

Deno.test("DEL succeeds at whatever moment its container's network goes", async () => {
  await using machine = await Machine.create();
  for (let moment = 1; moment <= 12; moment++) {
    await machine.namespace("a");
    await machine.ok("ADD", "a", NETWORK);
    // From this look at it on, nothing is there.
    await machine.ok("DEL", "a", NETWORK, undefined, [
      ...["strace", "-f", "-qq", "-o", "/dev/null", "-P", "/run/ns/a"],
      ...["-e", `inject=statx,open,openat:error=ENOENT:when=${moment}+`],
    ]);
    await machine.ok("DEL", "a", NETWORK);
    await machine.sandbox.ok(["umount", "/run/ns/a"]);
  }
  await machine.assertEmpty();
});

Deno.test("a device goes back under its own name, whatever its container says of it and of others", async () => {
  await using machine = await Machine.create(["host-device"]);
  const hwaddr = "02:00:00:00:00:99";
  const pair = ["lan0", "type", "veth", "peer", "name", "lan1", "address", hwaddr];
  await machine.sandbox.ok(["ip", "link", "add", ...pair]);
  const device = { cniVersion: "1.0.0", name: "net", type: "host-device", hwaddr };
  const host = async () =>
    (await machine.sandbox.ok(["ip", "-o", "link"])).match(/(?<=^\d+: )\w+/gm)?.sort();
  const before = await host();
  const says = [
    "ip link set eth0 alias mgmt0",
    "ip link set eth0 alias ''",
    "ip link set eth0 down; ip link set eth0 name data address 02:00:00:00:00:01; " +
    "ip link add eth0 type bridge; ip link set eth0 alias mgmt0",
  ];
  for (const say of says) {
    await machine.namespace("a");
    await machine.ok("ADD", "a", device);
    assertEquals((await machine.inside("a", ["sh", "-c", say])).code, 0);
    await machine.ok("DEL", "a", device);
    assertEquals(await host(), before, say);
    await machine.ok("DEL", "a", device);
    await machine.sandbox.ok(["umount", "/run/ns/a"]);
  }
  // Nor does a late DEL take it from a later container, to which it was given under the same name.
  for (const id of ["early", "later"]) {
    await machine.namespace(id);
    await machine.ok("ADD", id, device);
    if (id === "later") continue;
    await machine.sandbox.ok(["umount", "/run/ns/early"]);
    await until(async () => !(await host())?.includes("lan0"), "the pair is gone");
    await machine.sandbox.ok(["ip", "link", "add", ...pair]);
  }
  await machine.ok("DEL", "early", device, undefined, ["env", "CNI_NETNS=/run/ns/later"]);
  assertEquals((await machine.inside("later", ["ip", "link", "show", "eth0"])).code, 0);
  await machine.ok("DEL", "later", device);
  assertEquals(await host(), before);
  assertEquals(await machine.sandbox.ok(["ls", "/run/mesos-cni/host-device"]), "");
});

Deno.test("a store's files that are pipes, directories or links in a circle keep nobody waiting", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  await machine.sandbox.ok(["mkdir", "-p", LEASES]);
  await machine.sandbox.ok(["mkfifo", `${LEASES}/lock`, `${LEASES}/last_reserved_ip.0`]);
  await machine.sandbox.ok(["mkdir", `${LEASES}/last_reserved_ip.1`]);
  await machine.sandbox.ok(["ln", "-s", "10.9.0.2", `${LEASES}/10.9.0.2`]);
  const { stdout, stderr } = await machine.call("ADD", "a", NETWORK, undefined, ["timeout", "10"]);
  assertMatch(stderr, /remove it.*last_reserved_ip\.1/);
  assertEquals(JSON.parse(stdout).ips[0].address, "10.9.0.3/16");
  await machine.ok("DEL", "a", NETWORK, undefined, ["timeout", "10"]);
  assertEquals(await machine.leases(), ["10.9.0.2"]);
});

Deno.test("a pipe in the place of a container's network keeps nobody waiting", async () => {
  await using machine = await Machine.create(["host-local", "firewall"]);
  await machine.sandbox.ok(["mkfifo", "/run/ns/a"]);
  const prevResult = { cniVersion: "1.0.0", ips: [{ address: "10.9.0.2/16" }] };
  for (const [type, ipam] of [["host-local", NETWORK.ipam], ["firewall", undefined]]) {
    const config = { ...NETWORK, type, ipam, prevResult };
    await machine.ok("ADD", "a", config, undefined, ["timeout", "10"]);
    await machine.ok("DEL", "a", config, undefined, ["timeout", "10"]);
  }
  await machine.assertEmpty();
});

Deno.test("a network whose name no directory can have is refused in a few words, and its DEL succeeds", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  for (const name of ["n".repeat(300), "n".repeat(100_000)]) {
    for (const config of [{ ...NETWORK, name }, { ...NETWORK, name, type: "host-local" }]) {
      const { code, stdout, stderr } = await machine.call("ADD", "a", config);
      assertEquals([code, stderr], [1, ""]);
      const { msg, details } = JSON.parse(stdout);
      assertMatch(msg, /^the name "n+… is too long: its leases would be in "/);
      assertEquals(details, undefined);
      await machine.ok("DEL", "a", config);
    }
  }
  await machine.assertEmpty();
});

Deno.test("DEL takes a config that ADD refuses for its length", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  const long = { ...NETWORK, of: "x".repeat(5 << 20) };
  const { code, stdout } = await machine.call("ADD", "a", long);
  assertEquals(code, 1, stdout.slice(0, 1000));
  assertMatch(JSON.parse(stdout).msg, /more than 4194304 bytes/);
  await machine.ok("DEL", "a", long);
  // As of one whose result makes it longer than ADD's.
  await machine.ok("ADD", "a", NETWORK);
  await machine.ok("DEL", "a", long);
  await machine.assertEmpty();
});

Deno.test("what is in the place of a store's lock is told, and what to do", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  for (const make of [["mkdir"], ["ln", "-s", "lock"]]) {
    await machine.sandbox.ok(["mkdir", "-p", LEASES]);
    await machine.sandbox.ok([...make, `${LEASES}/lock`]);
    const { code, stdout } = await machine.call("DEL", "a", NETWORK);
    assertEquals(code, 1);
    assertMatch(
      JSON.parse(stdout).msg,
      /^can't lock .*\/lock: .* \(E[A-Z]+\); (move it|remove the)/,
    );
    await machine.sandbox.ok(["rm", "-r", `${LEASES}/lock`]);
  }
});

Deno.test("among 10,000 leases an attachment gets and gives back its own, and the store stays the reference's", async () => {
  await using machine = await Machine.create();
  await machine.sandbox.ok([
    "sh",
    "-c",
    `mkdir -p ${LEASES}; cd ${LEASES}; i=0
    while [ $i -lt 10000 ]; do
      printf 'old%s\\r\\neth0' $i > 10.9.$((i / 250 + 1)).$((i % 250 + 1)); i=$((i + 1))
    done; printf 10.9.1.1 > last_reserved_ip.0`,
  ]);
  const only4 = { ...NETWORK, ipMasq: false, ipam: { type: "host-local", subnet: "10.9.0.0/16" } };
  await machine.namespace("a");
  await machine.namespace("b");
  // The next free one is behind all that are leased.
  const first = await machine.ok("ADD", "a", only4);
  assertEquals(first.ips[0].address, "10.9.1.251/16");
  const second = await machine.ok("ADD", "b", only4);
  assertEquals(second.ips[0].address, "10.9.1.252/16");
  await machine.ok("DEL", "b", only4);
  assertEquals((await machine.leases()).length, 10_001);
  await machine.ok("DEL", "a", only4);
  assertEquals((await machine.leases()).length, 10_000);
});

Deno.test("DEL gives its own leases back, though a power cut has emptied their files", async () => {
  await using machine = await Machine.create();
  const other = ["env", "CNI_IFNAME=eth1"];
  for (const id of ["a", "b"]) {
    await machine.namespace(id);
    await machine.ok("ADD", id, NETWORK);
  }
  await machine.ok("ADD", "a", NETWORK, undefined, other);
  await machine.sandbox.ok(["sh", "-c", `truncate -s 0 ${LEASES}/*.*.* ${LEASES}/*:*`]);
  await machine.ok("DEL", "a", NETWORK);
  assertEquals(await machine.leases(), ["10.9.0.3", "10.9.0.4", "fd09::3", "fd09::4"]);
  await machine.ok("DEL", "a", NETWORK, undefined, other);
  await machine.ok("DEL", "b", NETWORK);
  await machine.assertEmpty();
});

Deno.test("a live container's address is not given out again, also when the store was lost", async () => {
  await using machine = await Machine.create();
  const only4 = { ...NETWORK, ipMasq: false, ipam: { type: "host-local", subnet: "10.9.0.0/29" } };
  for (const id of ["a", "b", "c", "d", "e"]) await machine.namespace(id);
  const addressOf = async (id: string) => (await machine.ok("ADD", id, only4)).ips[0].address;
  assertEquals(await addressOf("a"), "10.9.0.2/29");
  assertEquals(await addressOf("b"), "10.9.0.3/29");
  await machine.sandbox.ok(["rm", "-r", LEASES]);
  assertEquals(await addressOf("c"), "10.9.0.4/29");
  assertEquals(await addressOf("d"), "10.9.0.5/29");
  assertEquals(await addressOf("e"), "10.9.0.6/29");
  await machine.ok("DEL", "d", only4);
  // All others are somebody's, with a lease or without.
  assertEquals(await addressOf("d"), "10.9.0.5/29");
  await machine.ok("DEL", "a", only4);
  await machine.ok("DEL", "e", only4);
  assertEquals(await addressOf("e"), "10.9.0.6/29");
  assertEquals(await addressOf("a"), "10.9.0.2/29");
});

Deno.test("a live container's address is not given out again when an older store was put back, nor one that only a record names", async () => {
  await using machine = await Machine.create(["bridge", "host-local", "firewall"]);
  const only4 = { ...NETWORK, ipMasq: false, ipam: { type: "host-local", subnet: "10.9.0.0/29" } };
  for (const id of ["a", "b", "c", "d"]) await machine.namespace(id);
  const addressOf = async (id: string) => (await machine.ok("ADD", id, only4)).ips[0].address;
  assertEquals(await addressOf("a"), "10.9.0.2/29");
  await machine.sandbox.ok(["cp", "-a", LEASES, "/run/older"]);
  const prevResult = await machine.ok("ADD", "b", only4);
  assertEquals(prevResult.ips[0].address, "10.9.0.3/29");
  const passage = { cniVersion: "1.0.0", name: "net", type: "firewall", backend: "iptables" };
  await machine.ok("ADD", "b", { ...passage, prevResult });
  await machine.sandbox.ok(["rm", "-r", LEASES]);
  await machine.sandbox.ok(["cp", "-a", "/run/older", LEASES]);
  assertEquals(await addressOf("c"), "10.9.0.4/29");
  await machine.inside("b", ["ip", "address", "flush", "dev", "eth0"]);
  await machine.ok("DEL", "c", only4);
  await machine.sandbox.ok(["rm", "-r", LEASES]);
  assertEquals(await addressOf("c"), "10.9.0.4/29");
  await machine.ok("DEL", "b", { ...passage, prevResult });
  assertEquals(await addressOf("d"), "10.9.0.5/29");
});

// Attributes of the `trusted` kind need root's rights outside of user namespaces.
Deno.test("of two containers of one id, the refused one's DEL takes nothing from the other", {
  ignore: NEEDS_ROOT,
}, async () => {
  await using machine = await Machine.create([
    "bridge",
    "ptp",
    "host-local",
    "firewall",
    "bandwidth",
  ]);
  for (const id of ["a", "b"]) await machine.namespace(id);
  const second = ["env", `CNI_NETNS=/run/ns/b`];
  const had = async () =>
    [
      await machine.leases(),
      await machine.sandbox.ok([
        "sh",
        "-c",
        "ip -o link; iptables-save | grep -e POSTROUTING -e CNI-FORWARD; ip6tables-save | grep -e POSTROUTING -e CNI-FORWARD",
      ]),
    ].join("\n");
  const { bridge: _bridge, isGateway: _isGateway, ...wire } = NETWORK;
  for (const config of [NETWORK, { ...wire, type: "ptp" }, { ...NETWORK, macspoofchk: true }]) {
    const prevResult = await machine.ok("ADD", "a", config);
    const passage = {
      cniVersion: "1.0.0",
      name: "net",
      type: "firewall",
      backend: "iptables",
      prevResult,
    };
    const limit = {
      ...{ ...passage, type: "bandwidth" },
      ...{ egressRate: 1_000_000, egressBurst: 1_000_000 },
    };
    await machine.ok("ADD", "a", passage);
    await machine.ok("ADD", "a", limit);
    const before = (await had()).replaceAll(/ \[.*\]/g, "");
    const { code, stdout } = await machine.call("ADD", "a", config, "/run/ours", second);
    assertEquals(code, 1, stdout);
    assertStringIncludes(stdout, "already leased to eth0 of container a");
    for (const one of [limit, passage, config]) {
      const { code: done, stderr } = await machine.call("DEL", "a", one, "/run/ours", second);
      assertEquals(done, 0, stderr);
      assertStringIncludes(stderr, "goes on in another network namespace, and keeps what it has");
    }
    assertEquals((await had()).replaceAll(/ \[.*\]/g, ""), before, config.type);
    // The reference reads and frees these leases as its own; and so does ours once the first has ended.
    await machine.ok("DEL", "a", limit);
    await machine.ok("DEL", "a", passage);
    await machine.ok("DEL", "a", config, CNI_PLUGINS);
    await machine.assertEmpty();
  }
  await machine.ok("ADD", "a", NETWORK);
  await machine.sandbox.ok(["umount", "/run/ns/a"]);
  await machine.ok("DEL", "a", NETWORK, "/run/ours", second);
  await machine.assertEmpty();
});

Deno.test("without CNI_COMMAND a plugin says what it is", async () => {
  await using machine = await Machine.create();
  const { code, stdout, stderr } = await machine.sandbox.run(["/run/ours/bridge"]);
  assertEquals([code, stdout], [0, ""]);
  assertMatch(
    stderr,
    /^CNI bridge plugin v1\.10\.0\nCNI plugin bridge of mesos-cni .*\nCNI protocol versions supported: 0\.1\.0,/,
  );
});

Deno.test("portmap leads what meets its conditions, and masquerades all of it with masqAll", async () => {
  await using machine = await Machine.create(["bridge", "host-local", "portmap"]);
  await machine.namespace("a");
  const prevResult = await machine.ok("ADD", "a", NETWORK);
  const portMappings = [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }];
  const config = {
    ...{ cniVersion: "1.0.0", name: "net", type: "portmap", prevResult },
    runtimeConfig: { portMappings },
  };
  const conditionsV4 = ["!", "-s", "192.0.2.0/24", "-i", "eth+"];
  const limited = { ...config, conditionsV4, masqAll: true };
  await machine.ok("ADD", "a", limited);
  await machine.ok("CHECK", "a", limited);
  const rules = await machine.sandbox.ok(["iptables-save", "-t", "nat"]);
  assertMatch(
    rules,
    /-A MESOS-CNI-PORTMAP ! -s 192\.0\.2\.0\/24 -i eth\+ -p tcp .*--to-destination 10\./,
  );
  const back = rules.split("\n").filter((line) => /^-A MESOS-CNI-SNAT .*MASQUERADE/.test(line));
  assertEquals(back.length, 1, rules);
  assert(!back[0]!.includes(" -s "), back[0]);
  await machine.ok("DEL", "a", limited);
  assert(!(await machine.sandbox.ok(["iptables-save"])).includes("dport 8080"));

  for (
    const [wrong, says] of [
      [
        { conditionsV4: ["-m", "mark", "--jump", "ACCEPT"] },
        "matches of iptables, and nothing else",
      ],
      [{ conditionsV4: ["-s", "fd00::1"] }, "IPv4 address"],
      [{ conditionsV4: ["-s"] }, "IPv4 address"],
      [{ conditionsV6: ["-i", "a b"] }, "a device behind -i"],
      [{ conditionsV6: ["!"] }, 'behind "!"'],
      [{ conditionsV4, backend: "nftables" }, "conditionsV4 is of the backend"],
    ] as const
  ) {
    const { code, stdout } = await machine.call("ADD", "a", { ...config, ...wrong });
    assertEquals(code, 1);
    assertStringIncludes(JSON.parse(stdout).msg, says);
  }
  await machine.ok("DEL", "a", { ...NETWORK, prevResult });
});

Deno.test("disableIPv6: a new container sends the others no multicast of IPv6, and gets no address of it", async () => {
  await using machine = await Machine.create();
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.9.0.0/16" }]] };
  const network = { ...NETWORK, ipMasq: false, ipam };
  const without = { ...network, disableIPv6: true };
  for (const id of ["witness", "with", "without"]) await machine.namespace(id);
  await machine.ok("ADD", "witness", without);
  const argv = ["nsenter", "--net=/run/ns/witness", "--", "tcpdump", "-enl", "-i", "eth0"];
  const ear = new Running(machine.sandbox.spawn(argv));
  await until(() => ear.stderr.includes("listening on"), "tcpdump listens");
  /** The kinds of frames of a new container that another one of its bridge is handed. */
  const attach = async (id: string, config: object) => {
    const { interfaces } = await machine.ok("ADD", id, config);
    const mac: string = interfaces.find(({ sandbox }: { sandbox?: string }) => sandbox).mac;
    return (kind: string) =>
      ear.stdout.split("\n").filter((line) => line.includes(`${mac} > `) && line.includes(kind));
  };
  const usual = await attach("with", network);
  await until(() => usual("IPv6").length >= 3, "IPv6 of a usual container is heard");
  const quiet = await attach("without", without);
  // As long as the kernel puts off its reports (RFC 3810, unsolicited), and more.
  await new Promise((resolve) => setTimeout(resolve, 2500));
  await machine.inside("without", ["ping", "-c1", "-W30", "10.9.0.1"]);
  await until(() => quiet("ARP").length >= 1, "a container without IPv6 is heard at all");
  assertEquals(quiet("IPv6"), []);
  await ear.end();
  const shown = await machine.inside("without", ["ip", "-o", "address", "show", "eth0"]);
  assertMatch(shown.stdout, /^[^\n]* inet 10\.9\.0\.\d+\/16 [^\n]*\n$/);

  const both = { ...NETWORK, disableIPv6: true };
  await machine.namespace("v6");
  const { code, stdout } = await machine.call("ADD", "v6", both);
  assertEquals(code, 1);
  assertMatch(JSON.parse(stdout).msg, /^disableIPv6 and the address fd09::\S+ of ipam exclude/);
  assertEquals((await machine.leases()).filter((name) => name.startsWith("fd")), []);
  for (const id of ["witness", "with", "without"]) await machine.ok("DEL", id, network);
  await machine.assertEmpty();
});
