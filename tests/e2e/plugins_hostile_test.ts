/** What a framework or a container may say to the plugins, which is never proof and leaves nothing. */
import { assertEquals } from "@std/assert";
import { LEASES, NETWORK, PluginMachine as Machine } from "../harness/plugin_machine.ts";

/** An environment in place of the runtime's. */
const as = (...variables: string[]) => ["env", ...variables];

Deno.test("a name that the kernel would make another one of is refused before anything is made", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  const names = as("CNI_IFNAME=eth%d");
  const { code, stdout } = await machine.call("ADD", "a", NETWORK, undefined, names);
  assertEquals([code, JSON.parse(stdout).code], [1, 4], stdout);
  const bridge = await machine.call("ADD", "a", { ...NETWORK, bridge: "br%d" });
  assertEquals([bridge.code, JSON.parse(bridge.stdout).code], [1, 999], bridge.stdout);
  assertEquals((await machine.sandbox.ok(["ip", "-o", "link"])).trim().split("\n").length, 1);
  await machine.assertEmpty();
});

Deno.test("an id of 100,000 bytes has a lease, and gives it back", async () => {
  await using machine = await Machine.create();
  await machine.namespace("a");
  // The comment of a rule of iptables has no room for it.
  const config = { ...NETWORK, ipMasq: false };
  const long = as(`CNI_CONTAINERID=${"a".repeat(100_000)}`);
  await machine.ok("ADD", "a", config, undefined, long);
  assertEquals((await machine.leases()).length, 2);
  await machine.ok("DEL", "a", config, undefined, long);
  await machine.assertEmpty();
});

Deno.test("a container that claims every address of its network takes one from the others", async () => {
  await using machine = await Machine.create();
  const config = {
    ...NETWORK,
    ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/28" }], [{ subnet: "fd09::/124" }]] },
  };
  for (const id of ["liar", "dead", "next"]) await machine.namespace(id);
  await machine.ok("ADD", "liar", config);
  await machine.ok("ADD", "dead", config);
  await machine.inside("dead", ["ip", "link", "del", "eth0"]);
  for (let i = 1; i < 15; i++) {
    await machine.inside("liar", ["ip", "address", "add", `10.9.0.${i}/28`, "dev", "eth0"]);
    const six = `fd09::${i.toString(16)}/124`;
    await machine.inside("liar", ["ip", "address", "add", six, "dev", "eth0", "nodad"]);
  }
  const valid = [{ containerID: "liar", ifname: "eth0" }];
  const collect = { ...config, cniVersion: "1.1.0", "cni.dev/valid-attachments": valid };
  await machine.ok("GC", "", collect);
  assertEquals(await machine.leases(), ["10.9.0.2", "fd09::2"]);
  // Nothing is known any more of who holds what: the liar's own address is still not given out.
  await machine.sandbox.ok(["rm", "-r", LEASES]);
  const { ips } = await machine.ok("ADD", "next", config);
  assertEquals(ips.map(({ address }: { address: string }) => address), [
    "10.9.0.3/28",
    "fd09::3/124",
  ]);
});
