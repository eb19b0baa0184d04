/** What a diagnosis adds to the system is gone afterwards. */
import { assert, assertEquals } from "@std/assert";
import { MESOS_CNI, PYTHON } from "../harness/binary.ts";
import { Clinic } from "../harness/clinic.ts";
import { SEED } from "../harness/commit.ts";
import { randomFrom } from "../harness/random.ts";
import { ALL_PARTS, FULL } from "../harness/scale.ts";
import { kernelTest } from "../harness/kernel.ts";

const MOMENTS = FULL ? 100 : ALL_PARTS ? 6 : 3;

/** All that a diagnosis could leave, as text. */
async function traces({ agent, patient }: Clinic): Promise<string> {
  const parts = await Promise.all([agent, patient].flatMap((space) => [
    space.ok(["ip", "-o", "link"]).then((text) => text.replaceAll(/state \w+|qlen \d+/g, "")),
    space.ok(["nft", "list", "tables"]).then((text) => text.split("\n").sort().join("\n")),
    space.ok(["tc", "qdisc"]),
    space.ok(["ip", "rule"]),
    space.ok(["ip", "route"]),
  ]));
  return parts.join("\n");
}

kernelTest("nothing of a diagnosis is left, also after kill -9 at moments of a seed", async () => {
  await using clinic = await Clinic.open();
  const { agent, patient } = clinic;
  await agent.ok(["iptables", "-A", "FORWARD", "-s", clinic.address, "-j", "DROP"]);
  await clinic.netns("diagnose", "patient");
  await patient.run(["nft", "list", "tables"]);
  const before = await traces(clinic);
  assert(!before.includes("mesos_cni_trace"), before);
  const start = performance.now();
  await clinic.netns("diagnose", "patient");
  const usual = performance.now() - start;
  const random = randomFrom(SEED);
  let cut = 0;
  // On a machine whose speed changes, kills may come too late: then there are more of them.
  const isEnough = () => cut >= MOMENTS / 2;
  for (let moment = 0; moment < (isEnough() ? MOMENTS : 5 * MOMENTS); moment++) {
    const ms = random() * usual;
    const child = agent.spawn([MESOS_CNI, "netns", "diagnose", "patient"]);
    // nsenter has become the program itself, so this is its id.
    const timer = setTimeout(() => child.kill("SIGKILL"), ms);
    const { signal } = await child.output();
    clearTimeout(timer);
    await child.stdin.close().catch(() => {});
    if (signal === "SIGKILL") cut++;
    assertEquals(await traces(clinic), before, `after ${ms} ms, seed ${SEED}`);
  }
  assert(isEnough(), `only ${cut} were cut`);
});

/** Puts a process into a cgroup of its own, at whose egress a program hangs that lets all pass. */
const HANG = `
import ctypes, os, platform, struct, sys
name, pid = sys.argv[1:]
os.mkdir(name)
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(144, b"\\0"), 144)
    found = libc.syscall(280 if platform.machine() == "aarch64" else 321, command, buffer, 144)
    if found < 0: raise OSError(ctypes.get_errno(), "bpf")
    return found
code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, 1, 0x95, 0, 0, 0))
licence = ctypes.create_string_buffer(b"GPL")
program = bpf(5, struct.pack("<IIQQ", 8, 2, ctypes.addressof(code), ctypes.addressof(licence)))
bpf(8, struct.pack("<IIII", os.open(name, os.O_RDONLY), program, 1, 0))
open(name + "/cgroup.procs", "w").write(pid)
`;

Deno.test("what is not judged is named where it is there, and calls nobody ill", async () => {
  await using clinic = await Clinic.open();
  const { agent, patient } = clinic;
  await patient.ok(["busybox", "httpd", "-p", "80", "-h", "/"]);
  await agent.run(["umount", "--recursive", "/sys/fs/cgroup"]);
  const groups = "/run/groups"; // not where they usually are
  await agent.ok(["mkdir", groups]);
  await agent.ok(["mount", "-t", "cgroup2", "cgroup2", groups]);
  const unjudged = async () => {
    const { code, stdout } = await clinic.netns("diagnose", "patient", "--json");
    const { asked }: { asked: { outcome: string; detail: string }[] } = JSON.parse(stdout);
    const found = asked.filter(({ detail }) => detail.startsWith("not judged"));
    return { code, found: found.map(({ outcome, detail }) => `${outcome}: ${detail}`) };
  };
  assertEquals(await unjudged(), { code: 0, found: [] });
  const group = `${groups}/mesos-cni-test-${crypto.randomUUID()}`;
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => {
    const back = `echo ${patient.pid} >${groups}/cgroup.procs; rmdir ${group}`;
    await agent.ok(["sh", "-c", back]);
  });
  await agent.ok([PYTHON, "-c", HANG, group, `${patient.pid}`]);
  assertEquals(await unjudged(), { code: 0, found: ["unasked: not judged: egress: 1"] });
  await agent.ok(["ip", "tuntap", "add", "tun9", "mode", "tun"]);
  await agent.ok(["ip", "address", "add", "192.0.2.1/24", "dev", "tun9"]);
  await agent.ok(["ip", "link", "set", "tun9", "up"]);
  await agent.ok(["ip", "route", "add", "default", "dev", "tun9"]);
  const { found: [tunnel, program] } = await unjudged();
  assertEquals([tunnel, program], [
    "unasked: not judged: tun9: tun",
    "unasked: not judged: egress: 1",
  ]);
});
