/** What was made is what is undone, whatever happened to the host in between. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { partOf } from "../harness/part.ts";
import { ALL_PARTS } from "../harness/scale.ts";
import {
  bridge,
  DUAL_STACK,
  end,
  network,
  PortMapperAgent,
  STATE_DIR,
} from "../harness/port_mapper.ts";

const BACKENDS = ["iptables", "nftables"] as const;
const PLAIN = bridge({ ipMasq: false });

for (const backend of partOf(BACKENDS, 2)) {
  Deno.test(`${backend}: as many mappings as one container may have, removed as a whole; one more is refused`, async () => {
    await using agent = await PortMapperAgent.create();
    const ports = Array.from({ length: 1024 }, (_, index) => 2000 + index);
    const many = network(ports, { backend, snat: true, delegate: PLAIN });
    await agent.container("c1");
    const more = network([...ports, 9000], { backend, delegate: PLAIN });
    const { code, msg } = await agent.fails("ADD", "c1", more);
    assertEquals(code, 101);
    assertStringIncludes(msg, "1025 port mappings are asked for; one container may have 1024");
    await agent.ok("ADD", "c1", many);
    await agent.ok("DEL", "c1", many);
    assertEquals(await agent.leftovers(), []);
    // By their comments alone.
    await agent.ok("ADD", "c1", many);
    await agent.sandbox.ok(["rm", "-rf", STATE_DIR]);
    await agent.ok("DEL", "c1", many);
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${backend}: ADD with a state directory that is full says so and leaves nothing`, async () => {
    await using agent = await PortMapperAgent.create();
    await agent.sandbox.ok(["mkdir", "-p", "/run/mesos-cni"]);
    const options = "size=256k,nr_inodes=32";
    await agent.sandbox.ok(["mount", "-t", "tmpfs", "-o", options, "state", "/run/mesos-cni"]);
    const config = network([8080, 8081], { backend, snat: true, delegate: PLAIN });
    await agent.add("c1", config);
    await agent.container("c2");
    // From no room at all to nearly enough: it may end between any two steps.
    const fill = "i=0; while touch /run/mesos-cni/f$i 2>/dev/null; do i=$((i+1)); done; true";
    await agent.sandbox.ok(["sh", "-c", fill]);
    const other = network([8090, 8091], { backend, snat: true, delegate: PLAIN });
    let failures = 0;
    for (let room = 0; room < 12; room++) {
      const { code, stdout, json } = await agent.call("ADD", "c2", other);
      if (code === 0) break;
      failures++;
      assertEquals(json!.code, 103, stdout);
      assertStringIncludes(stdout, "no space is left");
      await agent.ok("DEL", "c2", other);
      await agent.sandbox.ok(["rm", `/run/mesos-cni/f${room}`]);
    }
    assert(failures > 2);
    await agent.ok("DEL", "c2", other);
    await agent.ok("DEL", "c1", config);
    await agent.sandbox.ok(["sh", "-c", "rm -f /run/mesos-cni/fill /run/mesos-cni/f[0-9]*"]);
    assertEquals(await agent.leftovers(), []);
  });

  for (const fault of ["full", "without inodes", "read-only"] as const) {
    Deno.test(`${backend}: DEL with a state directory that is ${fault}`, async () => {
      await using agent = await PortMapperAgent.create();
      const mount = ["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=64", "state"];
      await agent.sandbox.ok(["mkdir", "-p", "/run/mesos-cni"]);
      await agent.sandbox.ok([...mount, "/run/mesos-cni"]);
      const config = network([8080, 8081], { backend, snat: true, delegate: PLAIN });
      await agent.add("c1", config);
      const fill = {
        "full": "dd if=/dev/zero of=/run/mesos-cni/fill bs=4k 2>/dev/null; true",
        "without inodes":
          "i=0; while touch /run/mesos-cni/f$i 2>/dev/null; do i=$((i+1)); done; true",
        "read-only": "mount -o remount,ro /run/mesos-cni",
      }[fault];
      await agent.sandbox.ok(["sh", "-c", fill]);
      // Neither lock can be made anew: one directory in the stead of both would be waited for for ever.
      if (fault === "without inodes") {
        await agent.sandbox.ok(["sh", "-c", `rm ${STATE_DIR}/lock; touch /run/mesos-cni/fill`]);
      }
      await agent.ok("DEL", "c1", config);
      assertEquals(await agent.rules("container_id"), []);
      assert(!(await agent.elements()).includes("container_id"));
      assertEquals(
        (await agent.sandbox.ok(["ls", "/var/lib/cni/networks/pm"])).includes("192"),
        false,
      );
      if (fault === "read-only") {
        await agent.sandbox.ok(["mount", "-o", "remount,rw", "/run/mesos-cni"]);
        // Who comes next for the port is not kept from it by what could not be removed.
        await agent.sandbox.ok(["ip", "netns", "delete", "c1"]);
        await agent.add("c2", network([8080], { backend }));
        await agent.ok("DEL", "c2", network([8080], { backend }));
        await agent.ok("DEL", "c1", config);
      }
      await agent.sandbox.ok(["sh", "-c", "rm -f /run/mesos-cni/fill /run/mesos-cni/f[0-9]*"]);
      assertEquals(await agent.leftovers(), []);
    });
  }

  Deno.test(`${backend}: whoever locks /run and / holds up no DEL that can make no lock of its own`, async () => {
    await using agent = await PortMapperAgent.create();
    const config = network([8080], { backend, delegate: PLAIN });
    await agent.add("c1", config);
    await agent.sandbox.ok(["mount", "-t", "tmpfs", "-o", "ro", "state", "/run"]);
    // As any user can, who may open both.
    const argv = ["flock", "/", "flock", "/run", "sh", "-c", "echo held; exec sleep 1000"];
    const holder = agent.sandbox.spawn(argv);
    const reader = holder.stdout.getReader();
    await reader.read();
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.rules("container_id"), []);
    assert(!(await agent.elements()).includes("container_id"));
    holder.kill("SIGKILL");
    await holder.status;
    await Promise.all([holder.stdin.close(), reader.cancel(), holder.stderr.cancel()]);
  });

  Deno.test(`${backend}: a damaged record stops nobody: moved aside, and its port stays its container's`, async () => {
    await using agent = await PortMapperAgent.create();
    const versions = { cniVersion: "1.1.0", backend, delegate: bridge({ cniVersion: "1.0.0" }) };
    const config = network([8080], versions);
    await agent.add("c1", config);
    await agent.add("c2", network([8081], versions));
    await agent.sandbox.ok(["truncate", "-s", "0", `${STATE_DIR}/attachments/c1:pm:eth0.json`]);
    await agent.container("c3");
    const { msg } = await agent.fails("ADD", "c3", config);
    assertStringIncludes(msg, "container_id: c1");
    await agent.ok("GC", "", {
      ...config,
      "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
    }, { netns: null });
    await agent.ok("DEL", "c1", config);
    await agent.ok("DEL", "c2", network([8081], versions));
    await agent.ok("ADD", "c3", config);
    await agent.ok("DEL", "c3", config);
    assertEquals(await agent.leftovers(), [`${STATE_DIR}/damaged/c1:pm:eth0.json`]);
  });

  Deno.test(`${backend}: after the state was wiped, a living container's port is not given to another`, async () => {
    await using agent = await PortMapperAgent.create();
    await agent.add("c1", network([8080], { backend }));
    await agent.sandbox.ok(["rm", "-rf", "/run/mesos-cni"]);
    await agent.container("c2");
    const { code, msg } = await agent.fails("ADD", "c2", network([8080], { backend }));
    assertEquals(code, 103);
    assertStringIncludes(msg, "container_id: c1");
    await agent.ok("ADD", "c2", network([8081], { backend }));
    // Removed by its comment; then the port is free.
    await agent.ok("DEL", "c1", network([8080], { backend }));
    await agent.add("c3", network([8080], { backend }));
  });

  Deno.test(`${backend}: route_localnet is on with the first mapping that needs it, and off with the last`, async () => {
    await using agent = await PortMapperAgent.create();
    const setting = async () =>
      (await agent.sandbox.ok(["cat", "/proc/sys/net/ipv4/conf/mesos-cni0/route_localnet"])).trim();
    const config = (port: number, snat = true) => network([port], { backend, snat });
    await agent.add("plain", config(8070, false));
    assertEquals(await setting(), "0");
    const prevResult = await agent.add("c1", config(8080));
    await agent.add("c2", config(8081));
    assertEquals(await setting(), "1");
    // Somebody takes it back, as sysctl --system does where a file says so.
    await agent.sandbox.ok(["sysctl", "-qw", "net.ipv4.conf.mesos-cni0.route_localnet=0"]);
    const { msg } = await agent.fails("CHECK", "c1", { ...config(8080), prevResult });
    assertStringIncludes(msg, "net.ipv4.conf.mesos-cni0.route_localnet");
    await agent.sandbox.ok(["sysctl", "-qw", "net.ipv4.conf.mesos-cni0.route_localnet=1"]);
    await agent.ok("DEL", "c1", config(8080));
    assertEquals(await setting(), "1");
    await agent.ok("DEL", "c2", config(8081));
    assertEquals(await setting(), "0");
    // What an operator has set stays.
    await agent.sandbox.ok(["sysctl", "-qw", "net.ipv4.conf.mesos-cni0.route_localnet=1"]);
    await agent.add("c3", config(8082));
    await agent.ok("DEL", "c3", config(8082));
    assertEquals(await setting(), "1");
  });

  Deno.test(`${backend}: a port used again at once: the one before has yet to end, or is never detached`, async () => {
    await using agent = await PortMapperAgent.create();
    const config = network([8080], { backend, delegate: PLAIN });
    await agent.add("c1", config);
    await agent.container("c2");
    // Its agent has freed the port; it ends and is detached a while later: on a busy one, some seconds.
    const detached = new Promise((resolve) => setTimeout(resolve, 7_000))
      .then(() => agent.kill("c1")).then(() => agent.ok("DEL", "c1", config));
    await agent.ok("ADD", "c2", config);
    assertEquals(await detached, {});
    // An agent that never does: waited for to the end, 20 s. What is taken over is each backend's own.
    if (ALL_PARTS || backend === "iptables") {
      await agent.kill("c2");
      await agent.add("c3", config);
      const all = (await agent.rules("container_id")).join() + await agent.elements();
      assert(all.includes("container_id: c3") && !all.includes("container_id: c2"), all);
      await agent.ok("DEL", "c3", config);
    }
    await agent.ok("DEL", "c2", config);
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${backend}: CHECK knows an address however it is spelled, and networks of all addresses`, async () => {
    await using agent = await PortMapperAgent.create();
    await agent.container("c1");
    await agent.sandbox.ok(["ip", "link", "add", "mesos-cni0", "type", "bridge"]);
    await agent.sandbox.ok(["ip", "address", "add", "10.1.0.1/24", "dev", "mesos-cni0"]);
    await agent.sandbox.ok(["ip", "link", "set", "mesos-cni0", "up"]);
    const config = {
      ...network([8080], { backend, cniVersion: "1.0.0", delegate: undefined, snat: true }),
      prevResult: {
        cniVersion: "1.0.0",
        ips: [{ address: "10.1.0.2/0" }, { address: "2001:DB8:0::0001/64" }],
      },
    };
    await agent.ok("ADD", "c1", config);
    await agent.ok("CHECK", "c1", config);
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${backend}: excludeDevices with iptables' wildcard, among others`, async () => {
    await using agent = await PortMapperAgent.create();
    const outside = await agent.sandbox.outside();
    const config = network([8080], { backend, excludeDevices: ["none9", "wan+", "mesos-cni0"] });
    await agent.add("c1", config);
    await agent.serve("c1");
    await agent.assertSilent("203.0.113.1", 8080, { from: outside });
    assertStringIncludes(await agent.ask("203.0.113.1", 8080), "c1 ");
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
    await agent.ok("ADD", "c1", network([8080], { backend, excludeDevices: ["xwan+"] }));
    assertStringIncludes(await agent.ask("203.0.113.1", 8080, { from: outside }), "c1 ");
  });

  Deno.test(`${backend}: GC without a list of valid attachments, or with null: none is valid`, async () => {
    await using agent = await PortMapperAgent.create();
    const versions = { cniVersion: "1.1.0", backend, delegate: bridge({ cniVersion: "1.0.0" }) };
    for (const list of [{}, { "cni.dev/valid-attachments": null }]) {
      await agent.container("c1");
      await agent.ok("ADD", "c1", network([8080], versions));
      await agent.ok("GC", "", { ...network([], versions), ...list }, { netns: null });
      assertEquals(await agent.rules("container_id"), []);
      assert(!(await agent.elements()).includes("container_id"));
      await agent.ok("DEL", "c1", network([8080], versions));
      await agent.sandbox.ok(["ip", "netns", "delete", "c1"]);
    }
  });

  Deno.test(`${backend}: mappings as go-cni's callers write them (containerd, nerdctl, Nomad)`, async () => {
    await using agent = await PortMapperAgent.create();
    await agent.container("c1");
    // Byte for byte what a Go structure without JSON tags becomes.
    const config = {
      ...network([], { args: undefined, backend, cniVersion: "1.0.0", delegate: DUAL_STACK }),
      runtimeConfig: {
        portMappings: [
          { HostPort: 8080, ContainerPort: 80, Protocol: "tcp", HostIP: "" },
          { HostPort: 8053, ContainerPort: 53, Protocol: "UDP", HostIP: "0.0.0.0" },
        ],
      },
    };
    const result = await agent.ok("ADD", "c1", config);
    assert(!("ip4" in result));
    const all = (await agent.rules("container_id")).join() + await agent.elements();
    assert(all.includes("8080") && all.includes("8053"), all);
    await agent.ok("DEL", "c1", config);
    assertEquals(await agent.leftovers(), []);
  });
}

Deno.test("rules of the legacy kind are removed after the host's iptables has become the other kind", async () => {
  await using agent = await PortMapperAgent.create("legacy");
  const config = network([8080], { delegate: PLAIN, snat: true });
  await agent.add("c1", config);
  assertEquals((await agent.rules("container_id")).length, 4);
  const nft = agent.path.slice(agent.path.indexOf(":") + 1);
  for (const _ of ["once", "again"]) await agent.ok("DEL", "c1", config, { env: { PATH: nft } });
  assertEquals(await agent.rules("container_id"), []);
  assertEquals(await agent.leftovers(), []);
});

Deno.test("DEL says so where its rules are of the legacy kind, whose program is gone, and succeeds where none are", async () => {
  await using agent = await PortMapperAgent.create("legacy");
  const options = { type: "bridge" };
  const config = { cniVersion: "1.0.0", name: "net", ...bridge() };
  const passage = { cniVersion: "1.0.0", name: "net", type: "firewall" };
  for (const id of ["c1", "c2"]) {
    await agent.container(id);
    const prevResult = await agent.ok("ADD", id, config, options);
    await agent.ok("ADD", id, { ...passage, prevResult }, { type: "firewall" });
  }
  await agent.ok("DEL", "c2", passage, { type: "firewall" });
  await agent.ok("DEL", "c2", config, options);
  const empty = `${agent.sandbox.dir}/empty`;
  await Deno.mkdir(empty);
  await agent.sandbox.ok(["mount", "--bind", empty, "/usr/sbin"]);
  const env = { PATH: "/usr/bin" };
  for (const [type, call] of [["firewall", passage], ["bridge", config]] as const) {
    const { msg } = await agent.fails("DEL", "c1", call, { type, env });
    assertStringIncludes(msg, "iptables of the legacy kind, which is not installed");
    await agent.ok("DEL", "c2", call, { type, env });
  }
  await agent.sandbox.ok(["umount", "/usr/sbin"]);
  await agent.ok("DEL", "c1", passage, { type: "firewall" });
  await agent.ok("DEL", "c1", config, options);
  assertEquals(await agent.rules("c1"), []);
  const filter = await agent.sandbox.ok(["iptables-legacy-save", "-t", "filter"]);
  assert(!filter.includes("192.168.0."), filter);
});

for (const [protocol, kind] of [["tcp", "STREAM"], ["udp", "DGRAM"]] as const) {
  Deno.test({
    name:
      `a port stays whose task has gone into another network, and answers ${protocol} in the one it was given`,
    ignore: !ALL_PARTS,
    fn: async () => {
      await using agent = await PortMapperAgent.create();
      const config = network([{ host_port: 8080, container_port: 80, protocol }]);
      await agent.add("c1", config);
      const leaving = agent.sandbox.spawn([
        ...["ip", "netns", "exec", "c1", "/usr/bin/python3", "-c"],
        `import ctypes, socket, time
answering = socket.socket(socket.AF_INET, socket.SOCK_${kind})
answering.bind(("", 80))
if "${protocol}" == "tcp": answering.listen()
ctypes.CDLL(None).unshare(0x40000000)
time.sleep(1000)`,
      ]);
      const inside = ["ip", "netns", "exec", "c1", "ss", "-Hltun"];
      while (await agent.sandbox.ok(inside) === "") {
        await new Promise((done) => setTimeout(done, 20));
      }
      await agent.kill("c1");
      await agent.container("c2");
      const { code, stdout } = await agent.call("ADD", "c2", config);
      assertEquals(code, 1);
      assertStringIncludes(stdout, `8080/${protocol} is taken by container c1`);
      await end(leaving);
    },
  });
}

for (const variant of ["nft", "legacy"] as const) {
  Deno.test(`an id for which no rule has room is refused, and leaves nothing (${variant})`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    agent.search = undefined; // what is inside of the program masquerades by a comment with the whole id
    const id = "z".repeat(246);
    await agent.container("c1");
    const { code } = await agent.call("ADD", id, network([8080]), { netns: "/run/netns/c1" });
    assertEquals(code, 1);
    assertEquals(await agent.leftovers(), []);
    await agent.ok("DEL", id, network([8080]), { netns: "/run/netns/c1" });
  });
}

Deno.test("a repeated ADD leaves the mappings of the container's other network (legacy)", async () => {
  await using agent = await PortMapperAgent.create("legacy");
  const one = network([8080], { delegate: PLAIN });
  const other = {
    ...network([8081], { name: "other", delegate: undefined }),
    prevResult: { cniVersion: "0.1.0", ip4: { ip: "10.9.0.2/24" } },
  };
  await agent.add("c1", other, { ifName: "eth1" });
  const again = {
    ...one,
    delegate: undefined,
    prevResult: { cniVersion: "0.1.0", ip4: { ip: "10.8.0.2/24" } },
  };
  await agent.ok("ADD", "c1", again);
  await agent.ok("ADD", "c1", again);
  assertEquals((await agent.rules("container_id")).length, 2);
  assertEquals((await agent.rules("--dport 8081")).length, 1);
});

Deno.test("a daemon that a killed ADD's delegate left holds up no DEL for its lifetime", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.script(
    "daemon",
    "cat > /dev/null; if [ $CNI_COMMAND = ADD ]; then sleep 2000000 > /dev/null 2>&1 & sleep 3000000; fi",
  );
  await agent.container("c1");
  const config = network([8080], { delegate: { type: "daemon" } });
  const child = agent.sandbox.spawn([agent.plugin], {
    clearEnv: true,
    env: agent.environment("ADD", "c1"),
  });
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(config)));
  await writer.close();
  const lock = `${STATE_DIR}/locks/c1:pm:eth0`;
  while (
    (await agent.sandbox.run(["pgrep", "-f", "sleep 2000000"])).code !== 0 ||
    (await agent.sandbox.run(["pgrep", "-x", "-f", "sleep 3000000"])).code !== 0 ||
    (await agent.sandbox.run(["test", "-e", lock])).code !== 0
  ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  child.kill("SIGKILL");
  await child.output();
  // The delegate itself may be at work still: it is waited for.
  const removal = agent.ok("DEL", "c1", config);
  await agent.sandbox.ok(["pkill", "-x", "-f", "sleep 3000000"]);
  await removal;
  assertEquals(await agent.leftovers(), []);
});

Deno.test("called without a command it says what it is, as Go's plugins do", async () => {
  await using agent = await PortMapperAgent.create();
  const { code, stdout, stderr } = await agent.sandbox.run([agent.plugin], {
    clearEnv: true,
    env: { PATH: agent.path },
    stdin: "",
  });
  assertEquals([code, stdout], [0, ""]);
  assertStringIncludes(stderr, "mesos-cni-port-mapper");
  assertStringIncludes(stderr, "1.1.0");
});

Deno.test("a grandchild of an iptables wrapper that keeps its pipes open holds up nobody", async () => {
  await using agent = await PortMapperAgent.create("legacy");
  const bin = `${agent.sandbox.dir}/bin`;
  await Deno.mkdir(bin);
  const real = agent.path.slice(0, agent.path.indexOf(":"));
  await Deno.writeTextFile(
    `${bin}/iptables-restore`,
    `#!/bin/sh\nsleep 3000000 &\nexec ${real}/iptables-restore "$@"\n`,
    { mode: 0o755 },
  );
  const env = { PATH: `${bin}:${agent.path}` };
  await agent.container("c1");
  await agent.ok("ADD", "c1", network([8080], { delegate: PLAIN }), { env });
  // The changes lock is free for others.
  await agent.add("c2", network([8081], { delegate: PLAIN }));
  await agent.ok("DEL", "c1", network([8080], { delegate: PLAIN }), { env });
});

Deno.test("a standard error that is closed fails no ADD", async () => {
  await using agent = await PortMapperAgent.create();
  await agent.container("c1");
  const config = network([8080], { excludeDevices: [], snat: true });
  const { code, stdout } = await agent.sandbox.run(
    ["sh", "-c", 'exec "$0" 2>&-', agent.plugin],
    { clearEnv: true, env: agent.environment("ADD", "c1"), stdin: JSON.stringify(config) },
  );
  assertEquals(code, 0, stdout);
  await agent.ok("DEL", "c1", config);
});

Deno.test("what is put back takes no port that is claimed by another, and stops nobody else's", async () => {
  await using agent = await PortMapperAgent.create();
  const versions = { cniVersion: "1.1.0", delegate: bridge({ cniVersion: "1.0.0" }) };
  await agent.add("c1", network([8080], versions));
  await agent.add("c2", network([8081], versions));
  await agent.sandbox.ok(["sed", "-i", "s/8080/8081/", `${STATE_DIR}/attachments/c1:pm:eth0.json`]);
  for (const address of ["0.0.0.0", "::"]) {
    const claim = `${STATE_DIR}/ports/tcp-8081/${address}`;
    await agent.sandbox.ok(["ln", "-sfn", "c1:pm:eth0", claim]);
  }
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F"]);
  const { code, msg } = await agent.fails("GC", "", {
    ...network([], versions),
    "cni.dev/valid-attachments": ["c1", "c2"].map((containerID) => ({
      containerID,
      ifname: "eth0",
    })),
  }, { netns: null });
  assertEquals(code, 103);
  assertStringIncludes(msg, "host port 8081/tcp is claimed by another container");
  assertEquals((await agent.rules("container_id: c1")).length, 1);
  assertEquals((await agent.rules("container_id: c2")).length, 0);
});

Deno.test("nothing that an ADD leaves names its caller's PATH, or is open to other users under any umask", async () => {
  for (const variant of ["nft", "legacy"] as const) {
    await using agent = await PortMapperAgent.create(variant);
    await agent.container("c1");
    const env = agent.environment("ADD", "c1");
    const { code, stdout } = await agent.sandbox.run(
      ["sh", "-c", 'umask 0; exec "$0"', agent.plugin],
      {
        clearEnv: true,
        env: { ...env, PATH: `/callers/own:${env.PATH}` },
        stdin: JSON.stringify(network([8080], { snat: true })),
      },
    );
    assertEquals(code, 0, stdout);
    const { stdout: found } = await agent.sandbox.run(["grep", "-r", "/callers/own", STATE_DIR]);
    assertEquals(found, "");
    const open = await agent.sandbox.ok(["find", STATE_DIR, "!", "-type", "l", "-perm", "/077"]);
    assertEquals(open, "");
  }
});
