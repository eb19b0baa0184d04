/** `mesos-cni isolator serve` with real plugins: what its clients see. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { units } from "../../lib/install/units.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { ContainerProcess, Service, ServiceClient, until } from "../harness/service.ts";

const BRIDGE = {
  cniVersion: "0.4.0",
  name: "cni-test",
  type: "bridge",
  bridge: "mesos-cni0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
};
const ON_BRIDGE = { container_info: { type: "MESOS", network_infos: [{ name: "cni-test" }] } };

/** A plugin that takes its time, and writes down when, and which files it was given. */
const SLOW = `#!/bin/sh
read config
[ "$CNI_COMMAND" != VERSION ] || exit 0
ls -l /proc/$$/fd > "$(dirname "$0")/files"
echo "$CNI_CONTAINERID $CNI_COMMAND begins" >> "$(dirname "$0")/log"
sleep 0.5
echo "$CNI_CONTAINERID $CNI_COMMAND ends" >> "$(dirname "$0")/log"
[ "$CNI_COMMAND" = DEL ] || echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.1.1/24"}]}'
`;
const BROKEN = `#!/bin/sh
echo '{"cniVersion":"0.4.0","code":117,"msg":"no more addresses","details":"the pool is empty"}'
exit 1
`;

/** An agent with the networks `cni-test`, `slow` and `broken`, and flags to serve them. */
async function machine() {
  const agent = await Sandbox.create();
  const { dir } = agent;
  Deno.mkdirSync(`${dir}/networks`);
  Deno.mkdirSync(`${dir}/plugins`);
  const config = (name: string, content: unknown) =>
    Deno.writeTextFileSync(`${dir}/networks/${name}`, JSON.stringify(content));
  config("cni-test.conf", BRIDGE);
  for (const [name, script] of Object.entries({ slow: SLOW, broken: BROKEN })) {
    config(`${name}.conf`, { cniVersion: "0.4.0", name, type: name });
    Deno.writeTextFileSync(`${dir}/plugins/${name}`, script, { mode: 0o755 });
  }
  const networkFlags = [
    `--network_cni_config_dir=${dir}/networks`,
    `--network_cni_plugins_dir=${dir}/plugins:${CNI_PLUGINS}`,
  ];
  return {
    agent,
    dir,
    socket: `${dir}/isolator.sock`,
    networkFlags,
    logOfSlow: () => Deno.readTextFileSync(`${dir}/plugins/log`).trim().split("\n"),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

const on = (network: string) => ({ container_info: { network_infos: [{ name: network }] } });

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
  await it.agent.ok(["busybox", "ping", "-c1", "-W2", address]);

  assertEquals((await service.get(`${path}/status`)).json, status.json);
  assertEquals((await service.get("/v1/containers")).json, { "web-1": status.json });
  assertEquals(await command("status", "web-1"), status.json);
  assert((await service.get(`${path}/usage`)).json.net_rx_packets > 0);
  assertEquals((await service.post(`${path}/check`)).status, 204);

  await it.agent.ok(container.enter(["ip", "address", "flush", "dev", "eth0"]));
  const objection = await service.post(`${path}/check`);
  assertEquals(objection.status, 502);
  assertStringIncludes(objection.json.message, "CHECK by bridge for eth0 of container web-1");

  assertEquals((await service.post(`${path}/cleanup`)).status, 204);
  assertEquals((await service.post(`${path}/cleanup`)).status, 204);
  assertEquals((await service.get("/v1/containers")).json, {});
  assertEquals(await command("status"), {});
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
  const { json } = await service.ok("/v1/recover", {
    states: [{ container_id: { value: "one" } }],
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
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  await using container = await ContainerProcess.start(it.agent);
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
    ["POST", "/v1/containers/..%2fx/prepare", ON_BRIDGE, 400, "bad_container_id"],
    ["POST", "/v1/containers/-x/cleanup", undefined, 400, "bad_container_id"],
    ["POST", "/v1/containers/known/prepare", ON_BRIDGE, 409, "prepared_twice"],
    ["POST", "/v1/containers/known/isolate", { pid }, 409, "isolated_twice"],
    ["POST", "/v1/containers/a/isolate", { pid }, 409, "not_prepared"],
    ["POST", "/v1/containers/a/isolate", { pid: -1 }, 400, "bad_message"],
    ["POST", "/v1/containers/a/isolate", { pid: "1" }, 400, "bad_message"],
    ["POST", "/v1/containers/a/isolate", null, 400, "bad_message"],
    ["POST", "/v1/containers/unlucky/isolate", { pid }, 502, "cni_117"],
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
    ["POST", "/v1/recover", "x".repeat(2 << 20), 413, "bad_request"],
  ];
  for (const [method, path, body, status, code] of cases) {
    const reply = await service.request(method, path, body);
    const what = `${method} ${path} ${JSON.stringify(body)?.slice(0, 80)}: ${reply.text}`;
    assertEquals([reply.status, reply.json?.code], [status, code], what);
    assert(reply.json.message.length > 10, what);
  }
  const { json } = await service.post("/v1/containers/unlucky/isolate", { pid });
  assertEquals(json.code, "isolated_twice", "a failed isolate is to be cleaned up first");
  const cleanup = await service.post("/v1/containers/unlucky/cleanup");
  assertEquals(cleanup.json.code, "cni_117");
  assertStringIncludes(cleanup.json.message, "no more addresses");
  assertEquals((await service.get("/v1/containers/known/status")).status, 200);
});

Deno.test("metrics count attaches, failures by plugin and code, and durations", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  for (const id of ["a", "b", "unlucky"]) {
    await using container = await ContainerProcess.start(it.agent);
    await service.ok(`/v1/containers/${id}/prepare`, on(id === "unlucky" ? "broken" : "cni-test"));
    await service.post(`/v1/containers/${id}/isolate`, { pid: container.pid });
    if (id === "b") await service.ok(`/v1/containers/${id}/cleanup`);
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

Deno.test("different containers go in parallel, the operations of one in order", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  const ids = ["c1", "c2", "c3", "c4", "c5", "c6"];
  const containers = await Promise.all(ids.map(() => ContainerProcess.start(it.agent)));
  for (const id of ids) await service.ok(`/v1/containers/${id}/prepare`, on("slow"));

  // The cleanup is asked for while the ADD of the same container is still at work.
  await Promise.all(ids.flatMap((id, i) => [
    service.ok(`/v1/containers/${id}/isolate`, { pid: containers[i]!.pid }),
    until(() => it.logOfSlow().includes(`${id} ADD begins`), `the ADD of ${id}`)
      .then(() => service.ok(`/v1/containers/${id}/cleanup`)),
  ]));
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
  assert(performance.now() - start < 3000);
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
  assertEquals((await service.post(`${path}/cleanup`)).status, 204);
});

Deno.test("what is not a dead service's socket is left alone", async () => {
  await using it = await machine();
  const serve = () =>
    it.agent.run([MESOS_CNI, "isolator", "serve", `--socket=${it.socket}`, ...it.networkFlags]);

  Deno.writeTextFileSync(it.socket, "precious");
  const file = await serve();
  assertEquals(file.code, 1);
  assertStringIncludes(file.stderr, `${it.socket} is there and is no socket`);
  assertEquals(Deno.readTextFileSync(it.socket), "precious");

  Deno.removeSync(it.socket);
  using _foreign = Deno.listen({ transport: "unix", path: it.socket });
  const foreign = await serve();
  assertEquals(foreign.code, 1);
  assertStringIncludes(foreign.stderr, `another program serves at ${it.socket}`);
  assert(Deno.statSync(it.socket).isSocket);
  assertEquals(
    [...Deno.readDirSync(it.dir)].map(({ name }) => name).sort(),
    ["isolator.sock", "networks", "plugins"],
  );

  const long = await it.agent.run([
    MESOS_CNI,
    "isolator",
    "serve",
    `--socket=/run/${"x".repeat(120)}`,
  ]);
  assertEquals(long.code, 2);
  assertStringIncludes(long.stderr, "1 to 107 bytes");
});

Deno.test("only root is answered, whatever the socket's file allows", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  const asNobody = ["setpriv", "--reuid=65534", "--clear-groups", "curl", "-sS", "--unix-socket"];
  Deno.chmodSync(it.dir, 0o755);
  const refused = await it.agent.run([...asNobody, it.socket, "http://localhost/healthz"]);
  assertEquals(refused.code, 7, "the file itself is root's");
  Deno.chmodSync(it.socket, 0o666);
  const answer = await it.agent.ok([...asNobody, it.socket, "http://localhost/v1/containers"]);
  assertStringIncludes(JSON.parse(answer).message, "for root only, not for user 65534");
  assertEquals((await service.get("/v1/containers")).status, 200);
});

Deno.test("hundreds of silent callers, root's and others', keep nobody waiting", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  Deno.chmodSync(it.dir, 0o755);
  Deno.chmodSync(it.socket, 0o666);
  for (const who of [["setpriv", "--reuid=65534", "--clear-groups"], []]) {
    const crowd = it.agent.spawn([
      ...who,
      "python3",
      "-c",
      `
import socket, sys
crowd = []
for _ in range(300):
    one = socket.socket(socket.AF_UNIX)
    one.connect(sys.argv[1])
    crowd.append(one)
print("here", flush=True)
sys.stdin.read()
`,
      it.socket,
    ]);
    const reader = crowd.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    const start = performance.now();
    assertEquals((await service.get("/healthz")).status, 200);
    const waited = performance.now() - start;
    assert(waited < 3000, `${who[0] ?? "root"}: healthz took ${waited} ms`);
    await crowd.stdin.close();
    await crowd.output();
  }
});

Deno.test("a service goes on when its own file is deleted and nobody reads its log, and opens nothing to others", async () => {
  await using it = await machine();
  const { name: _, ...delegate } = BRIDGE;
  Deno.writeTextFileSync(
    `${it.dir}/networks/mapped.conf`,
    JSON.stringify({ name: "mapped", type: "mesos-cni-port-mapper", chain: "MAPPED", delegate }),
  );
  const mapping = { host_port: 8080, container_port: 80 };
  const network = { name: "mapped", port_mappings: [mapping] };
  const program = `${it.dir}/mesos-cni`;
  const socket = `${it.dir}/own/isolator.sock`;
  Deno.copyFileSync(MESOS_CNI, program);
  const child = it.agent.spawn([
    "sh",
    "-c",
    'umask 0; exec 2>/dev/full; exec "$@"',
    "sh",
    program,
    ...["isolator", "serve", `--socket=${socket}`, "--log-level=debug", ...it.networkFlags],
  ]);
  await until(() => {
    try {
      return Deno.lstatSync(socket).isSocket === true;
    } catch {
      return false;
    }
  }, "the service");
  Deno.removeSync(program);
  await using container = await ContainerProcess.start(it.agent);
  const call = (path: string, body?: unknown) =>
    it.agent.ok([
      ...["curl", "-sS", "--fail-with-body", "--unix-socket", socket],
      ...body === undefined ? ["-X", "POST"] : ["-d", JSON.stringify(body)],
      `http://localhost${path}`,
    ]);
  await call("/v1/containers/c1/prepare", { container_info: { network_infos: [network] } });
  await call("/v1/containers/c1/isolate", { pid: container.pid });
  const open = ["find", "-L", `${it.dir}/own`, "/run/mesos", "/var/lib/cni", "-perm", "/022"];
  assertEquals(await it.agent.ok([...open, "-not", "-type", "c"]), "");
  const requests = "/run/mesos/isolators/network/mesos-cni"; // locked where no file can be made
  assertEquals((await it.agent.ok(["stat", "-c", "%a", requests])).trim(), "700");
  await call("/v1/containers/c1/cleanup");
  child.kill("SIGTERM");
  await child.stdin.close();
  assertEquals((await child.output()).code, 0);
});

Deno.test("a caller that breaks off or talks nonsense disturbs nobody", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  const say = async (text: string) => {
    using connection = await Deno.connect({ transport: "unix", path: it.socket });
    await connection.write(new TextEncoder().encode(text));
    await connection.closeWrite();
    return (await new Response(connection.readable).text()).split("\r\n")[0];
  };
  assertEquals(await say("hello\r\n\r\n"), "HTTP/1.1 400 Bad Request");
  assertEquals(await say("GET / HTTP/2.0\r\n\r\n"), "HTTP/1.1 505 HTTP Version Not Supported");
  assertEquals(await say("GET /healthz HTTP/1.1\r\nno header\r\n\r\n"), "HTTP/1.1 400 Bad Request");
  assertEquals(
    await say("POST /v1/recover HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "HTTP/1.1 411 Length Required",
  );
  assertEquals(
    await say("POST /v1/recover HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"),
    "HTTP/1.1 400 Bad Request",
  );
  assertEquals(
    await say("POST /v1/recover HTTP/1.1\r\nContent-Length: 5\r\n\r\n[]"),
    "HTTP/1.1 400 Bad Request",
  );
  assertEquals(
    await say(`GET /healthz HTTP/1.1\r\nx: ${"x".repeat(40_000)}`),
    "HTTP/1.1 431 Request Header Fields Too Large",
  );
  assertEquals(await say(""), "");
  assertEquals(await say("GET /healthz HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK");

  // A request in single bytes, and one whose caller does not wait for the answer.
  const slowly = await Deno.connect({ transport: "unix", path: it.socket });
  for (const byte of "GET /healthz HTTP/1.1\r\n\r\n") {
    await slowly.write(new TextEncoder().encode(byte));
  }
  assertMatch(await new Response(slowly.readable).text(), /^HTTP\/1.1 200 OK\r\n/);
  for (let i = 0; i < 20; i++) {
    const gone = await Deno.connect({ transport: "unix", path: it.socket });
    await gone.write(new TextEncoder().encode("GET /metrics HTTP/1.1\r\n\r\n"));
    gone.close();
  }
  assertEquals((await service.get("/healthz")).status, 200);
  assertEquals((await service.stop()).stderr, "");
});

Deno.test("many callers at once are all answered", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, it.socket, it.networkFlags);
  // More than the service takes at a time, and idle ones among them.
  const idle = await Promise.all(
    Array.from({ length: 100 }, () => Deno.connect({ transport: "unix", path: it.socket })),
  );
  const replies = await Promise.all(
    Array.from({ length: 400 }, () => service.get("/healthz")),
  );
  assert(replies.every((reply) => reply.status === 200));
  idle.forEach((connection) => connection.close());
  assertEquals((await service.stop()).code, 0);
});

Deno.test("systemd's socket activation", async () => {
  await using it = await machine();
  const process = it.agent.spawn([
    "systemd-socket-activate",
    `--listen=${it.socket}`,
    MESOS_CNI,
    "isolator",
    "serve",
    "--socket=/nowhere/unused.sock",
    ...it.networkFlags,
  ]);
  await process.stdin.close();
  try {
    await until(() => Deno.statSync(it.socket).isSocket === true, "the socket");
    using client = new ServiceClient(it.socket);
    await until(async () => (await client.get("/healthz")).status === 200, "an answer");
    await using container = await ContainerProcess.start(it.agent);
    await client.ok("/v1/containers/c1/prepare", on("slow"));
    await client.ok("/v1/containers/c1/isolate", { pid: container.pid });
    // The plugins must not get the listening socket.
    const files = Deno.readTextFileSync(`${it.dir}/plugins/files`);
    assert(files.split("pipe:").length > 3, `the plugin has its pipes:\n${files}`);
    assert(!files.includes("socket:"), files);
    await client.ok("/v1/containers/c1/cleanup");
  } finally {
    process.kill("SIGTERM");
  }
  assertEquals((await process.output()).code, 0);
  assert(Deno.statSync(it.socket).isSocket, "the socket is systemd's, and stays");
});

Deno.test("systemd is told when it is ready, and when it stops", async () => {
  await using it = await machine();
  for (const address of [`${it.dir}/notify`, "@mesos-cni-test-notify"]) {
    const receiver = it.agent.spawn(["python3", "-c", RECEIVER, address]);
    await receiver.stdin.close();
    const said: string[] = [];
    const reading = receiver.stdout.pipeThrough(new TextDecoderStream())
      .pipeTo(new WritableStream({ write: (text) => void said.push(text) }));
    const toldOf = (text: string) =>
      until(() => said.join("").trimEnd() === text, `${text}, and it is ${said.join("")}`);
    await toldOf("bound");
    await using service = await Service.start(it.agent, it.socket, it.networkFlags, {
      env: { NOTIFY_SOCKET: address },
    });
    await toldOf("bound\nREADY=1");
    assertEquals(await service.stop(), { code: 0, signal: null, stderr: "" });
    await toldOf("bound\nREADY=1\nSTOPPING=1");
    await reading;
    assertEquals((await receiver.status).code, 0);
    await receiver.stderr.cancel();
  }
});

Deno.test("the examples of systemd units are those that install writes", async () => {
  const written = units({
    binary: "/usr/local/bin/mesos-cni",
  });
  for (const [name, text] of Object.entries(written)) {
    const example = new URL(`../../examples/agent/${name}`, import.meta.url);
    assertEquals(await Deno.readTextFile(example), text, name);
  }
});

const RECEIVER = `
import socket, sys
address = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + address[1:] if address[0] == "@" else address)
print("bound", flush=True)
for _ in range(2): print(s.recv(100).decode(), flush=True)
`;
