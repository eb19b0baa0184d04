/** `mesos-cni isolator serve` and those who call it, or start it: its socket, crowds, systemd. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { units } from "../../lib/install/units.ts";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { BRIDGE, machine, on } from "../harness/served_networks.ts";
import { ContainerProcess, Service, ServiceClient, until } from "../harness/service.ts";

/** ms for which the service waits for a caller who says nothing (PATIENCE in lib/service/server.ts). */
const PATIENCE = 30_000;

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

Deno.test("the path of a socket steers no terminal", async () => {
  await using it = await machine();
  await using service = await Service.start(it.agent, `${it.socket}\x1b[31m`, it.networkFlags);
  service.process.kill("SIGTERM");
  const { stderr } = await service.process.output();
  assertMatch(new TextDecoder().decode(stderr), /listening at .*\\u001b\[31m\n/);
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
      PYTHON,
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
    assert(waited < PATIENCE, `${who[0] ?? "root"}: healthz took ${waited} ms`);
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
  await container.end();
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
    await container.end();
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
    const receiver = it.agent.spawn([PYTHON, "-c", RECEIVER, address]);
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
  for (const [name, text] of Object.entries(units("/usr/local/bin/mesos-cni"))) {
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
