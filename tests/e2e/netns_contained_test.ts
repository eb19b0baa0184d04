/** `--mount`: the programs of a container get its rights, and nothing of the agent's. */
import { assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "@std/assert";
import { exists } from "../../lib/base/exists.ts";
import { isRunning } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { NEEDS_ROOT } from "../harness/debian.ts";
import { kernelTest } from "../harness/kernel.ts";
import { inForeground, Pty } from "../harness/pty.ts";
import { Sandbox } from "../harness/sandbox.ts";

/** A container that may do little, as a container runtime starts one. Prints its pid as the agent sees it. */
async function confined(agent: Sandbox, ...limits: string[]): Promise<{
  pid: number;
  end(): Promise<void>;
}> {
  const child = agent.spawn([
    "unshare",
    ...["--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork", "--kill-child"],
    ...["--mount-proc", "setpriv", ...limits, "sh", "-c", "echo up; exec sleep 1000"],
  ]);
  const reader = child.stdout.getReader();
  await reader.read();
  reader.releaseLock();
  const pid = Number((await agent.ok(["pgrep", "-P", `${child.pid}`])).trim());
  return {
    pid,
    async end() {
      await agent.run(["kill", "-9", `${pid}`]);
      await child.stdin.close().catch(() => {});
      await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.status]);
    },
  };
}

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

/** Where control groups can be made here: of version 1, of 2 beside it, of 2 alone. */
const HIERARCHIES = ["devices", "freezer", "unified", "."].map((name) => `/sys/fs/cgroup/${name}`)
  .filter((directory) => !NEEDS_ROOT && exists(`${directory}/cgroup.procs`));

Deno.test({
  name: "exec --mount: the command is in the container's control groups",
  ignore: HIERARCHIES.length === 0,
  sanitizeResources: false,
  async fn() {
    await using agent = await Sandbox.create();
    const container = await confined(agent);
    const exec = (...command: string[]) =>
      agent.run([MESOS_CNI, "exec", `--pid=${container.pid}`, "--mount", "--", ...command]);
    const groups = HIERARCHIES.map((directory) => `${directory}/mesos-cni-test-${container.pid}`);
    const say = (file: string, text: string) => {
      const group = groups.find((group) => exists(`${group}/${file}`));
      if (group) Deno.writeTextFileSync(`${group}/${file}`, text);
      return group !== undefined;
    };
    try {
      for (const group of groups) {
        Deno.mkdirSync(group);
        Deno.writeTextFileSync(`${group}/cgroup.procs`, `${container.pid}`);
      }
      const seen = (await exec("cat", "/proc/self/cgroup")).stdout;
      assertEquals(seen, (await exec("cat", "/proc/1/cgroup")).stdout);
      assertEquals(seen.split(`test-${container.pid}\n`).length - 1, groups.length, seen);

      // Where devices are kept from it, it opens none that it makes.
      await agent.ok(["mknod", `${agent.dir}/device`, "c", "1", "3"]);
      const open = ["sh", "-c", `: >${agent.dir}/device`];
      assertEquals((await exec(...open)).code, 0);
      if (say("devices.deny", "c 1:3 rwm")) assertNotEquals((await exec(...open)).code, 0);

      if (!say("freezer.state", "FROZEN")) say("cgroup.freeze", "1");
      const { code, stderr } = await exec("true");
      assertEquals(code, 1);
      assertMatch(stderr, /are frozen \(\/sys\/fs\/cgroup\/\S+ says frozen\), .*: thaw them/);
    } finally {
      // What is frozen does not end.
      if (!say("freezer.state", "THAWED")) say("cgroup.freeze", "0");
      await container.end();
      while (isRunning(container.pid)) await new Promise((resolve) => setTimeout(resolve, 10));
      groups.forEach((group) => Deno.removeSync(group));
    }
  },
});

const FREEZER = "/sys/fs/cgroup/freezer";

Deno.test({
  name:
    "exec --mount: control groups are found where they are mounted, and missed where they aren't",
  ignore: !HIERARCHIES.includes(FREEZER) || !exists("/sys/fs/cgroup/systemd"),
  sanitizeResources: false,
  async fn() {
    await using agent = await Sandbox.create();
    const container = await confined(agent);
    const exec = (...before: string[]) =>
      agent.run([
        ...before,
        ...[
          MESOS_CNI,
          "exec",
          `--pid=${container.pid}`,
          "--mount",
          "--",
          "cat",
          "/proc/self/cgroup",
        ],
      ]);
    const name = `mesos-cni-test-${container.pid}`;
    const groups = [`${FREEZER}/${name}`, `/sys/fs/cgroup/systemd/${name}`];
    try {
      for (const group of groups) {
        Deno.mkdirSync(group);
        Deno.writeTextFileSync(`${group}/cgroup.procs`, `${container.pid}`);
      }
      // One that controls nothing may be missing, and another be elsewhere.
      const elsewhere = `${agent.dir}/freezer`;
      await agent.ok(["umount", "/sys/fs/cgroup/systemd"]);
      await agent.ok(["mkdir", elsewhere]);
      await agent.ok(["mount", "--bind", FREEZER, elsewhere]);
      await agent.ok(["umount", FREEZER]);
      const moved = await exec();
      assertEquals(moved.stderr, "");
      assertStringIncludes(moved.stdout, `freezer:/${name}\n`);

      // Seen from a cgroup namespace that it is not in.
      const outside =
        `mkdir -p ${elsewhere}/${name}-own; echo $$ >${elsewhere}/${name}-own/cgroup.procs`;
      const apart = await exec("sh", "-c", `${outside}; exec unshare --cgroup "$@"`, "sh");
      assertEquals(apart.code, 1);
      assertStringIncludes(apart.stderr, `control group /../${name} of freezer can't be entered`);
      assertStringIncludes(apart.stderr, "leave --mount away");

      await agent.ok(["mount", "-o", "remount,bind,ro", elsewhere]);
      const readOnly = await exec();
      assertEquals(readOnly.code, 1);
      assertStringIncludes(readOnly.stderr, `${elsewhere}/${name} can't be entered`);
      assertStringIncludes(readOnly.stderr, "EROFS");

      await agent.ok(["umount", elsewhere]);
      const missing = await exec();
      assertEquals(missing.code, 1);
      assertStringIncludes(missing.stderr, `control group /${name} of freezer can't be entered`);
      assertStringIncludes(missing.stderr, "not mounted here");
    } finally {
      await container.end();
      while (isRunning(container.pid)) await new Promise((resolve) => setTimeout(resolve, 10));
      for (const group of [...groups, `${groups[0]}-own`]) {
        if (exists(group)) Deno.removeSync(group);
      }
    }
  },
});

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

kernelTest(
  "exec --mount: a container that seizes what is born in it gets nothing by that",
  async () => {
    await using agent = await Sandbox.create();
    const secret = `${agent.dir}/secret/key`;
    Deno.mkdirSync(`${agent.dir}/secret`);
    Deno.writeTextFileSync(secret, "of the agent", { mode: 0o600 });
    const bounding = "--bounding-set=-all,+sys_ptrace,+setuid,+setgid";
    const user = ["--reuid=1000", "--regid=1000", "--clear-groups"];
    const kept = ["--inh-caps=-all,+sys_ptrace", "--ambient-caps=-all,+sys_ptrace"];
    const container = await confined(agent, bounding, ...user, ...kept);
    const inside = (...command: string[]) => [
      ...["nsenter", `--target=${container.pid}`, "--all", "--"],
      ...command,
    ];
    await agent.ok(inside("mount", "-t", "tmpfs", "none", `${agent.dir}/secret`));
    const attacker = agent.spawn(
      // On one CPU, and before all others there: what is born is stopped before it gets far.
      inside(
        ...["chrt", "--fifo", "50", "taskset", "--cpu-list", "0", "setpriv", bounding],
        ...["/usr/bin/python3", "-c", SEIZING, secret],
      ),
    );
    const reader = attacker.stdout.getReader();
    const seen: { [key: string]: unknown }[] = [];
    let text = "";
    const hear = async () => {
      const { value, done } = await reader.read();
      if (done) throw new Error("the attacker has ended");
      text += new TextDecoder().decode(value);
      const lines = text.split("\n");
      text = lines.pop()!;
      seen.push(...lines.map((line) => JSON.parse(line)));
    };
    await hear(); // it is at work
    let heard = hear();
    for (let attempts = 0; seen.length < 4 && attempts < 60; attempts++) {
      const exec = [MESOS_CNI, "netns", "exec", `--pid=${container.pid}`, "--mount", "--", "true"];
      await agent.run(["taskset", "--cpu-list", "0", ...exec], {
        env: { SECRET: "word of the operator" },
      });
      await Promise.race([heard.then(() => heard = hear()), Promise.resolve()]);
    }
    assertEquals(seen.length >= 4, true, "nothing was seized before it executed anything");
    for (const { loot, capabilities, uid, groups, descriptors, terminal } of seen.slice(1)) {
      assertEquals(loot, []);
      assertEquals([uid, groups, terminal], ["1000 1000 1000 1000", "", "0"]);
      assertEquals(capabilities, [`${1 << 19}`, `${(1 << 19) + (1 << 7) + (1 << 6)}`]);
      assertEquals((descriptors as string[]).filter((path) => !path.startsWith("pipe:")), []);
    }
    await container.end(); // and what is in its pid namespace
    await heard.catch(() => {});
    reader.releaseLock();
    await attacker.stdin.close().catch(() => {});
    await Promise.all([attacker.stdout.cancel(), attacker.stderr.cancel(), attacker.status]);
  },
);

/**
 * Seizes (PTRACE_SEIZE) each process that appears beside it, and tells of those that have executed
 * nothing yet what they have; then it lets them go on.
 */
const SEIZING = `
import ctypes, json, os, re, signal, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def ptrace(request, pid):
    return libc.ptrace(ctypes.c_long(request), ctypes.c_long(pid), None, None)
def processes(): return {int(name) for name in os.listdir("/proc") if name.isdigit()}
def attempt(work):
    try: return work()
    except OSError: return None
known = processes()
signal.alarm(100)
print(json.dumps({}), flush=True)
while True:
    time.sleep(0.00003)
    now = processes()
    for pid in now - known:
        if ptrace(0x4206, pid) != 0: continue
        ptrace(0x4207, pid)
        os.waitpid(pid, 0x40000000)
        if attempt(lambda: os.readlink(f"/proc/{pid}/exe").endswith("mesos-cni")):
            status = open(f"/proc/{pid}/status").read()
            field = lambda name: re.search(f"^{name}:[ \\t]*(.*?) *$", status, re.M)[1].replace("\\t", " ")
            fds = os.listdir(f"/proc/{pid}/fd")
            loot = []
            for way in [f"fd/{fd}/../{end}" for fd in fds for end in ("1/root", "self/root")] + ["root", "cwd"]:
                if attempt(lambda: open(f"/proc/{pid}/{way}{sys.argv[1]}").read()): loot.append(way)
            for line in open(f"/proc/{pid}/maps"):
                begin, end = [int(part, 16) for part in line.split()[0].split("-")]
                if not line.split()[1].startswith("rw") or end - begin > 1 << 23: continue
                with open(f"/proc/{pid}/mem", "rb", 0) as memory:
                    memory.seek(begin)
                    if b"word of the operator" in (attempt(lambda: memory.read(end - begin)) or b""):
                        loot.append("memory")
            print(json.dumps({
                "loot": loot, "uid": field("Uid"), "groups": field("Groups"),
                "capabilities": [str(int(field(name), 16)) for name in ("CapEff", "CapBnd")],
                "descriptors": [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in fds],
                "terminal": open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[4],
            }), flush=True)
        ptrace(17, pid)
    known = now
`;
