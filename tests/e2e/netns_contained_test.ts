/** `--mount`: the programs of a container get its rights, and nothing of the agent's. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";
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
    const holder = agent.spawn([
      "sh",
      "-c",
      `exec 9</proc/${parent.pid}/exe; echo held; read x; : >>/proc/self/fd/9`,
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
  assertEquals((await exec("no-such-program")).code, 127);
  assertEquals((await exec("/etc/passwd")).code, 126);
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
