import { assertEquals } from "@std/assert";
import { cleanup } from "../../lib/isolator/cleanup.ts";
import { Isolator } from "../../lib/isolator/isolator.ts";
import { Layout } from "../../lib/containers/layout.ts";
import { settingsOf } from "../../lib/isolator/settings.ts";
import { parseContainerId } from "../../lib/mesos/container_id.ts";
import { kernelTest } from "../harness/kernel.ts";

kernelTest("a cleanup leaves a nested container alone, whatever its name", async () => {
  const runtimeDir = await Deno.makeTempDir();
  try {
    const isolator = new Isolator(settingsOf({ layout: new Layout(runtimeDir) }), new Map());
    const { layout } = isolator.settings;
    const [parent, child] = ["web", "web.new"].map(parseContainerId);
    for (const id of [parent!, child!]) {
      await Deno.mkdir(`${layout.container(id)}/net/eth0`, { recursive: true });
    }
    await cleanup(isolator, parent!);
    assertEquals(layout.listContainers(), [child!]);
  } finally {
    await Deno.remove(runtimeDir, { recursive: true });
  }
});
