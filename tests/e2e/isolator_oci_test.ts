/** `mesos-cni isolator oci-hook` called by the real crun and runc. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import {
  type BundleConfig,
  makeBundle,
  prepareFor,
  type Runtime,
  runtimeCommand,
} from "../harness/bundle.ts";
import { partOf } from "../harness/part.ts";
import { AGENT_ADDRESS, Sandbox } from "../harness/sandbox.ts";
import { until } from "../harness/service.ts";

const ANNOTATION = "org.apache.mesos.network_infos";
const BRIDGE = {
  type: "bridge",
  bridge: "mesos-cni0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
};
const NETWORKS = {
  "cni-test": {
    cniVersion: "0.4.0",
    ...BRIDGE,
    bridge: "mesos-cni1",
    ipam: { type: "host-local", subnet: "192.0.2.0/24" },
    dns: { nameservers: ["192.168.0.1"] },
  },
  mapped: {
    type: "mesos-cni-port-mapper",
    chain: "MESOS-OCI-TEST",
    excludeDevices: ["mesos-cni0"],
    delegate: BRIDGE,
  },
  broken: { cniVersion: "0.4.0", type: "broken" },
};
const BROKEN = `#!/bin/sh
[ "$CNI_COMMAND" = DEL ] && exit 0
echo '{"cniVersion":"0.4.0","code":117,"msg":"no more addresses"}'
exit 1
`;

/** An agent with networks, on which bundles run. */
async function machine(runtime: Runtime) {
  const agent = await Sandbox.create();
  const { dir } = agent;
  await prepareFor(runtime, agent);
  for (const name of ["networks", "plugins", "bundle"]) Deno.mkdirSync(`${dir}/${name}`);
  for (const [name, config] of Object.entries(NETWORKS)) {
    Deno.writeTextFileSync(`${dir}/networks/${name}`, JSON.stringify({ name, ...config }));
  }
  Deno.writeTextFileSync(`${dir}/plugins/broken`, BROKEN, { mode: 0o755 });
  const networkFlags = [
    `--network_cni_config_dir=${dir}/networks`,
    `--network_cni_plugins_dir=${dir}/plugins:${CNI_PLUGINS}`,
  ];
  const command = runtimeCommand(runtime);
  const bundle = (change: (config: BundleConfig) => void) =>
    makeBundle(runtime, agent, `${dir}/bundle`, networkFlags, change);
  const run = (id: string) => agent.run([...command, "run", "--bundle", `${dir}/bundle`, id]);
  // The first container makes what all share: the bridges and the chain.
  await bundle(asking(["true"], [mapped(8081), { name: "cni-test" }]));
  assertEquals(await run("first"), { code: 0, stdout: "", stderr: "" });
  return {
    agent,
    dir,
    command,
    bundle,
    run,
    /** What the hooks said. */
    said: () => Deno.readTextFileSync(`${dir}/bundle/hooks.log`),
    async [Symbol.asyncDispose]() {
      // A container outlives what has started it, and a failed test.
      await agent.run([...command, "delete", "--force", "web-1"]);
      await agent[Symbol.asyncDispose]();
    },
  };
}

/** A container that runs busybox and asks for networks. */
function asking(args: string[], networkInfos: unknown) {
  return (config: BundleConfig) => {
    config.process.args = ["/bin/busybox", ...args];
    config.hostname = "web.example";
    config.annotations![ANNOTATION] = JSON.stringify(networkInfos);
  };
}

/** Asks for a port of the agent that leads to the container's web server. */
function mapped(host_port: number) {
  return { name: "mapped", port_mappings: [{ host_port, container_port: 80, protocol: "TCP" }] };
}

/** All that a container could leave behind. */
async function traces(agent: Sandbox): Promise<Record<string, string>> {
  const sorted = (text: string) => text.trim().split("\n").sort().join("\n");
  const rules = await agent.ok(["iptables-save"]);
  return {
    rules: rules.replaceAll(/^#.*|\[\d+:\d+\]/gm, ""),
    links: sorted(await agent.ok(["ip", "-br", "link"])).replaceAll(/ .*/g, ""),
    mounts: sorted(await agent.ok(["cut", "-d ", "-f5", "/proc/self/mountinfo"])),
    files: sorted(await agent.ok(["find", "/run", "/var/lib"]))
      // The allocator's memory of where to go on from; what is remembered of calls.
      .replaceAll(/.*(?:last_reserved_ip|mesos-cni\/history).*\n?/g, ""),
  };
}

for (const runtime of partOf(["runc", "crun"] as const, 2)) {
  Deno.test(`${runtime}: a container with a port mapping answers outside, and leaves nothing`, async () => {
    await using it = await machine(runtime);
    const outside = await it.agent.outside();
    const before = await traces(it.agent);
    await it.bundle(asking(["httpd", "-f", "-p", "80", "-h", "/www"], [
      mapped(8080),
      { name: "cni-test" },
    ]));
    const running = it.run("web-1");
    const page = ["busybox", "wget", "-q", "-O-", `http://${AGENT_ADDRESS}:8080/`];
    await until(
      async () => (await outside.run(page)).stdout === "hello from an OCI container\n",
      "the container's answer",
    );

    const inside = (...args: string[]) =>
      it.agent.ok([...it.command, "exec", "web-1", "/bin/busybox", ...args]);
    const status = JSON.parse(
      await it.agent.ok([MESOS_CNI, "isolator", "status", "web-1"]),
    ).network_infos;
    assertEquals(status.map(({ name }: { name: string }) => name), ["mapped", "cni-test"]);
    const [first, second] = status.map((info: { ip_addresses: { ip_address: string }[] }) =>
      info.ip_addresses[0]!.ip_address
    );
    assertStringIncludes(await inside("ip", "address", "show", "eth0"), `inet ${first}/16`);
    assertStringIncludes(await inside("ip", "address", "show", "eth1"), `inet ${second}/24`);
    assertStringIncludes(await inside("ip", "link", "show", "lo"), "LOOPBACK,UP");
    assertEquals(await inside("hostname"), "web.example\n");
    assertEquals(await inside("cat", "/etc/hostname"), "web.example\n");
    assertStringIncludes(await inside("cat", "/etc/hosts"), `\n${first} web.example\n`);
    assertEquals(await inside("cat", "/etc/resolv.conf"), "nameserver 192.168.0.1\n");

    await it.agent.ok([...it.command, "kill", "web-1", "KILL"]);
    assertEquals((await running).stderr, "");
    assert((await outside.run(page)).code !== 0);
    assertEquals(await traces(it.agent), before);
  });

  Deno.test(`${runtime}: a container that can't have its networks is not made, and leaves nothing`, async () => {
    await using it = await machine(runtime);
    const before = await traces(it.agent);
    const annotate = (text: string) => (config: BundleConfig) => {
      asking(["true"], [])(config);
      config.annotations![ANNOTATION] = text;
    };
    const good = asking(["true"], [{ name: "cni-test" }]);
    const namespaces =
      (change: (config: BundleConfig["linux"]) => void) => (config: BundleConfig) => {
        good(config);
        change(config.linux);
      };
    const without = (type: string) =>
      namespaces((linux) => {
        linux.namespaces = linux.namespaces.filter((namespace) => namespace.type !== type);
      });
    await it.agent.ok(["ip", "netns", "add", "other"]);
    const beforeOther = await traces(it.agent);

    const cases: [string, (config: BundleConfig) => void, string][] = [
      ["web-1", annotate("["), `annotation ${ANNOTATION}: not JSON`],
      ["web-1", annotate("{}"), `annotation ${ANNOTATION}: must be a list`],
      ["web-1", annotate("[{}]"), `annotation ${ANNOTATION}[0]: name: `],
      ["web-1", annotate('[{"name":7}]'), `annotation ${ANNOTATION}[0]: name: `],
      ["web-1", annotate('[{"name":"nope"}]'), "is not defined in"],
      ["web-1", annotate('[{"name":"cni-test"},{"name":"broken"}]'), "no more addresses"],
      ["web.1", good, 'choose an id of letters, digits, "-" and "_"'],
      ["web-1", without("network"), 'add {"type": "network"} without a path'],
      [
        "web-1",
        namespaces((linux) => {
          linux.namespaces.find(({ type }) => type === "network")!.path = "/run/netns/other";
        }),
        'add {"type": "network"} without a path',
      ],
    ];
    for (const [id, change, message] of cases) {
      await it.bundle(change);
      const { code, stderr, stdout } = await it.run(id);
      assert(code !== 0, message);
      // runc quotes what the hook said.
      const said = runtime === "crun" ? it.said() : (stdout + stderr).replaceAll('\\"', '"');
      assertStringIncludes(said, message);
      assertEquals(await traces(it.agent), beforeOther, message);
    }
    await it.agent.ok(["ip", "netns", "delete", "other"]);
    await it.bundle(good);
    assertEquals((await it.run("web-1")).code, 0);
    assertEquals((await traces(it.agent)).rules, before.rules);
  });

  Deno.test(`${runtime}: without the annotation, the hooks do nothing`, async () => {
    await using it = await machine(runtime);
    await it.bundle((config) => {
      config.process.args = ["/bin/busybox", "ip", "-o", "link"];
    });
    const { code, stdout } = await it.run("plain.1");
    assertEquals(code, 0);
    assertEquals(stdout.trim().split("\n").length, 1, stdout);
    assertEquals(await it.agent.ok([MESOS_CNI, "isolator", "status"]), "{}\n");
  });

  Deno.test(`${runtime}: files of an image don't lead out of it, and a read-only one is fine`, async () => {
    await using it = await machine(runtime);
    const precious = `${it.dir}/precious`;
    Deno.writeTextFileSync(precious, "the host's own");
    await it.bundle((config) => {
      asking(["cat", "/etc/resolv.conf", "/etc/hostname"], [{ name: "cni-test" }])(config);
      config.root.readonly = true;
    });
    for (const name of ["resolv.conf", "hostname"]) {
      Deno.removeSync(`${it.dir}/bundle/rootfs/etc/${name}`);
    }
    Deno.symlinkSync(precious, `${it.dir}/bundle/rootfs/etc/resolv.conf`);
    Deno.symlinkSync("../../../../precious", `${it.dir}/bundle/rootfs/etc/hostname`);
    assertEquals(await it.run("web-1"), {
      code: 0,
      stdout: "nameserver 192.168.0.1\nweb.example\n",
      stderr: "",
    });
    assertEquals(Deno.readTextFileSync(precious), "the host's own");
  });
}

Deno.test("the config.json of docs/isolator-service.md joins its network", async () => {
  await using it = await machine("runc");
  const document = new URL("../../docs/isolator-service.md", import.meta.url);
  const [, json] = /```json\n([^`]*"hooks"[^`]*)```/.exec(await Deno.readTextFile(document))!;
  await it.agent.ok(["mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin"]);
  await it.agent.ok(["ln", "-s", MESOS_CNI, "/usr/local/bin/mesos-cni"]);
  await it.bundle((config) => {
    asking(["ip", "-o", "-4", "address", "show", "eth0"], [])(config);
    Object.assign(config, JSON.parse(json!.replaceAll("/etc/mesos/cni", `${it.dir}/networks`)));
  });
  const { code, stdout } = await it.run("web-1");
  assertEquals(code, 0);
  assertStringIncludes(stdout, "inet 192.0.2.");
  assertEquals(await it.agent.ok([MESOS_CNI, "isolator", "status"]), "{}\n");
});

Deno.test("the hooks by hand: a repeated poststop is fine, a wrong call is exit code 2", async () => {
  await using agent = await Sandbox.create();
  const hook = (args: string[], stdin: string) =>
    agent.run([MESOS_CNI, "isolator", "oci-hook", ...args], { stdin });
  const state = (change: Record<string, unknown> = {}) =>
    JSON.stringify({
      ociVersion: "1.0.2",
      id: "web-1",
      status: "stopped",
      bundle: "/nowhere",
      annotations: { [ANNOTATION]: '[{"name":"cni-test"}]' },
      ...change,
    });
  for (let i = 0; i < 2; i++) {
    assertEquals(await hook(["poststop"], state()), { code: 0, stdout: "", stderr: "" });
  }
  for (
    const [args, stdin, code, message] of [
      [[], state(), 2, "one of createRuntime, poststop is needed"],
      [["prestart"], state(), 2, "one of createRuntime, poststop is needed"],
      [["toString"], state(), 2, "one of createRuntime, poststop is needed"],
      [["poststop"], "", 2, "the state is missing on standard input"],
      [["poststop"], "no", 2, "standard input is not JSON"],
      [["poststop"], '{"bundle":"/x"}', 1, "state on standard input: id: "],
      [["createRuntime"], state(), 1, "state on standard input: pid: is missing"],
      [["createRuntime"], state({ pid: 1 }), 1, "/nowhere/config.json can't be read"],
      [["createRuntime"], state({ id: "../x", pid: 1 }), 2, "can't join networks"],
    ] as const
  ) {
    const output = await hook([...args], stdin);
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assertStringIncludes(output.stderr, message);
  }
});
