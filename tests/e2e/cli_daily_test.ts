/** A day with the compiled program: short commands, no flags, and what it says of mistakes. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

const ENV = {
  MESOS_NETWORK_CNI_CONFIG_DIR: fromFileUrl(new URL("../../examples/networks", import.meta.url)),
  MESOS_NETWORK_CNI_PLUGINS_DIR: CNI_PLUGINS,
};

class Agent {
  constructor(readonly host: Sandbox, private readonly env: Record<string, string> = ENV) {}

  run(...args: string[]) {
    return this.host.run([MESOS_CNI, ...args], { env: this.env });
  }

  ok(...args: string[]) {
    return this.host.ok([MESOS_CNI, ...args], { env: this.env });
  }

  /** Starts a container that lives until its input ends. */
  async start(id: string, ...flags: string[]): Promise<AsyncDisposable> {
    const child = this.host.spawn(
      [MESOS_CNI, "run", `--name=${id}`, ...flags, "--", "sh", "-c", "echo up; cat"],
      { env: this.env },
    );
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    assertEquals(new TextDecoder().decode(value), "up\n");
    return {
      async [Symbol.asyncDispose]() {
        await child.stdin.close();
        await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.status]);
      },
    };
  }
}

Deno.test("daily commands need no group and no flag", async () => {
  await using host = await Sandbox.create();
  const agent = new Agent(host);
  {
    await using _ = await agent.start("web-1", "--networks=cni-test");
    await using _other = await agent.start("db-1", "--networks=cni-test");
    assertStringIncludes(await agent.ok("list"), "web-1");
    assertStringIncludes(await agent.ok("inspect", "web"), "192.168.0.2");
    assertStringIncludes(await agent.ok("topology"), "web-1");
    assertStringIncludes(await agent.ok("exec", "web-1", "--", "ip", "address"), "192.168.0.2");
    JSON.parse(await agent.ok("check", "web-1"));
    assertStringIncludes(await agent.ok("gc"), "nothing");

    const all = await agent.ok("exec", "--all", "--", "ip", "-4", "address", "show", "eth0");
    assertMatch(all, /== db-1\n[^=]*192\.168\.0\.3.*== web-1\n[^=]*192\.168\.0\.2/s);
    const failing = await agent.run("exec", "--all", "--", "sh", "-c", "exit 3");
    assertEquals(failing.code, 1);
    assertStringIncludes(failing.stderr, "web-1: sh ended with 3");

    const [{ pid }] = JSON.parse(await agent.ok("list", "--json"))
      .filter((one: { id: string }) => one.id === "web-1");
    assertMatch(
      await agent.ok("identify", String(pid)),
      /^web-1 {2}eth0 on cni-test 192\.168\.0\.2/,
    );
    const own = await agent.run("identify", String(host.pid));
    assertEquals(own.code, 1);
    assertStringIncludes(own.stdout, "the agent's own network");

    assertStringIncludes(await agent.ok("status"), "all is well");
    await host.ok([MESOS_CNI, "exec", "web-1", "--", "ip", "link", "set", "eth0", "down"]);
    const status = await agent.run("status");
    assertEquals(status.code, 1);
    assertMatch(status.stdout, /web-1: interface down: eth0[\s\S]*next: mesos-cni diagnose web-1/);
  }
  const again = await agent.run("cleanup", "web-1");
  assertEquals(again.code, 1);
  assertStringIncludes(again.stderr, "nothing to clean up of web-1");
});

Deno.test("a network is shown with what is on it and what is free, and removed when nothing is", async () => {
  await using host = await Sandbox.create();
  const agent = new Agent(host);
  const flags = ["--networks=port-mapper-test", "--port_mappings=8080:80"];
  const natRules = () => host.ok(["iptables-save", "-t", "nat"]);
  {
    await using _ = await agent.start("web-1", ...flags);
    const shown = JSON.parse(await agent.ok("network", "show", "port-mapper-test", "--json"));
    assertEquals(shown.containers.map((one: { id: string }) => one.id), ["web-1"]);
    assertEquals(shown.ranges[0].used, 1);
    const { size, free } = shown.ranges[0];
    assertEquals(BigInt(size) - BigInt(free), 1n);
    const refused = await agent.run("network", "rm", "port-mapper-test");
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "web-1");
  }
  const { natChain } =
    JSON.parse(await agent.ok("network", "show", "port-mapper-test", "--json")).traces;
  assertStringIncludes(await natRules(), `-j ${natChain}`);
  await agent.ok("network", "rm", "port-mapper-test", "--dry-run");
  assertStringIncludes(await natRules(), natChain);

  {
    // What another network's containers use stays, and is said.
    await using _ = await agent.start("db-1", "--networks=cni-test");
    assertMatch(
      await agent.ok("network", "rm", "port-mapper-test"),
      /^kept +bridge mesos-cni0: containers of cni-test use it too\nremoved +leases/,
    );
  }
  const rules = await natRules();
  assert(!rules.includes(natChain), rules);
  assertEquals(
    await host.run(["ls", "/var/lib/cni/networks/port-mapper-test"]).then((o) => o.code),
    2,
  );
  const again = () => agent.ok("network", "rm", "port-mapper-test");
  assertEquals(await again(), "removed  bridge mesos-cni0\n");
  assertStringIncludes(await again(), "nothing");
});

Deno.test("a failure is a line of JSON where the log is to be one", async () => {
  await using host = await Sandbox.create();
  const agent = new Agent(host);
  assertEquals((await agent.run("netns", "help")).code, 0);
  for (
    const [args, code] of [
      [["inspect", "x", "--log-format=json"], "unknown_container"],
      [["--log-format=json", "inspect", "x"], "unknown_container"],
      [["list", "--foo", "--log-format=json"], "usage"],
    ] as const
  ) {
    const { stderr } = await agent.run(...args);
    const line = JSON.parse(stderr);
    assertEquals([line.level, line.code], ["error", code]);
  }
});

Deno.test("HEALTH tells of an address that two networks of one bridge gave twice, and of lost leases", async () => {
  await using host = await Sandbox.create();
  const network = (name: string, dataDir: string) =>
    JSON.stringify({
      cniVersion: "1.0.0",
      name,
      type: "bridge",
      bridge: "shared0",
      isGateway: true,
      ipam: { type: "host-local", subnet: "10.8.0.0/24", dataDir: `/run/${dataDir}` },
    });
  const dir = `${host.dir}/net.d`;
  Deno.mkdirSync(dir);
  for (const [name, dataDir] of [["one", "a"], ["two", "b"]] as const) {
    Deno.writeTextFileSync(`${dir}/${name}.conf`, network(name, dataDir));
  }
  // The same addresses on a bridge of its own are nobody else's.
  Deno.writeTextFileSync(`${dir}/apart.conf`, network("apart", "c").replace("shared0", "apart0"));
  const env = { ...ENV, MESOS_NETWORK_CNI_CONFIG_DIR: dir };
  const agent = new Agent(host, env);
  await using _one = await agent.start("web-1", "--networks=one");
  await using _two = await agent.start("web-2", "--networks=two");
  await using _apart = await agent.start("web-3", "--networks=apart");
  const health = async () =>
    JSON.parse(await agent.ok("list", "--json"))
      .map((one: { id: string; health: string }) => [one.id, one.health]);
  const twice = ["web-1", "web-2"].map((id) => [id, "duplicate address: 10.8.0.2"]);
  assertEquals(await health(), [...twice, ["web-3", "ok"]]);
  // Of a lease that is not there, and of one that says another's name.
  await host.ok(["mv", "/run/c/apart/10.8.0.2", "/run/lease"]);
  assertEquals(await health(), [...twice, ["web-3", "ipam lost: 10.8.0.2"]]);
  await host.ok(["tee", "/run/c/apart/10.8.0.2"], { stdin: "web-9\neth0" });
  assertEquals(await health(), [...twice, ["web-3", "ipam conflict: 10.8.0.2"]]);
  await host.ok(["mv", "/run/lease", "/run/c/apart/10.8.0.2"]);
});

Deno.test("list goes on while containers come and go", async () => {
  await using host = await Sandbox.create();
  const agent = new Agent(host);
  const coming = host.run([
    "sh",
    "-c",
    `for i in $(seq 12); do ${MESOS_CNI} run --name=c-$i ` +
    "--networks=cni-test -- true & done; wait",
  ], { env: ENV });
  let over = false;
  coming.then(() => over = true);
  while (!over) {
    const { code, stderr } = await agent.run("list");
    assertEquals([code, stderr], [0, ""]);
  }
  assertEquals((await coming).code, 0);
});

Deno.test("a process's own container, and a port on the network that it was asked for", async () => {
  await using host = await Sandbox.create();
  const dir = `${host.dir}/net.d`;
  Deno.mkdirSync(dir);
  const examples = ENV.MESOS_NETWORK_CNI_CONFIG_DIR;
  Deno.copyFileSync(`${examples}/port-mapper-test.conf`, `${dir}/port-mapper-test.conf`);
  const other = Deno.readTextFileSync(`${examples}/cni-test.conf`).replaceAll("cni-test", "other")
    .replace("mesos-cni0", "other0").replace("192.168.0.0/16", "10.55.0.0/24")
    .replace("192.168.127.255", "10.55.0.9");
  Deno.writeTextFileSync(`${dir}/other.conf`, other);
  const agent = new Agent(host, { ...ENV, MESOS_NETWORK_CNI_CONFIG_DIR: dir });
  const flags = ["--networks=other,port-mapper-test", "--port_mappings=8080:80"];
  await using _ = await agent.start("web-1", ...flags);
  const tree = await agent.ok("topology");
  assertMatch(
    tree,
    /web-1 .*eth1 192\.168\.128\.1\/16 \(port-mapper-test\) {2}port 8080 → 80\/tcp\n/,
  );
  assertMatch(tree, /web-1 .*eth0 10\.55\.0\.2\/24 \(other\)\n/);
  const [{ pid }] = JSON.parse(await agent.ok("list", "--json"));
  assertMatch(await agent.ok("inspect", `--pid=${pid}`), /name +web-1\n[^]*kept by +mesos-cni/);
});

Deno.test("the log at the level debug tells of every plugin's call, with its time", async () => {
  await using host = await Sandbox.create();
  const agent = new Agent(host);
  const flags = ["--networks=port-mapper-test", "--port_mappings=8080:80", "--name=web-1"];
  const { code, stderr } = await agent.run("run", ...flags, "--log-level=debug", "--", "true");
  assertEquals(code, 0);
  for (const call of ["ADD by mesos-cni-port-mapper", "ADD by bridge", "DEL by bridge"]) {
    assertMatch(
      stderr,
      new RegExp(`debug: ${call} program=.* container=web-1 interface=eth0 outcome=done ms=\\d+`),
    );
  }
});
