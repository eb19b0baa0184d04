/** `mesos-cni isolator serve` with real plugins: what it does with containers. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { machine, on, ON_BRIDGE } from "../harness/served_networks.ts";
import { ContainerProcess, Service, until } from "../harness/service.ts";

/** ms for which the service waits for a caller who says nothing (PATIENCE in lib/service/server.ts). */
const PATIENCE = 30_000;

/** The longest id that there can be: no rule has room for it and a network's name. */
const LONG_ID = "a".repeat(240);

Deno.test("a container's life over the socket, as the commands see it", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  await using container = await ContainerProcess.start(it.agent);
  const path = "/v1/containers/web-1";
  const command = async (...args: string[]) =>
    JSON.parse(await it.agent.ok([MESOS_CNI, "isolator", ...args, ...it.networkFlags]));

  const networks = await service.get("/v1/networks");
  const listed = await command("networks", "--json");
  // The command says more of each: its plugins, its subnets, how many containers it has.
  const parts = listed.networks.map(({ name, file }: Record<string, unknown>) => ({ name, file }));
  assertEquals(networks.json, { ...listed, networks: parts });
  assertEquals(networks.json.networks.length, 3);

  const launchInfo = await service.ok(`${path}/prepare`, ON_BRIDGE);
  assertEquals(launchInfo.json.clone_namespaces, [0x20000, 0x40000000, 0x4000000]);
  const status = await service.ok(`${path}/isolate`, { pid: container.pid });
  const [network] = status.json.network_infos;
  assertEquals(network.name, "cni-test");
  const address = network.ip_addresses[0].ip_address;
  assertStringIncludes(
    await it.agent.ok(container.enter(["ip", "-br", "address", "show", "eth0"])),
    `${address}/16`,
  );
  await it.agent.ok(["busybox", "ping", "-c1", "-W30", address]);

  assertEquals((await service.get(`${path}/status`)).json, status.json);
  assertEquals((await service.get("/v1/containers")).json, { "web-1": status.json });
  assertEquals(await command("status", "web-1"), status.json);
  assert((await service.get(`${path}/usage`)).json.net_rx_packets > 0);
  assertEquals((await service.post(`${path}/check`)).status, 204);

  await it.agent.ok(container.enter(["ip", "address", "flush", "dev", "eth0"]));
  const objection = await service.post(`${path}/check`);
  assertEquals(objection.status, 502);
  assertStringIncludes(objection.json.message, "CHECK by bridge for eth0 of container web-1");

  const alive = await service.post(`${path}/cleanup`);
  assertEquals([alive.status, alive.json.code], [409, "alive"]);
  await container.end();
  assertEquals((await service.post(`${path}/cleanup`)).status, 204);
  assertEquals((await service.post(`${path}/cleanup`)).status, 204);
  assertEquals((await service.get("/v1/containers")).json, {});
  assertEquals(await command("status"), {});
});

Deno.test("who enters a network after the last look at all processes is ended with its container", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  // So many that no cleanup looks at all of them first.
  const many = "for i in {1..1500}; do sleep 1000 </dev/null >/dev/null 2>&1 & done";
  await it.agent.ok(["bash", "-c", many]);
  // Of one id, since another lane has looked at another time.
  const path = "/v1/containers/web-1";
  const attach = async () => {
    const container = await ContainerProcess.start(it.agent);
    await service.ok(`${path}/prepare`, ON_BRIDGE);
    await service.ok(`${path}/isolate`, { pid: container.pid });
    return container;
  };
  for (const isJoined of [false, true]) {
    await using container = await attach();
    const network = Deno.readLinkSync(`/proc/${container.pid}/ns/net`);
    const join = ["nsenter", `--target=${container.pid}`, "--net", "sleep", "1000"];
    const joined = it.agent.spawn(isJoined ? join : ["true"]);
    await joined.stdin.close();
    const where = () => Deno.readLinkSync(`/proc/${joined.pid}/ns/net`);
    if (isJoined) await until(() => where() === network, "the process to join");
    await container.end();
    await service.ok(`${path}/cleanup`);
    assertThrows(where, Deno.errors.NotFound);
    assertEquals((await joined.output()).signal, isJoined ? "SIGKILL" : null);
  }
  assertEquals((await service.get("/v1/containers")).json, {});
});

Deno.test("recover removes what is not named, and counts it", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  await using one = await ContainerProcess.start(it.agent);
  await using two = await ContainerProcess.start(it.agent);
  for (const [id, { pid }] of [["one", one], ["two", two]] as const) {
    await service.ok(`/v1/containers/${id}/prepare`, ON_BRIDGE);
    await service.ok(`/v1/containers/${id}/isolate`, { pid });
  }
  await two.end();
  // More than the other requests may have: what an agent knows of each may be long.
  const { json } = await service.ok("/v1/recover", {
    states: [{ container_id: { value: "one" }, executor_info: { data: "x".repeat(3 << 20) } }],
  });
  assertEquals(json, [
    { container: "one", outcome: "kept" },
    { container: "two", outcome: "removed" },
  ]);
  assertEquals(Object.keys((await service.get("/v1/containers")).json), ["one"]);
  const { text } = await service.get("/metrics");
  assertStringIncludes(text, '\nmesos_cni_leaks_total{kind="container",outcome="removed"} 1\n');
  assertStringIncludes(text, '\nmesos_cni_detaches_total{network="cni-test"} 1\n');
});

Deno.test("gc finds what nobody owns, removes it when told to, and counts it", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  for (const id of ["gone", "kept"]) {
    await using container = await ContainerProcess.start(it.agent);
    await service.ok(`/v1/containers/${id}/prepare`, ON_BRIDGE);
    await service.ok(`/v1/containers/${id}/isolate`, { pid: container.pid });
  }
  const gc = async (order?: unknown) =>
    (await service.ok("/v1/gc", order)).json.map((
      { kind, what, outcome }: Record<string, string>,
    ) => [kind, /container (\w+)/.exec(what!)?.[1], outcome]);
  const known = { containers: ["kept"] };
  assertEquals((await gc()).slice(0, 2), [
    ["container", "gone", "found"],
    ["container", "kept", "found"],
  ]);
  const [only] = await gc(known);
  assertEquals(only, ["container", "gone", "found"]);
  assertEquals((await gc({ ...known, apply: true }))[0], ["container", "gone", "removed"]);
  assertEquals(Object.keys((await service.get("/v1/containers")).json), ["kept"]);
  assertStringIncludes(
    (await service.get("/metrics")).text,
    '\nmesos_cni_leaks_total{kind="container",outcome="removed"} 1\n',
  );
});

Deno.test("errors have a fitting status, a code, and a plugin's own words", async () => {
  await using it = await machine();
  const foreign = { name: "foreign", type: "slow", ipMasq: true };
  Deno.writeTextFileSync(`${it.dir}/networks/foreign.conf`, JSON.stringify(foreign));
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  await using container = await ContainerProcess.start(it.agent);
  await using other = await ContainerProcess.start(it.agent);
  const { pid } = container;
  await service.ok("/v1/containers/known/prepare", ON_BRIDGE);
  await service.ok("/v1/containers/known/isolate", { pid });
  await service.ok("/v1/containers/unlucky/prepare", on("broken"));
  await service.ok("/v1/containers/unstarted/prepare", ON_BRIDGE);

  const cases: [method: string, path: string, body: unknown, status: number, code: string][] = [
    ["POST", "/v1/containers/a/prepare", "{", 400, "bad_message"],
    ["POST", "/v1/containers/a/prepare", undefined, 400, "bad_message"],
    ["POST", "/v1/containers/a/prepare", { container_info: 7 }, 400, "bad_message"],
    ["POST", "/v1/containers/a/prepare", on("nope"), 400, "unknown_network"],
    ["POST", "/v1/containers/a/prepare", on("../x"), 400, "unknown_network"],
    ["POST", "/v1/containers/a/prepare", { ...ON_BRIDGE, rootfs: "image" }, 400, "bad_message"],
    ["POST", `/v1/containers/${LONG_ID}/prepare`, ON_BRIDGE, 400, "bad_comment"],
    ["POST", "/v1/containers/..%2fx/prepare", ON_BRIDGE, 400, "bad_container_id"],
    ["POST", "/v1/containers/-x/cleanup", undefined, 400, "bad_container_id"],
    ["POST", "/v1/containers/known/prepare", ON_BRIDGE, 409, "prepared_twice"],
    ["POST", "/v1/containers/known/isolate", { pid }, 409, "isolated_twice"],
    ["POST", "/v1/containers/a/isolate", { pid }, 409, "not_prepared"],
    ["POST", "/v1/containers/a/isolate", { pid: -1 }, 400, "bad_message"],
    ["POST", "/v1/containers/a/isolate", { pid: "1" }, 400, "bad_message"],
    ["POST", "/v1/containers/a/isolate", null, 400, "bad_message"],
    ["POST", "/v1/containers/unstarted/isolate", { pid }, 409, "isolated_twice"],
    ["POST", "/v1/containers/unlucky/isolate", { pid: other.pid }, 502, "cni_117"],
    ["POST", "/v1/containers/a/check", undefined, 404, "unknown_container"],
    ["GET", "/v1/containers/a/status", undefined, 404, "unknown_container"],
    ["GET", "/v1/containers/know/usage", undefined, 404, "unknown_container"],
    ["GET", "/v1/containers/known/prepare", undefined, 405, "bad_request"],
    ["POST", "/metrics", undefined, 405, "bad_request"],
    ["GET", "/v1/toString", undefined, 404, "bad_request"],
    ["GET", "/", undefined, 404, "bad_request"],
    ["POST", "/v1/recover", "[", 400, "bad_message"],
    ["POST", "/v1/gc", { aply: true }, 400, "bad_message"],
    ["POST", "/v1/gc", { containers: ["../x"] }, 400, "bad_container_id"],
    ["POST", "/v1/containers/unstarted/isolate", { pid: 0x3fffffff }, 409, "no_process"],
    ["POST", "/v1/containers/unstarted/isolate", { pid: service.pid }, 409, "agents_namespace"],
    ["POST", "/v1/containers/a/prepare", "x".repeat(2 << 20), 413, "bad_request"],
  ];
  for (const [method, path, body, status, code] of cases) {
    const reply = await service.request(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body)?.slice(0, 80)}: ${reply.text}`;
    assertEquals([reply.status, reply.json?.code], [status, code], what);
    assert(reply.json.message.length > 10, what);
  }
  // What was refused has left nothing.
  assertEquals(
    Object.keys((await service.get("/v1/containers")).json),
    ["known", "unlucky", "unstarted"],
  );
  const { json } = await service.post("/v1/containers/unlucky/isolate", { pid });
  assertEquals(json.code, "isolated_twice", "a failed isolate is to be cleaned up first");
  await service.ok("/v1/containers/unstarted/cleanup", undefined);
  // Whose process was another container's has taken nothing of that along.
  const links = await it.agent.ok(container.enter(["ip", "-o", "link"]));
  assertStringIncludes(links, "eth0");
  const cleanup = await service.post("/v1/containers/unlucky/cleanup");
  assertEquals(cleanup.json.code, "cni_117");
  assertStringIncludes(cleanup.json.message, "no more addresses");
  assertEquals((await service.get("/v1/containers/known/status")).status, 200);
  // Which rules another plugin makes is not known.
  await service.ok(`/v1/containers/${LONG_ID}/prepare`, on("foreign"));
});

Deno.test("metrics count attaches, failures by plugin and code, and durations", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  for (const id of ["a", "b", "unlucky"]) {
    await using container = await ContainerProcess.start(it.agent);
    await service.ok(`/v1/containers/${id}/prepare`, on(id === "unlucky" ? "broken" : "cni-test"));
    await service.post(`/v1/containers/${id}/isolate`, { pid: container.pid });
    if (id !== "b") continue;
    await container.end();
    await service.ok(`/v1/containers/${id}/cleanup`);
  }
  const reply = await service.get("/metrics");
  assertEquals(reply.status, 200);
  const samples = parseMetrics(reply.text);
  const expected = {
    'mesos_cni_attaches_total{network="cni-test"}': 2,
    'mesos_cni_detaches_total{network="cni-test"}': 1,
    'mesos_cni_failures_total{operation="isolate",code="cni_117"}': 1,
    'mesos_cni_plugin_failures_total{plugin="broken",command="ADD",code="117"}': 1,
    'mesos_cni_plugin_duration_seconds_count{plugin="bridge",command="ADD"}': 2,
    'mesos_cni_plugin_duration_seconds_bucket{plugin="bridge",command="ADD",le="+Inf"}': 2,
    'mesos_cni_operation_duration_seconds_count{operation="isolate"}': 3,
    'mesos_cni_leaks_total{kind="container",outcome="failed"}': 0,
    mesos_cni_containers: 2,
  };
  assertEquals(
    Object.fromEntries(Object.keys(expected).map((name) => [name, samples.get(name)])),
    expected,
  );
  const seconds = samples.get(
    'mesos_cni_plugin_duration_seconds_sum{plugin="bridge",command="ADD"}',
  );
  assert(seconds! > 0.002 && seconds! < 20, `${seconds} s for two calls of bridge`);
});

/** The samples of a text in Prometheus' format; fails for a line that is none. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  const types = new Set<string>();
  assert(text.endsWith("\n"));
  for (const line of text.trimEnd().split("\n")) {
    const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
    if (type) {
      assert(!types.has(type[1]!), `two families are called ${type[1]}`);
      types.add(type[1]!);
    } else if (!/^# HELP \w+ .+$/.test(line)) {
      const match = /^((\w+?)(?:_bucket|_sum|_count)?(?:\{(?:\w+="[^"\\\n]*",?)+\})?) (\S+)$/.exec(
        line,
      );
      assert(match, line);
      const [, name, family, value] = match;
      assert(types.has(family!), `${line} is of no family`);
      assert(!samples.has(name!), `${name} is there twice`);
      assert(Number.isFinite(Number(value)), line);
      samples.set(name!, Number(value));
    }
  }
  return samples;
}

/** A plugin whose ADDs end when five have begun: none of them would, one after the other. */
const TOGETHER = `#!/bin/sh
read config
[ "$CNI_COMMAND" != VERSION ] || exit 0
log="$(dirname "$0")/log"
echo "$CNI_CONTAINERID $CNI_COMMAND begins" >> "$log"
for i in $(seq 400); do
  [ "$(grep -c 'ADD begins' "$log")" -lt 5 ] || break
  sleep 0.05
done
echo "$CNI_CONTAINERID $CNI_COMMAND ends" >> "$log"
[ "$CNI_COMMAND" = DEL ] || echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.1.1/24"}]}'
`;

Deno.test("different containers go in parallel, the operations of one in order", async () => {
  await using it = await machine();
  const config = { cniVersion: "0.4.0", name: "together", type: "together" };
  Deno.writeTextFileSync(`${it.dir}/networks/together.conf`, JSON.stringify(config));
  Deno.writeTextFileSync(`${it.dir}/plugins/together`, TOGETHER, { mode: 0o755 });
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  const ids = ["c1", "c2", "c3", "c4", "c5", "c6"];
  const containers = await Promise.all(ids.map(() => ContainerProcess.start(it.agent)));
  for (const id of ids) await service.ok(`/v1/containers/${id}/prepare`, on("together"));

  // The cleanup is asked for while the ADD of the same container is still at work.
  await Promise.all(ids.flatMap((id, i) => [
    service.ok(`/v1/containers/${id}/isolate`, { pid: containers[i]!.pid }),
    until(() => it.logOfSlow().includes(`${id} ADD begins`), `the ADD of ${id}`)
      .then(() => service.post(`/v1/containers/${id}/cleanup`))
      // It has waited for its turn: by then the container is attached, and lives.
      .then(({ json }) => assertEquals(json.code, "alive")),
  ]));
  for (const container of containers) await container.end();
  await Promise.all(ids.map((id) => service.ok(`/v1/containers/${id}/cleanup`)));
  const log = it.logOfSlow();
  assertEquals(log.length, 4 * ids.length);
  for (const id of ids) {
    assertEquals(
      log.filter((line) => line.startsWith(`${id} `)),
      ["ADD begins", "ADD ends", "DEL begins", "DEL ends"].map((line) => `${id} ${line}`),
    );
  }
  const firstEnd = log.findIndex((line) => line.endsWith("ends"));
  assert(firstEnd >= ids.length - 1, `one after the other:\n${log.join("\n")}`);
  for (const container of containers) await container[Symbol.asyncDispose]();
});

Deno.test("a stop signal finishes what is under way, and takes nothing new", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  await using container = await ContainerProcess.start(it.agent);
  await service.ok("/v1/containers/c1/prepare", on("slow"));
  // A caller that says nothing must not hold it up.
  using silent = await Deno.connect({ transport: "unix", path: it.socket });
  const isolated = service.ok("/v1/containers/c1/isolate", { pid: container.pid });
  await until(() => it.logOfSlow().includes("c1 ADD begins"), "the ADD");

  const start = performance.now();
  const stopped = service.stop();
  const { json } = await isolated;
  assertEquals(json.network_infos[0].ip_addresses[0].ip_address, "10.1.1.1");
  assertEquals(await stopped, { code: 0, signal: null, stderr: "" });
  assert(performance.now() - start < PATIENCE, "it waited for the silent caller");
  assertEquals(await silent.read(new Uint8Array(1)), null);
  assertEquals(it.logOfSlow(), ["c1 ADD begins", "c1 ADD ends"]);
  assertEquals([...Deno.readDirSync(it.dir)].map(({ name }) => name).sort(), [
    "networks",
    "plugins",
  ]);
});

Deno.test("a killed service is followed by another, which knows all from disk", async () => {
  await using it = await machine();
  await using container = await ContainerProcess.start(it.agent);
  const path = "/v1/containers/c1";
  {
    await using service = await Service.start(it.agent, it.socket, it.networkFlags);
    await service.ok(`${path}/prepare`, ON_BRIDGE);
    await service.ok(`${path}/isolate`, { pid: container.pid });
    assertEquals(Deno.statSync(it.socket).mode! & 0o777, 0o600);

    const second = await it.agent.run([
      MESOS_CNI,
      "isolator",
      "serve",
      `--socket=${it.socket}`,
      ...it.networkFlags,
    ]);
    assertEquals([second.code, second.stdout], [1, ""]);
    assertStringIncludes(second.stderr, `another program serves at ${it.socket}`);
    assertEquals((await service.get("/healthz")).status, 200);
    await service.stop("SIGKILL");
  }
  assert(Deno.statSync(it.socket).isSocket, "a killed service leaves its socket");
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  assertEquals((await service.get(`${path}/status`)).json.network_infos[0].name, "cni-test");
  await container.end();
  assertEquals((await service.post(`${path}/cleanup`)).status, 204);
});
