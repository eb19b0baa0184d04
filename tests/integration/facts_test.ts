/** Health of containers that change while others are looked at. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Layout } from "../../lib/containers/layout.ts";
import { diagnose } from "../../lib/diagnose/diagnose.ts";
import { Agent } from "../../lib/facts/agent.ts";
import { healthOfEach } from "../../lib/facts/facts.ts";
import type { ContainerId } from "../../lib/mesos/container_id.ts";
import { Sight } from "../../lib/netlink/sight.ts";

// A loaded C library stays.
Deno.test("what was wrong when all were read is looked at again before it is said", {
  sanitizeResources: false,
}, async () => {
  const dir = await Deno.makeTempDir();
  try {
    const layout = new Layout(dir);
    const id = "web" as ContainerId;
    await Deno.mkdir(layout.interface(id, "net", "eth0"), { recursive: true });
    await Deno.symlink("/proc/self/ns/net", layout.namespace(id));
    await Deno.writeTextFile(layout.config(id, "net"), `{"name":"net","type":"bridge"}`);
    const result = layout.result(id, "net", "eth0");
    await Deno.writeTextFile(result, "{");

    using agent = new Agent({ layout, plugins: new Map() });
    const codes = async () =>
      (await Array.fromAsync(healthOfEach(agent)))
        .flatMap(([, { causes }]) => causes.map(({ code }) => code));
    assertEquals((await codes()).includes("checkpoint_torn"), true);
    await Deno.writeTextFile(result, `{"ip4":{"ip":"10.0.0.2/24"}}`);
    assertEquals((await codes()).includes("checkpoint_torn"), false);
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
