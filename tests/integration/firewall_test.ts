/**
 * Every driver of the firewall with every client of it, by real packets, on hosts whose own filter
 * drops what has no rule (as Docker leaves it). Another list of drivers and clients than the code's:
 * what is missing here is missing.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { isRunning, until } from "../harness/agent.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { type Json, PortMapperAgent, type Variant } from "../harness/port_mapper.ts";
import type { Outside } from "../harness/sandbox.ts";
import { assertUnseen, seenOutside, serveOutside } from "../harness/seen_outside.ts";

const AGENT = "203.0.113.1";
const DRIVERS: { name: string; variant: Variant; save: string }[] = [
  { name: "nf_tables", variant: "nft", save: "iptables-nft-save" },
  { name: "legacy", variant: "legacy", save: "iptables-legacy-save" },
];

const BRIDGE = {
  type: "bridge",
  bridge: "fw0",
  isGateway: true,
  ipMasq: true,
  // No other test has it: an address that is alive anywhere on the machine is not given out.
  ipam: { type: "host-local", subnet: "10.219.0.0/24", routes: [{ dst: "0.0.0.0/0" }] },
};
const LIST: Json[] = [
  BRIDGE,
  { type: "portmap", snat: true, runtimeConfig: { portMappings: [portMapping(8080)] } },
  { type: "firewall" },
];

function portMapping(hostPort: number): Json {
  return { hostPort, containerPort: 80, protocol: "tcp" };
}

/** A host that drops what it forwards, but for answers. */
async function host(variant: Variant): Promise<[PortMapperAgent, Outside]> {
  const agent = await PortMapperAgent.create(variant);
  agent.search = undefined;
  const outside = await agent.sandbox.outside();
  const env = { PATH: agent.path };
  await agent.sandbox.ok(["iptables", "-P", "FORWARD", "DROP"], { env });
  return [agent, outside];
}

/** The rules of both families without counters, and what is on record. */
async function state(agent: PortMapperAgent, save: string): Promise<string[]> {
  const texts = await Promise.all(
    [save, save.replace("ip", "ip6")].map((tool) => agent.sandbox.ok([tool])),
  );
  const files = await agent.sandbox.run(
    ["find", "/run/mesos-cni/firewall/passages", "-name", "*.json"],
  );
  return [
    ...texts.flatMap((text) => text.split("\n")).filter((line) => line.startsWith("-A ")),
    ...files.stdout.split("\n").filter((line) => line !== ""),
  ];
}

/** Runs commands in a container's network. */
function inside(agent: PortMapperAgent, id: string) {
  return (argv: string[]) => agent.sandbox.ok(["ip", "netns", "exec", id, ...argv]);
}

const versions = { cniVersion: "1.0.0", name: "fw" };

/** As a runtime calls the plugins of a list, each as a program. */
async function addList(
  agent: PortMapperAgent,
  id: string,
  plugins: readonly Json[] = LIST,
  directory = "",
): Promise<Json> {
  await agent.container(id);
  let prevResult: Json = {};
  for (const plugin of plugins) {
    const config = { ...versions, ...plugin, prevResult };
    if (plugin === plugins[0]) delete (config as Json).prevResult;
    prevResult = await agent.ok("ADD", id, config, { type: `${directory}${plugin.type}` });
  }
  return prevResult;
}

async function delList(agent: PortMapperAgent, id: string, prevResult?: Json): Promise<void> {
  for (const plugin of LIST.toReversed()) {
    const config = { ...versions, ...plugin, ...prevResult ? { prevResult } : {} };
    await agent.ok("DEL", id, config, { type: `${plugin.type}` });
  }
}

for (const { name, variant, save } of partOf(DRIVERS, 2)) {
  Deno.test(`${name}: bridge, portmap and firewall, each a program: ADD, CHECK, flush, DEL`, async () => {
    const [agent, outside] = await host(variant);
    await using _ = agent;
    await using _server = await serveOutside(outside);
    const before = await state(agent, save);
    await addList(agent, "shut", LIST.slice(0, 1));
    await assertUnseen(inside(agent, "shut"), outside, "the policy drops without a rule");

    const prevResult = await addList(agent, "c1");
    await agent.serve("c1");
    assertEquals(await seenOutside(inside(agent, "c1"), outside), AGENT);
    // What comes to a port is for the operator's own chain to let through, as with the reference.
    const env = { PATH: agent.path };
    const dnat = ["-m", "conntrack", "--ctstate", "DNAT", "-j", "ACCEPT"];
    await agent.assertSilent(AGENT, 8080, { from: outside });
    await agent.sandbox.ok(["iptables", "-A", "CNI-ADMIN", ...dnat], { env });
    assertEquals(await agent.ask(AGENT, 8080, { from: outside }), `c1 ${outside.address}`);
    assertStringIncludes(await agent.ask("127.0.0.1", 8080), "c1 ");
    const check = async (type: string) => {
      const plugin = LIST.find((one) => one.type === type)!;
      const config = { ...versions, ...plugin, prevResult };
      return await agent.call("CHECK", "c1", config, { type });
    };
    for (const { type } of LIST) assertEquals((await check(`${type}`)).code, 0, `${type}`);

    await agent.sandbox.ok(["iptables", "-F", "CNI-FORWARD"], { env });
    assertEquals((await check("firewall")).code, 1, "CHECK sees the flush");
    await assertUnseen(inside(agent, "c1"), outside);
    await delList(agent, "c1", prevResult);
    await agent.ok("DEL", "shut", { ...versions, ...BRIDGE }, { type: "bridge" });
    const shared = /-j (CNI-ADMIN|CNI-FORWARD|MESOS-CNI-\w+)$|-A (?:MESOS-CNI-GUARD|CNI-ADMIN) /;
    const after = (await state(agent, save)).filter((line) => !shared.test(line));
    assertEquals(after, before);
  });

  Deno.test(`${name}: DEL of firewall without a result goes by its record`, async () => {
    const [agent] = await host(variant);
    await using _ = agent;
    await addList(agent, "c1");
    const own = async () => (await state(agent, save)).filter((line) => line.includes("10.219.0."));
    assert((await own()).some((line) => line.startsWith("-A CNI-FORWARD ")));
    await delList(agent, "c1");
    assertEquals(await own(), []);
    assertEquals(await agent.leftovers(), []);
  });

  Deno.test(`${name}: a DEL that comes again takes nothing from who has the address now`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    const result = { cniVersion: "1.0.0", ips: [{ address: "10.219.0.9/24" }] };
    const config = { ...versions, type: "firewall", prevResult: result };
    const options = { type: "firewall" };
    for (const id of ["c1", "c2"]) await agent.container(id);
    await agent.ok("ADD", "c1", config, options);
    await agent.ok("DEL", "c1", config, options);
    await agent.ok("ADD", "c2", config, options);
    await agent.ok("DEL", "c1", config, options);
    await agent.ok("CHECK", "c2", config, options);
    await agent.ok("DEL", "c2", config, options);
    assertEquals((await state(agent, save)).filter((line) => line.includes("10.219.0.9")), []);
  });

  Deno.test(`${name}: what the reference attached is detached`, async () => {
    const [agent, outside] = await host(variant);
    await using _ = agent;
    agent.search = CNI_PLUGINS;
    await using _server = await serveOutside(outside);
    const prevResult = await addList(agent, "c1", LIST, `${CNI_PLUGINS}/`);
    assertEquals(await seenOutside(inside(agent, "c1"), outside), AGENT);
    const own = async () =>
      (await state(agent, save)).filter((line) =>
        /10\.219\.0\.\d+\/32| id: |CNI-(?:DN-)?[0-9a-f]{8}/.test(line)
      );
    assert((await own()).length >= 8);
    await delList(agent, "c1", prevResult);
    assertEquals(await own(), []);
  });

  Deno.test(`${name}: masquerading, ports and firewall of one attach are one transaction`, async () => {
    const [agent] = await host(variant);
    await using _ = agent;
    const { dir } = agent.sandbox;
    await Deno.mkdir(`${dir}/networks`);
    const mapper = { type: "mesos-cni-port-mapper", chain: "FW.TEST", snat: true };
    const plugins = [BRIDGE, mapper, { type: "firewall" }];
    await Deno.writeTextFile(
      `${dir}/networks/fw.conflist`,
      JSON.stringify({ ...versions, plugins }),
    );
    await agent.sandbox.ok([
      ...["strace", "-f", "-qq", "-e", "trace=sendto,execve", "-o", `${dir}/trace`],
      ...[MESOS_CNI, "run", `--network_cni_config_dir=${dir}/networks`, `--runtime_dir=${dir}/run`],
      ...["--networks=fw", "--name=c1", "--port_mappings=8080:80", "--", "/usr/bin/true"],
    ], { env: { PATH: agent.path } });
    const calls = (await Deno.readTextFile(`${dir}/trace`)).split("\n");
    const attach = calls.slice(
      0,
      calls.findIndex((line) => line.includes('execve("/usr/bin/true"')),
    );
    // What begins a batch of nfnetlink has the type of RTM_NEWLINK, and asks for no acknowledgement.
    const change = variant === "legacy"
      ? /execve\("[^"]*-restore"/
      : /nlmsg_type=(?:0x10|NFNL_MSG_BATCH_BEGIN)\b[^}]*nlmsg_flags=NLM_F_REQUEST,/;
    assertEquals(attach.filter((line) => change.test(line)).length, 1, attach.join("\n"));
  });

  Deno.test(`${name}: a list by the isolator: recover puts back what was flushed, gc and network rm what is left`, async () => {
    const [agent, outside] = await host(variant);
    await using _ = agent;
    await using _server = await serveOutside(outside);
    const configs = `${agent.sandbox.dir}/networks`;
    await Deno.mkdir(configs);
    const [bridge, , firewall] = LIST;
    const mapper = { type: "mesos-cni-port-mapper", chain: "FW.TEST", snat: true };
    const plugins = [
      { ...bridge, macspoofchk: true },
      mapper,
      { ...firewall, ingressPolicy: "same-bridge" },
    ];
    await Deno.writeTextFile(`${configs}/fw.conflist`, JSON.stringify({ ...versions, plugins }));
    const env = { PATH: agent.path };
    const cni = async (...args: string[]) =>
      await agent.sandbox.run([
        MESOS_CNI,
        ...args,
        `--network_cni_config_dir=${configs}`,
        "--runtime_dir=/run/mesos",
      ], { env });
    const start = async (id: string, port: number) => {
      const child = agent.sandbox.spawn([
        ...[MESOS_CNI, "run", `--network_cni_config_dir=${configs}`, "--runtime_dir=/run/mesos"],
        ...["--networks=fw", `--name=${id}`, `--port_mappings=${port}:80`, "--"],
        ...["sh", "-c", "echo $$; exec sleep 1000"],
      ], { env });
      const reader = child.stdout.getReader();
      const { value } = await reader.read();
      reader.releaseLock();
      const task = Number(new TextDecoder().decode(value));
      assert(task > 0, await errorsOf(child, value));
      return [child, task] as const;
    };
    const before = await state(agent, save);
    const [child, task] = await start("c1", 8080);
    const handle = "/run/mesos/isolators/network/cni/c1/ns";
    const within = (argv: string[]) => agent.sandbox.ok(["nsenter", `--net=${handle}`, ...argv]);
    const seen = () => seenOutside(within, outside);
    assertEquals(await seen(), AGENT);
    const whole = (await state(agent, save)).sort();
    for (const table of ["nat", "filter", "raw"]) {
      await agent.sandbox.ok(["iptables", "-t", table, "-F"], { env });
    }
    await assertUnseen(within, outside);
    const status = await cni("status");
    assertStringIncludes(status.stdout, "c1: ");
    assertEquals((await cni("isolator", "recover")).code, 0);
    assertEquals(await seen(), AGENT);
    assertEquals((await state(agent, save)).sort(), whole);
    // What keeps others from its bridge, and it from others' hardware addresses, is missed by itself, too.
    const spoofing = async () => await agent.sandbox.ok(["nft", "list", "table", "bridge", "nat"]);
    const checks = await spoofing();
    assertStringIncludes(checks, "macspoofchk-c1-eth0");
    for (
      const flush of [
        ["iptables", "-F", "CNI-ISOLATION-STAGE-2"],
        ["nft", "flush", "chain", "bridge", "nat", "PREROUTING"],
        ["nft", "flush", "chain", "bridge", "nat", "cni-br-iface-c1-eth0-mac"],
        ["nft", "delete", "table", "bridge", "nat"],
      ]
    ) {
      await agent.sandbox.ok(flush, { env });
      assertStringIncludes((await cni("status")).stdout, "c1: isolation gone");
      assertEquals((await cni("isolator", "recover")).code, 0);
      assertEquals((await state(agent, save)).sort(), whole);
      assertEquals(await spoofing(), checks, flush.join(" "));
    }
    assertEquals((await cni("status")).stdout.includes("c1: "), false, status.stdout);

    // A second one wants the same port: nothing of it is left, of the first one everything.
    const held = await state(agent, save);
    const second = await agent.sandbox.run([
      ...[MESOS_CNI, "run", `--network_cni_config_dir=${configs}`, "--runtime_dir=/run/mesos"],
      ...["--networks=fw", "--name=c2", "--port_mappings=8080:80", "--", "true"],
    ], { env });
    assertStringIncludes(second.stderr, "taken by container c1");
    assertEquals(await state(agent, save), held);

    // The state and the container are gone, its rules are not.
    child.kill("SIGKILL");
    await child.status;
    // The kernel kills the task when its parent is gone, and a little later: till then it lives.
    await until(() => !isRunning(task), "the task to end");
    await Promise.all([child.stdin.close(), child.stdout.cancel(), child.stderr.cancel()])
      .catch(() => {});
    await agent.sandbox.ok([
      "sh",
      "-c",
      "umount -l /run/mesos/isolators/network/mesos-cni/handles/*; " +
      "umount -l /run/mesos/isolators/network/cni/c1/ns; rm -rf /run/mesos /run/mesos-cni /var/lib/cni; " +
      "ip link delete fw0; true",
    ]);
    const garbage = JSON.parse((await cni("isolator", "gc", "--apply", "--json")).stdout);
    assert(garbage.length > 0);
    assertEquals(garbage.map(({ outcome }: Json) => outcome), garbage.map(() => "removed"));
    const own = (line: string) => /10\.219\.0\.\d+|container_id| id: /.test(line);
    assertEquals((await state(agent, save)).filter(own), []);
    assertStringIncludes((await state(agent, save)).join("\n"), "-j FW.TEST");
    const removed = await cni("network", "rm", "fw");
    assertEquals(removed.code, 0, removed.stdout + removed.stderr);
    assert(!(await state(agent, save)).join("\n").includes("FW.TEST"));
    assertEquals(before, []);
  });
}

Deno.test("a DEL that goes by its result alone fails while a record can't be read, which may have the address", async () => {
  await using agent = await PortMapperAgent.create();
  const options = { type: "firewall" };
  const configOf = (...addresses: string[]) => {
    const ips = addresses.map((address) => ({ address: `${address}/24` }));
    return { ...versions, type: "firewall", prevResult: { cniVersion: "1.0.0", ips } };
  };
  const passed = async () =>
    (await state(agent, "iptables-save")).filter((line) => line.startsWith("-A CNI-FORWARD -s"));
  const records = "/run/mesos-cni/firewall/passages";
  const [own, lost, unread] = [configOf("10.219.0.8"), configOf("10.219.0.9"), `${records}/x.json`];
  await agent.container("c1");
  await agent.container("c2");
  await agent.ok("ADD", "c2", lost, options);
  await agent.sandbox.ok(["find", records, "-type", "f", "-delete"]);
  await agent.ok("ADD", "c1", own, options);
  await agent.sandbox.ok(["mkdir", unread]);
  const rules = ["8", "9"].map((one) => `-A CNI-FORWARD -s 10.219.0.${one}/32 -j ACCEPT`);
  assertEquals((await passed()).sort(), rules);
  assertStringIncludes((await agent.fails("DEL", "c2", lost, options)).msg, unread);
  assertEquals((await passed()).sort(), rules);
  // What is on record goes nevertheless, and stays on record until all is gone.
  const more = configOf("10.219.0.8", "10.219.0.9");
  for (const _ of [1, 2]) {
    assertStringIncludes((await agent.fails("DEL", "c1", more, options)).msg, unread);
    assertEquals(await passed(), rules.slice(1));
  }
  await agent.ok("DEL", "c1", own, options);
  await agent.sandbox.ok(["rmdir", unread]);
  await agent.ok("DEL", "c2", lost, options);
  assertEquals(await state(agent, "iptables-save").then((all) => all.filter(isOfAddress)), []);
});

const isOfAddress = (line: string) => line.includes("10.219.0.") || line.endsWith(".json");

Deno.test("a host whose legacy iptables has no filter: its program is not run to choose the kind", async () => {
  await using agent = await PortMapperAgent.create();
  const { sandbox } = agent;
  await sandbox.ok(["iptables-legacy", "-t", "nat", "-S"]);
  assertEquals(await sandbox.ok(["cat", "/proc/net/ip_tables_names"]), "nat\n");
  const trace = `${sandbox.dir}/trace`;
  const strace = ["strace", "-f", "-qq", "-e", "trace=execve", "-o", trace];
  const { stdout } = await sandbox.run([...strace, MESOS_CNI, "status"]);
  assertStringIncludes(stdout, "iptables of the kind nf_tables");
  const run = (await Deno.readTextFile(trace)).split("\n").filter((line) => line.includes("-save"));
  assertEquals(run, []);
});

Deno.test("a host with both kinds: rules go where its own are, are told of, and go though it has changed over", async () => {
  await using agent = await PortMapperAgent.create();
  agent.search = undefined;
  const outside = await agent.sandbox.outside();
  await using _server = await serveOutside(outside);
  const told = async () => (await agent.sandbox.run([MESOS_CNI, "status"])).stdout;
  assertStringIncludes(await told(), "iptables of the kind nf_tables (/usr/sbin/iptables)");
  for (const tool of ["iptables-legacy", "ip6tables-legacy"]) {
    await agent.sandbox.ok([tool, "-P", "FORWARD", "DROP"]);
  }
  assertStringIncludes(await told(), "iptables of the kind legacy (the host's own rules are there");
  const prevResult = await addList(agent, "c1");
  assertEquals(await seenOutside(inside(agent, "c1"), outside), AGENT);
  assertEquals(
    (await state(agent, "iptables-nft-save")).filter((line) => line.startsWith("-A")),
    [],
  );
  // The host's own rules come to nf_tables, and those of the container are still found.
  await agent.sandbox.ok(["iptables-legacy", "-P", "FORWARD", "ACCEPT"]);
  await agent.sandbox.ok(["iptables", "-P", "FORWARD", "DROP"]);
  assertStringIncludes(await told(), "nf_tables");
  await delList(agent, "c1", prevResult);
  const own = (line: string) => /10\.219\.0\.\d+|container_id| id: /.test(line);
  assertEquals((await state(agent, "iptables-legacy-save")).filter(own), []);
});

async function errorsOf(child: Deno.ChildProcess, ready: unknown): Promise<string> {
  return ready === undefined ? new TextDecoder().decode((await child.output()).stderr) : "";
}
