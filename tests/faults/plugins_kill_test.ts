/**
 * bridge with host-local killed at its system calls, one after the other, then DEL: nothing is
 * left, and the next ADD works. Every call with MESOS_CNI_TEST_SCALE=full.
 */
import { assert, assertEquals } from "@std/assert";
import { NETWORK, PluginMachine } from "../harness/plugin_machine.ts";

/** Those that change something, or come just before or after one that does. */
const CALLS = [
  ...["sendto", "linkat", "unlinkat", "unlink", "rename", "mkdir", "utimensat", "flock"],
  ...["setns", "statx", "write", "openat"],
];
const isFull = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full";
/** Files that the runtime opens before the plugin begins. */
const STARTUP = /openat\(.*\/(?:lib|proc\/self\/exe|etc)|dist\/mesos-cni/;

for (const command of ["ADD", "DEL"]) {
  Deno.test(`bridge and host-local killed at the system calls of ${command}`, async () => {
    await using machine = await PluginMachine.create();
    await machine.namespace("a");
    let killed = 0;
    for (const call of CALLS) {
      const all = await callsOf(machine, command, call);
      const moments = all.map((line, i) => [line, i + 1] as const)
        .filter(([line]) => !STARTUP.test(line)).map(([, moment]) => moment);
      const step = isFull ? 1 : Math.max(1, Math.ceil(moments.length / 6));
      for (let i = 0; i < moments.length; i += step) {
        if (command === "DEL") await machine.ok("ADD", "a", NETWORK);
        const strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`];
        const inject = ["-e", `inject=${call}:signal=KILL:when=${moments[i]}`];
        const { code } = await machine.call(command, "a", NETWORK, "/run/ours", [
          ...strace,
          ...inject,
        ]);
        if (code !== 0) killed++;
        await machine.ok("DEL", "a", NETWORK);
        await machine.assertEmpty();
      }
    }
    assert(killed >= 15, `only ${killed} calls were killed`);
    assertEquals((await machine.ok("ADD", "a", NETWORK)).ips.length, 2);
    await machine.ok("DEL", "a", NETWORK);
    await machine.assertEmpty();
  });
}

/** The lines of one kind of system call, in a call that nobody disturbs. */
async function callsOf(machine: PluginMachine, command: string, call: string): Promise<string[]> {
  if (command === "DEL") await machine.ok("ADD", "a", NETWORK);
  await machine.ok(command, "a", NETWORK, "/run/ours", [
    ...["strace", "-f", "-qq", "-o", "/run/trace", "-e", `trace=${call}`],
  ]);
  await machine.ok("DEL", "a", NETWORK);
  const trace = await machine.sandbox.ok(["cat", "/run/trace"]);
  return trace.split("\n").filter((line) => line.includes(`${call}(`));
}
