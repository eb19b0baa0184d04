/** `mesos-cni run` with ports of the agent that lead to the container. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Agent, portMapperNetwork, RUNTIME_DIR, until } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { partOf } from "../harness/part.ts";
import { AGENT_ADDRESS, type Outside } from "../harness/sandbox.ts";

const NETWORK = "--networks=port-mapper-test";
const TYPE = "mesos-cni-port-mapper";

/** A command that answers each connection with a word. */
function server(word: string): string {
  return `while :; do echo ${word} | busybox nc -l -p 80 >/dev/null; done`;
}

/** What an outside host reads at a port of the agent; empty if nobody answers. */
async function ask(outside: Outside, port: number): Promise<string> {
  const { stdout } = await outside.run([
    "sh",
    "-c",
    `(printf 'GET / HTTP/1.0\\r\\n\\r\\n'; sleep 0.2) | busybox nc -w 2 ${AGENT_ADDRESS} ${port}`,
  ]);
  return stdout.trim();
}

const WAYS = ["inside this program", "by its link in the plugins' directory", "as a copy"];
for (const how of partOf(WAYS, 3)) {
  Deno.test(`ports: an outside host gets the page, with the port mapper ${how}`, async () => {
    await using agent = await Agent.create(portMapperNetwork());
    if (how.includes("link")) Deno.symlinkSync(MESOS_CNI, `${agent.pluginDir}/${TYPE}`);
    if (how.includes("copy")) Deno.copyFileSync(MESOS_CNI, `${agent.pluginDir}/${TYPE}`);
    const outside = await agent.sandbox.outside();
    await agent.ok([NETWORK, "--port_mappings=8080:80"], ["true"]);
    const before = await agent.traces();
    const page = `${agent.sandbox.dir}/page`;
    Deno.mkdirSync(page);
    Deno.writeTextFileSync(`${page}/index.html`, "<h1>hello</h1>\n");
    const web = await agent.start(
      "web",
      [NETWORK, "--port_mappings=8080:80"],
      `exec busybox httpd -f -h ${page}`,
    );
    let shown = "";
    const whole = /200 OK[^]*<h1>hello<\/h1>$/;
    const isShown = async () => whole.test(shown = await ask(outside, 8080));
    await until(isShown, "the page", () => shown);
    const { network_infos: [info] } = await agent.json("status", ["web"]);
    assertEquals(info.port_mappings, [{ host_port: 8080, container_port: 80, protocol: "tcp" }]);
    web.kill("SIGTERM");
    await web.output();
    assertEquals(await agent.traces(before), before);
  });
}

Deno.test("ports: three containers, each at its own port, one gone and the others not", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const outside = await agent.sandbox.outside();
  const containers = await Promise.all(
    [0, 1, 2].map((i) =>
      agent.start(`c${i}`, [NETWORK, `--port_mappings=${8080 + i}:80`], server(`i-am-${i}`))
    ),
  );
  for (const i of [0, 1, 2]) {
    await until(async () => await ask(outside, 8080 + i) === `i-am-${i}`, `container ${i}`);
  }
  await containers[1]!.end();
  assertEquals(await ask(outside, 8081), "");
  for (const i of [0, 2]) {
    await until(async () => await ask(outside, 8080 + i) === `i-am-${i}`, `container ${i}`);
  }
  const rules = await agent.sandbox.ok(["iptables-save", "-t", "nat"]);
  assertMatch(rules, /--dport 8080 .*DNAT/);
  assertEquals(/--dport 8081 /.test(rules), false, rules);
});

Deno.test("ports: a port that a container has already is refused, and leaves nothing", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  await agent.start("first", [NETWORK, "--port_mappings=8080:80"]);
  const before = await agent.traces();
  const { code, stderr } = await agent.run([NETWORK, "--port_mappings=8080:81"], ["true"]);
  assertEquals(code, 1);
  for (const words of ["port-mapper-test", "8080", "first"]) assertStringIncludes(stderr, words);
  assertEquals(await agent.traces(before), before);
});

Deno.test("ports: mappings go to the first network only", async () => {
  await using agent = await Agent.create(
    portMapperNetwork(),
    { ...portMapperNetwork("second"), chain: "MESOS-SECOND" },
  );
  await agent.start("web", ["--networks=second,port-mapper-test", "--port_mappings=8080:80"]);
  const { network_infos: infos } = await agent.json("status", ["web"]);
  assertEquals(
    infos.map((info: { port_mappings?: unknown[] }) => info.port_mappings?.length),
    [1, undefined],
  );
});

Deno.test("ports: rules that a reload of the firewall took away are back after recover", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const outside = await agent.sandbox.outside();
  await agent.start("web", [NETWORK, "--port_mappings=8080:80"], server("here"));
  await until(async () => await ask(outside, 8080) === "here", "an answer");
  await agent.sandbox.ok(["iptables", "-t", "nat", "-F", "MESOS-TEST-PORT-MAPPER"]);
  const health = async () =>
    JSON.parse(
      await agent.sandbox.ok([MESOS_CNI, "list", "--json", `--runtime_dir=${RUNTIME_DIR}`]),
    )[
      0
    ].health;
  assertEquals(await health(), "port rules missing");
  assertEquals(await agent.json("recover"), [
    { container: "web", outcome: "kept", repaired: ["port-mapper-test"] },
  ]);
  assertEquals(await health(), "ok");
  await until(async () => await ask(outside, 8080) === "here", "an answer again");
});
