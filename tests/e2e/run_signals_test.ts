/** The life of a command under `mesos-cni run`: exit codes, signals, terminals, sudden death. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Agent, bridgeNetwork, isRunning, until } from "../harness/agent.ts";
import { kernelTest } from "../harness/kernel.ts";
import { partOf } from "../harness/part.ts";
import { Pty } from "../harness/pty.ts";

const NETWORK = ["--networks=cni-test"];

Deno.test("run: its exit code is the command's", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  for (const [script, code] of [["exit 0", 0], ["exit 7", 7], ["kill -9 $$", 137]] as const) {
    assertEquals((await agent.run(NETWORK, ["sh", "-c", script])).code, code);
  }
});

Deno.test("run: standard input, output and error are the command's", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const { stdout, stderr } = await agent.run(NETWORK, ["sh", "-c", "cat; echo problem >&2"], {
    stdin: "a line\n",
  });
  assertEquals([stdout, stderr], ["a line\n", "problem\n"]);
});

Deno.test("run: signals reach the command, and all is cleaned up after it", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.ok(NETWORK, ["true"]);
  const before = await agent.traces();
  for (
    const signal of partOf(
      ["HUP", "INT", "QUIT", "USR1", "USR2", "TERM", "ALRM", "PROF", "IO"] as const,
      3,
      "runtime",
    )
  ) {
    const command = await agent.start(
      `sig-${signal}`,
      NETWORK,
      `trap 'echo got ${signal}; exit 42' ${signal}; echo armed; while :; do sleep 0.05; done`,
    );
    await command.printed(/armed/); // a signal that comes before its trap ends the shell
    command.kill(`SIG${signal}`);
    const { code, stdout } = await command.output();
    assertEquals(code, 42, signal);
    assertStringIncludes(stdout, `got ${signal}`);
  }
  const ends = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143, SIGALRM: 142, SIGPWR: 158 } as const;
  for (const [signal, code] of partOf(Object.entries(ends), 3, "runtime")) {
    const command = await agent.start("deaf", NETWORK);
    command.kill(signal as Deno.Signal);
    assertEquals((await command.output()).code, code, signal);
  }
  assertEquals(await agent.traces(before), before);
});

Deno.test("run: a command with SIGPIPE, and without the runtime's other signal settings", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const state = await agent.ok(NETWORK, ["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]);
  // Of the real-time signals, those that the C library keeps for itself differ by machine.
  const standard = state.match(/[0-9a-f]{16}/g)!.map((set) => BigInt(`0x${set}`) & 0x7fffffffn);
  assertEquals(standard, [0n, 0n]);
});

Deno.test("run: a signal while a plugin works ends it when the plugin has, and leaves nothing", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const { dir } = agent.sandbox;
  agent.plugin(
    "slow",
    `[ $CNI_COMMAND != ADD ] || { touch ${dir}/adding; sleep 1; }; exec /usr/lib/cni/bridge`,
  );
  agent.define({ ...bridgeNetwork("slow"), type: "slow" });
  await agent.ok(["--networks=slow"], ["true"]);
  const before = await agent.traces();
  const signals = [["SIGTERM", 143], ["SIGINT", 130], ["SIGHUP", 129]] as const;
  for (const [signal, code] of partOf(signals, 3, "runtime")) {
    await Deno.remove(`${dir}/adding`);
    const run = agent.spawn(agent.runArgv(["--networks=slow"], ["echo", "was run"]));
    await until(() => exists(`${dir}/adding`), "the plugin's ADD");
    run.kill(signal);
    const output = await run.output();
    assertEquals([output.code, output.stdout], [code, ""], output.stderr);
    assertEquals(await agent.traces(before), before);
  }
});

Deno.test("run: what the command leaves running ends with it", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const pid = Number(
    await agent.ok(NETWORK, ["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]),
  );
  assertEquals(isRunning(pid), false);
});

Deno.test("run: killed with SIGKILL, its command dies, and a cleanup leaves nothing", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.ok(NETWORK, ["true"]);
  const before = await agent.traces();
  const run = await agent.start("victim", NETWORK);
  const pid = Number((await run.printed(/started (\d+)/))[1]);
  run.kill("SIGKILL");
  await run.output();
  await until(() => !isRunning(pid), "the command's death");
  assertEquals((await agent.json("status", ["victim"])).network_infos.length, 1);
  await agent.json("cleanup", ["victim"]);
  assertEquals(await agent.traces(before), before);
  assertEquals((await agent.isolator("cleanup", ["victim"])).code, 1); // nothing is there any more
  assertEquals(await agent.traces(before), before);
});

Deno.test("run: a cleanup that fails is said, and can be repeated", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const { dir } = agent.sandbox;
  agent.plugin(
    "stubborn",
    `[ $CNI_COMMAND != DEL ] || [ -e ${dir}/give-in ] || {
       echo '{"code": 11, "msg": "not yet"}'; exit 1; }
     exec /usr/lib/cni/bridge`,
  );
  agent.define({ ...bridgeNetwork("stubborn"), type: "stubborn" });
  const { code, stderr } = await agent.run(["--networks=stubborn", "--name=web"], ["true"]);
  assertEquals(code, 1);
  for (const words of ["DEL by stubborn", "not yet", "mesos-cni cleanup web"]) {
    assertStringIncludes(stderr, words);
  }
  assertEquals((await agent.json("status", ["web"])).network_infos.length, 1);
  Deno.writeTextFileSync(`${dir}/give-in`, "");
  await agent.json("cleanup", ["web"]);
  assertEquals(await agent.list(agent.checkpoint("")), []);
});

kernelTest(
  "run: a shell in a terminal is interactive, and Ctrl-C reaches its job alone",
  async () => {
    await using agent = await Agent.create(bridgeNetwork());
    await using terminal = new Pty(
      agent.sandbox.enter(agent.runArgv([...NETWORK, "--name=term", "--env=PS1=prompt> "], ["sh"])),
    );
    await terminal.expect(/prompt> /);
    terminal.type("test -t 0 && hostname && stty size\n");
    await terminal.expect(/term\r\n24 80/);
    terminal.type("sleep 1000; echo after-$?\n");
    await until(
      async () => /sleep 1000/.test(await agent.sandbox.ok(["ps", "-e", "-o", "args"])),
      "sleep",
    );
    terminal.type("\x03");
    terminal.type("echo still-$((40 + 2))\n");
    await terminal.expect(/still-42/);
    terminal.type("exit 5\n");
    assertEquals(await terminal.ended(), 5);
    assertEquals(await agent.list(agent.checkpoint("")), []);
  },
);

kernelTest("run: Ctrl-C in a terminal reaches the command once", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await using terminal = new Pty(
    agent.sandbox.enter(
      agent.runArgv(NETWORK, [
        "sh",
        "-c",
        "trap 'echo caught' INT; echo ready; sleep 1 & wait; sleep 1; echo end",
      ]),
    ),
  );
  await terminal.expect(/ready/);
  terminal.type("\x03");
  const [shown] = await terminal.expect(/[^]*end/);
  assertEquals(await terminal.ended(), 0);
  assertEquals(shown.match(/caught/g)?.length, 1, shown);
});

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
