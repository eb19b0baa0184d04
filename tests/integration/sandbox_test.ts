import { assertEquals, assertNotEquals } from "@std/assert";
import { AGENT_ADDRESS, AGENT_ADDRESS_6, Sandbox } from "../harness/sandbox.ts";

Deno.test("a sandbox is a network of its own, with outside hosts that reach the agent", async () => {
  await using agent = await Sandbox.create();
  const outside = await agent.outside();
  await outside.ok(["busybox", "ping", "-c1", "-W2", AGENT_ADDRESS]);
  await outside.ok(["busybox", "ping", "-c1", "-W2", AGENT_ADDRESS_6]);
  const own = Deno.readLinkSync("/proc/self/ns/net");
  assertNotEquals((await agent.ok(["readlink", "/proc/self/ns/net"])).trim(), own);
  assertEquals((await agent.ok(["stat", "-f", "-c", "%T", "/run"])).trim(), "tmpfs");
});
