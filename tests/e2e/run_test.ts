/** `mesos-cni run` on the documents' bridge network: what the container sees, and what is left. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Agent, bridgeNetwork, until } from "../harness/agent.ts";
import { end } from "../harness/clinic.ts";
import { AGENT_ADDRESS } from "../harness/sandbox.ts";

const NETWORK = ["--networks=cni-test"];
const PING = ["busybox", "ping", "-c1", "-W30"];

Deno.test("run: the first container has the addresses and routes of the documents", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const addresses = await agent.ok(NETWORK, ["ip", "-o", "address"]);
  assertMatch(addresses, /eth0\s+inet 192\.168\.0\.2\/16 .*scope global eth0/);
  assertMatch(addresses, /lo\s+inet 127\.0\.0\.1\/8/);
  const routes = await agent.ok(NETWORK, ["ip", "route"]);
  assertMatch(routes, /^default via 192\.168\.0\.1 dev eth0/m);
  assertMatch(routes, /^192\.168\.0\.0\/16 dev eth0 proto kernel scope link src 192\.168\.0\.3/m);
  const links = JSON.parse(await agent.ok(NETWORK, ["ip", "-j", "link"]));
  assertEquals(links.map((link: { ifname: string }) => link.ifname), ["lo", "eth0"]);
});

Deno.test("run: a container reaches the gateway, another container and an outside host", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const outside = await agent.sandbox.outside();
  await agent.start("other", NETWORK);
  const { network_infos: [info] } = await agent.json("status", ["other"]);
  const other = info.ip_addresses[0].ip_address;
  for (const target of ["192.168.0.1", other, AGENT_ADDRESS, outside.address]) {
    const { code, stdout } = await agent.run(NETWORK, [...PING, target]);
    assertEquals(code, 0, `${target}: ${stdout}`);
  }
});

Deno.test("run: an outside host sees a container as the agent", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const outside = await agent.sandbox.outside();
  // The outside host's table of connections, while the container has one to it.
  const server = outside.spawn([
    "busybox",
    "nc",
    "-l",
    "-p",
    "7000",
    "-e",
    "cat",
    "/proc/net/tcp",
    "/proc/net/tcp6",
  ]);
  const listening = async () => (await outside.ok(["ss", "-Hltn"])).includes(":7000 ");
  await until(listening, "the server");
  const ask = `sleep 0.3 | busybox nc ${outside.address} 7000`;
  const { stdout, stderr } = await agent.run(NETWORK, ["sh", "-c", ask]);
  await end(server);
  const hex = AGENT_ADDRESS.split(".").reverse()
    .map((byte) => Number(byte).toString(16).padStart(2, "0")).join("").toUpperCase();
  assertStringIncludes(stdout, `${hex}:`, `${stdout}${stderr}`);
});

Deno.test("run: nothing is left of a container", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  agent.search = undefined; // ours
  await agent.ok(NETWORK, ["true"]); // the bridge stays, and the shared mount
  const before = await agent.traces();
  const run = await agent.start("c1", NETWORK);
  // While somebody holds its network, the kernel takes none of its wires away by itself.
  using _held = Deno.openSync(`/proc/${run.stdout.match(/started (\d+)/)![1]}/ns/net`);
  run.kill("SIGTERM");
  await run.output();
  assertEquals(await agent.traces(), before);
});

Deno.test("run: two networks are eth0 and eth1, in the order they were asked for", async () => {
  const second = { ...bridgeNetwork("second", "10.1.0.0/16"), bridge: "mesos-cni1" };
  await using agent = await Agent.create(bridgeNetwork(), second);
  const both = await agent.ok(["--networks=second,cni-test"], ["ip", "-o", "-4", "address"]);
  assertMatch(both, /eth0\s+inet 10\.1\.0\.2\/16/);
  assertMatch(both, /eth1\s+inet 192\.168\.0\.2\/16/);
  const before = await agent.traces();
  const repeated = await agent.ok(["--networks=cni-test", "--networks=second"], [
    "ip",
    "-o",
    "-4",
    "a",
  ]);
  assertMatch(repeated, /eth0\s+inet 192\.168/);
  assertEquals(await agent.traces(before), before);
});

Deno.test("run: without a network, the container is in the agent's own", async () => {
  await using agent = await Agent.create();
  const own = await agent.sandbox.ok(["readlink", "/proc/self/ns/net"]);
  assertEquals(await agent.ok([], ["readlink", "/proc/self/ns/net"]), own);
  assertEquals(await agent.list("/run/mesos/isolators/network/cni"), []);
  assertEquals(await agent.list("/run/mesos/isolators/network/mesos-cni"), [
    "/run/mesos/isolators/network/mesos-cni/handles",
  ]);
});

Deno.test("run: ten at once on a fresh agent, each with its own address, and nothing left", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const outputs = await Promise.all(
    Array.from(
      { length: 10 },
      () => agent.run(NETWORK, ["ip", "-o", "-4", "address", "show", "eth0"]),
    ),
  );
  const addresses = outputs.map(({ code, stdout, stderr }) => {
    assertEquals(code, 0, stderr);
    return stdout.match(/inet (\S+)/)![1]!;
  });
  assertEquals(new Set(addresses).size, 10);
  assertEquals(await agent.list("/run/mesos/isolators/network/cni"), []);
  const mounts = await agent.read("/proc/thread-self/mountinfo");
  assertEquals(mounts.match(/ \/run\/mesos\/isolators\/network\/cni /g)?.length, 1);
});
