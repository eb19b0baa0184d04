/** Real packets from everywhere, through every backend, to containers of several delegates. */
import { assertEquals, assertMatch } from "@std/assert";
import { partOf } from "../harness/part.ts";
import {
  bridge,
  DUAL_STACK,
  type Json,
  network,
  PortMapperAgent,
  type Variant,
} from "../harness/port_mapper.ts";

const AGENT = "203.0.113.1";
const AGENT_6 = "2001:db8:113::1";

const WAYS: { name: string; backend: string; variant: Variant }[] = [
  { name: "iptables-nft", backend: "iptables", variant: "nft" },
  { name: "iptables-legacy", backend: "iptables", variant: "legacy" },
  { name: "nftables", backend: "nftables", variant: "nft" },
];

const BOTH = [
  { host_port: 8080, container_port: 80 },
  { host_port: 8080, container_port: 80, protocol: "udp" },
];

for (const { name, backend, variant } of partOf(WAYS, 3)) {
  Deno.test(`${name}: outside hosts and the agent by its own address reach both protocols`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const outside = await agent.sandbox.outside();
    const config = network(BOTH, { backend });
    await agent.add("c1", config);
    await agent.serve("c1");
    for (const protocol of ["tcp", "udp"] as const) {
      // The container sees who asks: nothing is masqueraded that needs not be.
      assertEquals(
        await agent.ask(AGENT, 8080, { from: outside, protocol }),
        `c1 ${outside.address}`,
      );
      assertMatch(await agent.ask(AGENT, 8080, { protocol }), /^c1 /);
      await agent.assertSilent("127.0.0.1", 8080, { protocol });
    }
    await agent.ok("DEL", "c1", config);
    await agent.assertSilent(AGENT, 8080, { from: outside });
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: with snat also 127.0.0.1, the container itself and its neighbours`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const outside = await agent.sandbox.outside();
    const config = network(BOTH, { backend, snat: true, excludeDevices: [] });
    await agent.add("c1", config);
    await agent.add("c2", network([8082], { backend, snat: true, excludeDevices: [] }));
    await agent.serve("c1");
    for (const protocol of ["tcp", "udp"] as const) {
      assertEquals(await agent.ask("127.0.0.1", 8080, { protocol }), "c1 192.168.0.1");
      assertEquals(await agent.ask("127.1.2.3", 8080, { protocol }), "c1 192.168.0.1");
      for (const from of ["c1", "c2"]) {
        assertEquals(await agent.ask(AGENT, 8080, { from, protocol }), "c1 192.168.0.1");
        assertEquals(await agent.ask("192.168.0.1", 8080, { from, protocol }), "c1 192.168.0.1");
      }
      assertEquals(
        await agent.ask(AGENT, 8080, { from: outside, protocol }),
        `c1 ${outside.address}`,
      );
    }
    await agent.ok("DEL", "c1", config);
    await agent.ok("DEL", "c2", network([8082], { backend }));
    await agent.assertSilent("127.0.0.1", 8080);
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: snat lets nobody else reach what listens on the agent's 127.0.0.1`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const config = network([8080], { backend, snat: true });
    await agent.add("c1", config);
    // A container that sends to 127.0.0.1 by its own default route.
    await agent.sandbox.ok([
      "ip",
      "netns",
      "exec",
      "c1",
      "sh",
      "-c",
      [
        "ip link set lo down",
        "ip route del local 127.0.0.0/8 dev lo table local 2>/dev/null",
        "sysctl -qw net.ipv4.conf.all.route_localnet=1",
        "ip route add 127.0.0.0/8 via 192.168.0.1 dev eth0",
      ].join("; "),
    ]);
    await agent.serve("agent", 99, "the agent itself");
    assertEquals(await agent.ask("127.0.0.1", 99), "agent 127.0.0.1");
    await agent.assertSilent("127.0.0.1", 99, { from: "c1" });
    // No flush of the filter table takes the guard away.
    await agent.sandbox.ok(["iptables", "-F"], { env: { PATH: agent.path } });
    await agent.assertSilent("127.0.0.1", 99, { from: "c1" });
    // Without the guard it would be answered: there is something to be kept from.
    const open = backend === "nftables"
      ? ["nft", "flush", "chain", "inet", "mesos-cni", "loopback_guard"]
      : ["iptables", "-t", "raw", "-F", "MESOS-CNI-GUARD"];
    await agent.sandbox.ok(open, { env: { PATH: agent.path } });
    assertEquals(await agent.ask("127.0.0.1", 99, { from: "c1" }), "agent 192.168.0.2");
    // It is missed, and the next container brings it back.
    const { msg } = await agent.fails("CHECK", "c1", config);
    assertMatch(
      msg,
      backend === "nftables" ? /table inet mesos-cni/ : /-A MESOS-CNI-GUARD .*-j DROP/,
    );
    await agent.add("c2", network([8081], { backend, snat: true }));
    await agent.assertSilent("127.0.0.1", 99, { from: "c1" });
  });

  Deno.test(`${name}: a mapping with a host address is for packets to that address only`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const outside = await agent.sandbox.outside();
    await agent.sandbox.ok(["ip", "address", "add", "203.0.113.200/24", "dev", "wan0"]);
    const on = (hostIP: string) =>
      network([], {
        backend,
        args: undefined,
        runtimeConfig: {
          portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP }],
        },
      });
    await agent.add("c1", on(AGENT));
    await agent.add("c2", on("203.0.113.200"));
    await agent.serve("c1");
    await agent.serve("c2");
    assertMatch(await agent.ask(AGENT, 8080, { from: outside }), /^c1 /);
    assertMatch(await agent.ask("203.0.113.200", 8080, { from: outside }), /^c2 /);
    for (const [id, address] of [["c1", AGENT], ["c2", "203.0.113.200"]]) {
      await agent.ok("DEL", id!, on(address!));
    }
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: excluded devices, several of them, and no others`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const outside = await agent.sandbox.outside();
    await agent.add("c1", network([8080], { backend, excludeDevices: ["mesos-cni0", "other0"] }));
    await agent.add(
      "c2",
      network([8081], { backend, excludeDevices: ["other0", "wan0", "other1"] }),
    );
    await agent.serve("c1");
    await agent.serve("c2");
    assertMatch(await agent.ask(AGENT, 8080, { from: outside }), /^c1 /);
    await agent.assertSilent(AGENT, 8080, { from: "c2" });
    await agent.assertSilent(AGENT, 8081, { from: outside });
    assertMatch(await agent.ask(AGENT, 8081), /^c2 /);
  });

  Deno.test(`${name}: dual stack: both families from outside, and hairpin over IPv6`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const outside = await agent.sandbox.outside();
    const config = network(BOTH, {
      backend,
      snat: true,
      excludeDevices: [],
      cniVersion: "1.0.0",
      delegate: DUAL_STACK,
    });
    await agent.add("c1", config);
    await agent.serve("c1");
    await outside.ok(["ip", "-6", "route", "add", "fd00:1::/64", "via", AGENT_6]);
    for (const protocol of ["tcp", "udp"] as const) {
      const from = { from: outside, protocol };
      assertEquals(await agent.ask(AGENT_6, 8080, from), `c1 ${outside.address6}`);
      assertEquals(await agent.ask(AGENT, 8080, from), `c1 ${outside.address}`);
      assertEquals(await agent.ask(AGENT_6, 8080, { from: "c1", protocol }), "c1 fd00:1::1");
    }
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
  });
}

const host = { type: "host-local", subnet: "10.9.0.0/24", routes: [{ dst: "0.0.0.0/0" }] };
const DELEGATES: Record<string, Json> = {
  bridge: bridge(),
  ptp: { type: "ptp", ipMasq: true, ipam: host },
  // A macvlan container answers by its own gateway, so the agent has an address of that network.
  macvlan: { type: "macvlan", master: "parent0", mode: "bridge", ipam: host },
};
for (const [name, delegate] of partOf(Object.entries(DELEGATES), 3)) {
  Deno.test(`a container of ${name} is reached from outside`, async () => {
    await using agent = await PortMapperAgent.create();
    const outside = await agent.sandbox.outside();
    if (name === "macvlan") {
      await agent.sandbox.ok([
        "sh",
        "-c",
        [
          "ip link add parent0 type veth peer name parent1",
          "ip link set parent0 up && ip link set parent1 up",
          "ip link add gateway0 link parent0 type macvlan mode bridge",
          "ip address add 10.9.0.1/24 dev gateway0 && ip link set gateway0 up",
        ].join(" && "),
      ]);
    }
    const config = network([8080], { excludeDevices: [], delegate });
    await agent.add("c1", config);
    await agent.serve("c1");
    assertEquals(await agent.ask(AGENT, 8080, { from: outside }), `c1 ${outside.address}`);
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
  });
}
