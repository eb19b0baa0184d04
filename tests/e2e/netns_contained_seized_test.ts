/** `--mount` into a container whose programs trace what is born beside them. */
import { assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { confined } from "../harness/confined.ts";
import { kernelTest } from "../harness/kernel.ts";
import { Sandbox } from "../harness/sandbox.ts";

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
      // Before all but the attacker: what waits for its turn would be waited for by a busy attacker.
      await agent.run(["chrt", "--fifo", "49", "taskset", "--cpu-list", "0", ...exec], {
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
signal.alarm(600)
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
