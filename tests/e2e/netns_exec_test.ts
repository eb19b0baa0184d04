/** `netns exec` and `netns shell`: the command is the process, with its terminal and signals. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertStringIncludes,
} from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";
import { inForeground, Pty } from "../harness/pty.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { bridgeNetwork, StockContainer } from "../harness/stock_agent.ts";

const netA = bridgeNetwork("net-a", "10.1.0.0/16");

Deno.test("exec gives the command's output and exit code, and 126 or 127 for none", async () => {
  await using agent = await Sandbox.create();
  await using container = await StockContainer.launch(agent, "web", [netA]);
  const exec = (...args: string[]) => agent.run([MESOS_CNI, "netns", "exec", "web", ...args]);
  const inside = await container.ok(["readlink", "/proc/self/ns/net"]);
  const seen = await exec("--", "sh", "-c", "readlink /proc/self/ns/net; echo oh >&2; exit 42");
  assertEquals([seen.code, seen.stdout, seen.stderr], [42, inside, "oh\n"]);
  assertEquals((await exec("--", "/no/such/program")).code, 127);
  assertEquals((await exec("--", "/etc/passwd")).code, 126);
  const killed = await agent.run([
    "sh",
    "-c",
    '"$@"; echo $?',
    "sh",
    ...[MESOS_CNI, "netns", "exec", "web", "--", "sh", "-c", "kill -TERM $$"],
  ]);
  assertEquals(killed.stdout.trim(), "143");
  // The runtime ignores SIGPIPE; the command must not.
  const piped = await exec("--", "sh", "-c", "yes | head -1");
  assertEquals([piped.code, piped.stdout, piped.stderr], [0, "y\n", ""]);
});

Deno.test("exec of a whole id looks at no other process, and still finds an agent elsewhere", async () => {
  await using agent = await Sandbox.create();
  await using _container = await StockContainer.launch(agent, "web", [netA]);
  const looks = async (id: string) => {
    const exec = [MESOS_CNI, "netns", "exec", id, "--", "true"];
    const { code } = await agent.run(["strace", "-f", "-o", "/run/trace", ...exec]);
    assertEquals(code, 0);
    return (await agent.ok(["cat", "/run/trace"])).match(/"\/proc\/\d+\/comm"/g)?.length ?? 0;
  };
  assertEquals(await looks("web"), 0);
  assert(await looks("we") > 0, "the beginning of an id may be anywhere");

  // An agent is known by its program's name: a stand-in, which a copy of bash can be.
  await agent.ok(["sh", "-c", "mkdir -p /run/other && mv /var/run/mesos/* /run/other"]);
  await agent.ok(["mkdir", "-p", "/var/run/mesos/isolators/network/cni/web"]); // another's leftover
  await agent.ok(["cp", "/usr/bin/bash", "/run/mesos-agent"]);
  const other = agent.spawn(["/run/mesos-agent", "-c", "read -r _", "--runtime_dir=/run/other"]);
  const deadline = Date.now() + 60_000;
  const exec = () => agent.run([MESOS_CNI, "netns", "exec", "web", "--", "hostname", "-I"]);
  let seen = await exec();
  while (seen.code !== 0 && Date.now() < deadline) seen = await exec();
  assertStringIncludes(seen.stdout, "10.1.0.2", seen.stderr);
  await other.stdin.close();
  await Promise.all([other.status, other.stdout.cancel(), other.stderr.cancel()]);
});

Deno.test("exec is the process itself: no parent that waits, standard input its own", async () => {
  await using agent = await Sandbox.create();
  await using _container = await StockContainer.launch(agent, "web", [netA]);
  const child = agent.spawn([MESOS_CNI, "netns", "exec", "web", "--", "sh", "-c", "echo $$; cat"]);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("through\n"));
  await writer.close();
  const { stdout } = await child.output();
  assertEquals(new TextDecoder().decode(stdout), `${child.pid}\nthrough\n`);
});

Deno.test("--mount and --uts show the container's own files and name", async () => {
  await using agent = await Sandbox.create();
  await using container = await StockContainer.launch(agent, "web", [netA]);
  const exec = async (...args: string[]) =>
    (await agent.run([MESOS_CNI, "netns", "exec", "web", ...args])).stdout;
  const hosts = await container.ok(["cat", "/etc/hosts"]);
  assertStringIncludes(hosts, " web\n");
  assertEquals(await exec("--mount", "--", "cat", "/etc/hosts"), hosts);
  assertNotEquals(await exec("--", "cat", "/etc/hosts"), hosts);
  assertEquals(await exec("--uts", "--", "hostname"), "web\n");
  await agent.ok(["sh", "-c", `kill -9 ${container.pid}`]);
  await container[Symbol.asyncDispose]();
  const dead = await agent.run([MESOS_CNI, "netns", "exec", "web", "--mount", "--", "true"]);
  assertEquals(dead.code, 1);
  assertMatch(dead.stderr, /web has no process/);
  // The namespace itself lives as long as its handle is mounted.
  assertMatch(await exec("--", "ip", "address"), /10\.1\.0\.2/);
});

kernelTest(
  "in a terminal: size and its changes, Ctrl-C, Ctrl-Z and fg reach the command",
  async () => {
    await using agent = await Sandbox.create();
    await using container = await StockContainer.launch(agent, "web", [netA]);
    await using pty = new Pty(agent.enter(["bash", "--norc", "-i"]), {
      PS1: "agent> ",
      TERM: "dumb",
    });
    await pty.expect(/agent> /);
    const exec = `${MESOS_CNI} netns exec web --`;

    pty.type(`${exec} stty size\n`);
    await pty.expect(/\n24 80\r\n[^]*agent> /);
    // With a trap of its own: bash takes a Ctrl-C during which its child ends by itself for the child's.
    const reader =
      `trap "stty size" WINCH; trap "exit 130" INT; echo up; while :; do sleep 0.05; done`;
    pty.type(`${exec} bash -c '${reader}'\n`);
    await pty.expect(/\nup/);
    pty.resize(50, 132);
    await pty.expect(/50 132/);
    pty.type("\x03");
    await pty.expect(/agent> /);

    pty.type(`${exec} sleep 1000\n`);
    await pty.expect(/sleep 1000\r\n/);
    await inForeground(agent, container.pid, "sleep");
    pty.type("\x1a");
    await pty.expect(/Stopped[^]*agent> /);
    pty.type("fg\n");
    await pty.expect(/sleep 1000\r\n/);
    await inForeground(agent, container.pid, "sleep");
    pty.type("\x03");
    await pty.expect(/agent> /);
    pty.type("echo code=$?\n");
    await pty.expect(/code=130\r\n/);

    pty.type(`${MESOS_CNI} netns shell web\n`);
    await pty.expect(/\[netns web\][^]*[$#] /);
    pty.type("readlink /proc/self/ns/net\n");
    const inside = (await container.ok(["readlink", "/proc/self/ns/net"])).trim();
    await pty.expect(new RegExp(inside.replaceAll(/[[\]]/g, "\\$&")));
    pty.type("exit 9\n");
    await pty.expect(/agent> /);
    pty.type("echo code=$?\n");
    await pty.expect(/code=9\r\n/);
    pty.type("exit 3\n");
    assertEquals(await pty.ended(), 3);
  },
);

kernelTest("in a terminal, an ambiguous prefix is a choice", async () => {
  await using agent = await Sandbox.create();
  await using _one = await StockContainer.launch(agent, "abc-1", []);
  await using two = await StockContainer.launch(agent, "abc-2", []);
  const command = [MESOS_CNI, "netns", "exec", "abc", "--", "readlink", "/proc/self/ns/net"];
  await using pty = new Pty(agent.enter(command));
  await pty.expect(/1 +abc-1\r\n +2 +abc-2\r\n[^]*which one\?/);
  pty.type("2\n");
  const inside = (await two.ok(["readlink", "/proc/self/ns/net"])).trim();
  await pty.expect(new RegExp(inside.replaceAll(/[[\]]/g, "\\$&")));
  assertEquals(await pty.ended(), 0);
});
