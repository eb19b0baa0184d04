import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { namespaceOf, processes } from "../harness/processes.ts";
import { StockContainer } from "../harness/stock_agent.ts";
import { AGENT_ADDRESS, AGENT_ADDRESS_6, Sandbox } from "../harness/sandbox.ts";

Deno.test("a sandbox is a network of its own, with outside hosts that reach the agent", async () => {
  await using agent = await Sandbox.create();
  const outside = await agent.outside();
  await outside.ok(["busybox", "ping", "-c1", "-W30", AGENT_ADDRESS]);
  await outside.ok(["busybox", "ping", "-c1", "-W30", AGENT_ADDRESS_6]);
  const own = Deno.readLinkSync("/proc/self/ns/net");
  assertNotEquals((await agent.ok(["readlink", "/proc/self/ns/net"])).trim(), own);
  assertEquals((await agent.ok(["stat", "-f", "-c", "%T", "/run"])).trim(), "tmpfs");
  for (const file of ["hosts", "hostname", "resolv.conf"]) {
    const { stderr } = await agent.run(["sh", "-c", `>>/etc/${file}`]);
    assertStringIncludes(stderr, "Read-only", `/etc/${file} is the machine's own`);
  }
});

Deno.test("services that were started in a sandbox end with it, whoever is their parent by then", async () => {
  const nets = new Set<string>();
  const inThem = () => processes().filter((pid) => nets.has(namespaceOf(pid, "net") ?? ""));
  {
    await using agent = await Sandbox.create();
    const outside = await agent.outside();
    await using container = await StockContainer.launch(agent, "c", []);
    for (const space of [agent, outside, container]) {
      nets.add(namespaceOf(space.pid, "net")!);
      // One becomes a daemon by itself, one is left by its shell, one starts others.
      await space.ok(["busybox", "httpd", "-p", "8000", "-h", "/"]);
      await space.ok([
        "sh",
        "-c",
        "sleep 300 >/dev/null 2>&1 & while :; do sleep 1; done >/dev/null 2>&1 &",
      ]);
    }
    assert(inThem().length >= 9, `${inThem().length}`);
  }
  assertEquals(inThem(), []);
});
