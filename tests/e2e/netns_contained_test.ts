/** `--mount`: the programs of a container get its rights, and nothing of the agent's. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { confined } from "../harness/confined.ts";
import { kernelTest } from "../harness/kernel.ts";
import { inForeground, Pty } from "../harness/pty.ts";
import { Sandbox } from "../harness/sandbox.ts";

const KINDS = ["net", "mnt", "uts", "ipc", "cgroup", "pid"];

kernelTest(
  "exec --mount: all namespaces, the container's capabilities, no descriptors",
  async () => {
    await using agent = await Sandbox.create();
    const container = await confined(
      agent,
      "--no-new-privs",
      "--bounding-set=-sys_admin,-sys_ptrace,-sys_module,-dac_read_search",
    );
    const namespaces = (process: string) =>
      KINDS.map((kind) => `readlink /proc/${process}/ns/${kind};`).join(" ");
    const limits = async (process: string) =>
      (await exec("sh", "-c", `grep -vE '^Max (data|stack|address)' /proc/${process}/limits`))
        .stdout;
    const report = "grep -E '^(CapBnd|CapEff|CapPrm|NoNewPrivs)' /proc/self/status";
    const exec = (...command: string[]) =>
      agent.run(
        [
          "sh",
          "-c",
          'exec 7</etc/shadow; exec "$@"',
          "sh",
          ...[MESOS_CNI, "netns", "exec", `--pid=${container.pid}`, "--mount", "--", ...command],
        ],
        { env: { SECRET: "of the operator", TERM: "dumb" } },
      );

    const inside = await exec("sh", "-c", namespaces("self"));
    assertEquals(inside.stderr, "");
    assertEquals(inside.stdout, await agent.ok(["sh", "-c", namespaces(`${container.pid}`)]));
    await agent.ok(["prlimit", `--pid=${container.pid}`, "--nofile=60:70", "--core=0:5"]);
    assertEquals(await limits("self"), await limits("1"));
    const own = await agent.ok([
      "grep",
      "-E",
      "^(CapBnd|NoNewPrivs)",
      `/proc/${container.pid}/status`,
    ]);
    const seen = (await exec("sh", "-c", report)).stdout;
    for (const line of own.trim().split("\n")) assertStringIncludes(seen, line);
    const sets = [...seen.matchAll(/^Cap(?:Bnd|Eff|Prm):\s*(\S+)$/gm)].map((match) => match[1]);
    assertEquals(new Set(sets).size, 1, seen);

    const { stdout } = await exec("sh", "-c", "echo pid=$$; env; ls -l /proc/$$/fd");
    assertMatch(stdout, /^pid=\d{1,3}$/m); // of the container's own few processes
    assertEquals(stdout.includes("SECRET"), false, stdout);
    assertMatch(stdout, /^PATH=\/usr\/local\/sbin:/m);
    assertMatch(stdout, /^TERM=dumb$/m);
    assertEquals(/shadow|\/proc\/\d+$| -> \/run/.test(stdout), false, stdout);

    // Whoever holds the file of this program open, as /proc shows it, can't write to it even later.
    const copy = `${agent.dir}/mesos-cni`;
    Deno.copyFileSync(MESOS_CNI, copy);
    const parent = agent.spawn(
      [
        copy,
        "netns",
        "exec",
        `--pid=${container.pid}`,
        "--mount",
        "--",
        "sh",
        "-c",
        "echo up; read x",
      ],
    );
    const reader = parent.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    // What forks into the container is a copy of this one.
    const step = (await agent.ok(["pgrep", "-P", `${parent.pid}`])).trim();
    const holder = agent.spawn([
      "sh",
      "-c",
      `exec 9</proc/${step}/exe; echo held; read x; : >>/proc/self/fd/9`,
    ]);
    const held = holder.stdout.getReader();
    await held.read();
    held.releaseLock();
    await parent.stdin.close();
    await parent.output();
    await holder.stdin.close();
    const { stderr } = await holder.output();
    assertStringIncludes(new TextDecoder().decode(stderr), "Read-only file system");
    await container.end();
  },
);

kernelTest("exec --mount: exit codes and signals are the command's", async () => {
  await using agent = await Sandbox.create();
  const container = await confined(agent);
  const argv = (...command: string[]) => [
    ...[MESOS_CNI, "netns", "exec", `--pid=${container.pid}`, "--mount", "--"],
    ...command,
  ];
  const exec = (...command: string[]) => agent.run(argv(...command));
  assertEquals((await exec("sh", "-c", "exit 42")).code, 42);
  assertEquals((await exec("sh", "-c", "kill -TERM $$")).code, 143);
  // Whoever starts it may ignore that his children end.
  const ignoring = ["python3", "-c", IGNORING, ...argv("sh", "-c", "exit 42")];
  const ignored = await agent.run(ignoring);
  assertEquals([ignored.code, ignored.stderr], [42, ""]);
  assertEquals((await exec("no-such-program")).code, 127);
  assertEquals((await exec("/etc/passwd")).code, 126);
  // A reader that has seen enough ends it, and a disk that is full is said.
  const line = argv("yes").join(" ");
  assertEquals(await agent.ok(["sh", "-c", `${line} | head -n 1`]), "y\n");
  const full = await agent.run(["sh", "-c", `${line} >/dev/full`]);
  assertEquals(full.code, 1);
  assertMatch(
    full.stderr,
    /^error: mesos-cni netns exec: can't write standard output: no space .*\n$/,
  );
  const passed = await agent.ok([
    "sh",
    "-c",
    `head -c 3000000 /dev/zero | ${argv("cat").join(" ")} | wc -c`,
  ]);
  assertEquals(passed.trim(), "3000000");
  const child = agent.spawn(
    argv("sh", "-c", "trap 'echo got it; exit 3' TERM; echo up; while :; do sleep 0.05; done"),
  );
  const reader = child.stdout.getReader();
  await reader.read();
  child.kill("SIGTERM");
  const { value } = await reader.read();
  assertEquals(new TextDecoder().decode(value), "got it\n");
  reader.releaseLock();
  await child.stdin.close();
  assertEquals((await child.output()).code, 3);
  await container.end();
});

const IGNORING = `
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
os.execvp(sys.argv[1], sys.argv[1:])
`;

kernelTest("exec --mount: what a container types is not the operator's typing", async () => {
  await using agent = await Sandbox.create();
  const container = await confined(agent);
  await using shell = new Pty(agent.enter(["sh", "-i"]), { PS1: "ready: " });
  await shell.expect(/ready: /);
  const told = `${agent.dir}/told`;
  // A command that opens its terminal by any way, and types.
  Deno.writeTextFileSync(`${agent.dir}/type.py`, TYPING);
  const exec = `${MESOS_CNI} netns exec --pid=${container.pid} --mount --`;
  shell.type(`${exec} python3 ${agent.dir}/type.py "touch ${told}"; echo ended\r`);
  await shell.expect(/typed [1-9]/);
  await shell.expect(/ended\r\nready: /);
  shell.type("echo once more\r");
  await shell.expect(/\nonce more\r\nready: /);
  assertEquals((await agent.run(["ls", told])).code, 2);

  // It is a terminal as people know it: its own, with a size, keys that are signals, jobs.
  const tty = "cut -d' ' -f7 /proc/self/stat";
  shell.type(`echo own $(${tty}); ${exec} sh -c "echo its \\$(${tty}) \\$(stty size)"\r`);
  const [, own] = await shell.expect(/\r\nown (\d+)\r\n/);
  const [, its, size] = await shell.expect(/its (\d+) (\d+ \d+)\r\n/);
  assertEquals([own === its, its === "0", size], [false, false, "24 80"]);
  await shell.expect(/ready: /);
  shell.type(`${exec} sh\r`);
  await shell.expect(/# $/);
  shell.resize(30, 100);
  Deno.kill(shell.pid, "SIGWINCH");
  shell.type("sleep 1000\r");
  await shell.expect(/sleep 1000\r\n/);
  await inForeground(agent, container.pid, "sleep");
  shell.type("\x1a");
  await shell.expect(/Stopped/);
  shell.type("fg\r");
  await shell.expect(/\nsleep 1000\r\n/);
  await inForeground(agent, container.pid, "sleep");
  shell.type("\x03");
  await shell.expect(/# $/);
  shell.type("stty size; exit 7\r");
  await shell.expect(/\n30 100\r\n/);
  await shell.expect(/ready: /);
  shell.type("echo code $?\r");
  await shell.expect(/\ncode 7\r\n/);
  await container.end();
});

/** Types its argument into each terminal that it can get hold of. */
const TYPING = `
import fcntl, os, sys, termios
typed = 0
for path in ("/dev/tty", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"):
    try:
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
        for byte in (sys.argv[1] + "\\n").encode():
            fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))
            typed += 1
    except OSError as error:
        print(path, error)
print("typed", typed, flush=True)
`;
