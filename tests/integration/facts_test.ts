/** Health of containers that change while others are looked at. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { diagnose } from "../../lib/diagnose/diagnose.ts";
import { dirname } from "@std/path";
import { Layout } from "../../lib/containers/layout.ts";
import { writeRequest } from "../../lib/containers/request.ts";
import { Agent } from "../../lib/facts/agent.ts";
import { isProblem } from "../../lib/facts/cause.ts";
import { healthOfEach } from "../../lib/facts/facts.ts";
import { bootId } from "../../lib/kernel/process_identity.ts";
import { networkOf, ProcessTable } from "../../lib/kernel/processes.ts";
import type { ContainerId } from "../../lib/mesos/container_id.ts";
import { Sight } from "../../lib/netlink/sight.ts";
import { until } from "../harness/agent.ts";
import { kernelTest } from "../harness/kernel.ts";

const ID = "web" as ContainerId;

/** The problems of each container, by its id. */
async function problems(agent: Agent): Promise<Record<string, string[]>> {
  const found = await Array.fromAsync(healthOfEach(agent));
  return Object.fromEntries(
    found.map(([{ id }, { causes }]) => [id, causes.filter(isProblem).map(({ code }) => code)]),
  );
}

async function attach(layout: Layout, netns: string, result: string): Promise<void> {
  await Deno.mkdir(layout.interface(ID, "net", "eth0"), { recursive: true });
  await Deno.symlink(netns, layout.namespace(ID));
  await Deno.writeTextFile(layout.config(ID, "net"), `{"name":"net","type":"mine"}`);
  await Deno.writeTextFile(layout.result(ID, "net", "eth0"), result);
}

const RESULT = `{"ip4":{"ip":"10.0.0.2/24"}}`;

kernelTest("what was wrong when all were read is looked at again before it is said", async () => {
  const dir = await Deno.makeTempDir();
  try {
    const layout = new Layout(dir);
    await attach(layout, "/proc/self/ns/net", "{");
    using agent = new Agent({ layout, plugins: new Map() });
    const isTorn = async () => (await problems(agent))[ID]!.includes("checkpoint_torn");
    assertEquals(await isTorn(), true);
    await Deno.writeTextFile(layout.result(ID, "net", "eth0"), RESULT);
    assertEquals(await isTorn(), false);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test(
  "a container whose handle has gone since it was first read is ill, and not well for want of questions",
  {
    sanitizeResources: false,
  },
  async () => {
    const base = Deno.makeTempDirSync();
    try {
      const layout = new Layout(base);
      const id = "web" as ContainerId;
      const netns = layout.namespace(id);
      Deno.mkdirSync(layout.interface(id, "net", "eth0"), { recursive: true });
      Deno.writeTextFileSync(layout.config(id, "net"), '{ "name": "net", "type": "bridge" }');
      Deno.writeTextFileSync(layout.result(id, "net", "eth0"), '{ "cniVersion": "1.0.0" }');
      Deno.symlinkSync("/proc/self/ns/net", netns);
      const sight = new Sight();
      assert(sight.networkAt(netns) !== undefined);
      Deno.removeSync(netns);
      Deno.writeTextFileSync(netns, "");
      const agent = { sources: { layout }, sight } as never;
      const { healthy, asked, causes } = await diagnose(agent, { name: id, id, netns });
      assertEquals([healthy, asked, causes.map(({ mechanism }) => mechanism)], [false, [], [
        "state",
      ]]);
    } finally {
      Deno.removeSync(base, { recursive: true });
    }
  },
);

Deno.test("an agent whose containers can't be read keeps no descriptor", {
  sanitizeResources: false,
}, async () => {
  const dir = await Deno.makeTempDir();
  try {
    const layout = new Layout(dir);
    const id = "web" as ContainerId;
    for (const path of [layout.container(id), layout.request(id)]) {
      await Deno.mkdir(path, { recursive: true });
    }
    const look = async () => {
      await assertRejects(() => Agent.read({ layout, plugins: new Map() }), Error, dir);
      return [...Deno.readDirSync("/proc/self/fd")].length;
    };
    // What is opened once stays.
    const before = await look();
    assertEquals(await look(), before);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});

kernelTest("what is attached, or cleaned up, while the agent is read is not ill", async () => {
  const dir = await Deno.makeTempDir();
  const layout = new Layout(dir);
  const sources = { layout, plugins: new Map() };
  using agent = new Agent(sources, new Sight(ProcessTable.lookNow()));
  const links = agent.host.links.length;
  const process = new Deno.Command("unshare", { args: ["--net", "sleep", "1000"] }).spawn();
  try {
    await until(() => networkOf(process.pid) !== networkOf(Deno.pid), "its network");
    const ip = async (line: string, ...inside: string[]) => {
      const args = [...inside, "ip", ...line.split(" ")];
      assertEquals((await new Deno.Command("env", { args }).output()).code, 0, line);
    };
    const enter = ["nsenter", `--target=${process.pid}`, "--net"];
    await ip(`link add vethweb type veth peer name eth0 netns ${process.pid}`);
    await ip("link set vethweb up");
    for (const name of ["lo", "eth0"]) await ip(`link set ${name} up`, ...enter);
    await ip("address add 10.0.0.2/24 dev eth0", ...enter);
    await attach(layout, `/proc/${process.pid}/ns/net`, RESULT);
    await Deno.mkdir(dirname(layout.request(ID)), { recursive: true });
    writeRequest(layout, ID, {
      format: 1,
      mode: "own",
      debug: false,
      networks: [],
      pid: process.pid,
      bootId: bootId(),
      prepared: new Date().toISOString(),
    });
    assertEquals(agent.containers.map(({ processAlive }) => processAlive), [true]);
    assertEquals(await problems(agent), { [ID]: [] });
    assertEquals(agent.host.links.length, links, "the first reading has not seen it");

    using late = new Agent(sources);
    assertEquals(late.containers.length, 1);
    await Deno.remove(dir, { recursive: true });
    assertEquals(await problems(late), {});
  } finally {
    process.kill("SIGKILL");
    await process.status;
    await Deno.remove(dir, { recursive: true }).catch(() => {});
  }
});
