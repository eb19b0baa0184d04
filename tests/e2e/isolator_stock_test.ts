/**
 * Containers of a stock Mesos agent, which left its checkpoints and no request: every operation
 * reads them. The agent itself can't run here; a stand-in leaves the same files.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { Agent, CONTAINERS, isRunning, RUNTIME_DIR } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { type NetworkConfig, StockContainer } from "../harness/stock_agent.ts";

/** No version, as in the documents: the plugin's result has the old form with `ip4`. */
const NETWORK: NetworkConfig = {
  name: "old-net",
  type: "bridge",
  bridge: "oldbr0",
  isGateway: true,
  ipMasq: true,
  ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
};

async function stockAgent(): Promise<Agent> {
  const agent = await Agent.create(NETWORK);
  await agent.ok(["--networks=old-net"], ["true"]);
  return agent;
}

Deno.test("stock: status, usage and check of a container", async () => {
  await using agent = await stockAgent();
  await using container = await StockContainer.launch(agent.sandbox, "stock-1", [NETWORK], {
    portMappings: [{ host_port: 8080, container_port: 80 }],
  });
  const info = JSON.parse(
    await agent.read(agent.checkpoint("stock-1", "old-net/eth0/network.info")),
  );
  assertStringIncludes(JSON.stringify(info.ip4), container.addresses[0]!);
  assertEquals(await agent.json("status", ["stock"]), {
    network_infos: [{
      name: "old-net",
      port_mappings: [{ host_port: 8080, container_port: 80 }],
      ip_addresses: [{ protocol: "IPv4", ip_address: container.addresses[0]! }],
    }],
  });
  await container.ok(["busybox", "ping", "-c2", "-i0.1", "-W30", "192.168.0.1"]);
  const usage = await agent.json("usage", ["stock-1"]);
  assertEquals(usage.net_tx_packets >= 2, true, JSON.stringify(usage));
  // A config without a version is of a time before CHECK, and one that maps no ports is no success.
  const check = await agent.isolator("check", ["stock-1"]);
  const [{ outcome, causes }] = JSON.parse(check.stdout);
  assertEquals([check.code, outcome], [1, "not checked"]);
  assertEquals(causes.map(({ code }: { code: string }) => code), ["no_port_mapper"]);
});

Deno.test("stock: a nested container that the agent alone knows is in its root's network", async () => {
  await using agent = await stockAgent();
  await using container = await StockContainer.launch(agent.sandbox, "stock-1", [NETWORK]);
  await agent.sandbox.ok(["mkdir", "-p", `${RUNTIME_DIR}/containers/stock-1/containers/sidecar`]);
  const inspect = (id: string) =>
    agent.sandbox.run([MESOS_CNI, "inspect", id, `--runtime_dir=${RUNTIME_DIR}`]);
  const { code, stdout, stderr } = await inspect("stock-1.sidecar");
  assertEquals([code, stderr], [0, ""]);
  assertStringIncludes(stdout, container.addresses[0]!);
  assertStringIncludes((await inspect("stock-1.nobody")).stderr, "no container");
});

Deno.test("stock: recover keeps what lives and removes what doesn't", async () => {
  await using agent = await stockAgent();
  const before = await agent.traces();
  await using living = await StockContainer.launch(agent.sandbox, "living", [NETWORK]);
  const withOne = await agent.traces();
  {
    await using _ = await StockContainer.launch(agent.sandbox, "dead", [NETWORK]);
  }
  assertEquals(await agent.json("recover"), [
    { container: "dead", outcome: "removed" },
    { container: "living", outcome: "kept" },
  ]);
  assertEquals(await agent.traces(withOne), withOne);
  await living.ok(["busybox", "ping", "-c1", "-W30", "192.168.0.1"]);
  const refused = await agent.isolator("cleanup", ["living"]);
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, `container living lives, as process ${living.pid}`);
  assertEquals((await agent.traces(withOne)).replace(/\n.*\/living\.lock$/m, ""), withOne);
  await agent.json("cleanup", ["living", "--force"]);
  assertEquals(await agent.traces(before), before);
  assertEquals(isRunning(living.pid), true); // ending it is the agent's business
});

Deno.test("stock: a nested container shares its parent's network", async () => {
  await using agent = await stockAgent();
  await using parent = await StockContainer.launch(agent.sandbox, "parent", [NETWORK]);
  const launchInfo = await agent.json("prepare", ["parent.child"], {});
  assertEquals(launchInfo.enter_namespaces.length, 2);
  const child = await agent.process(["--mount"], [
    "nsenter",
    `--target=${parent.pid}`,
    "--net",
    "--uts",
  ]);
  const status = await agent.json("isolate", ["parent.child", `${child.pid}`]);
  assertEquals(status.network_infos[0].ip_addresses[0].ip_address, parent.addresses[0]);
  assertStringIncludes(await child.ok(["cat", "/etc/hosts"]), parent.addresses[0]!);
});

Deno.test("stock: what an agent that was killed leaves is cleaned up", async () => {
  await using agent = await stockAgent();
  const before = await agent.traces();
  {
    await using _ = await StockContainer.launch(agent.sandbox, "no-info", [NETWORK]);
    await using __ = await StockContainer.launch(agent.sandbox, "empty-info", [NETWORK]);
    await using ___ = await StockContainer.launch(agent.sandbox, "half-info", [NETWORK]);
    const info = (id: string) => agent.checkpoint(id, "old-net/eth0/network.info");
    await agent.sandbox.ok(["rm", info("no-info")]);
    await agent.sandbox.ok(["truncate", "--size=0", info("empty-info")]);
    await agent.sandbox.ok(["truncate", "--size=20", info("half-info")]);
  }
  const recovered = await agent.json("recover");
  assertEquals(
    recovered.map(({ outcome }: { outcome: string }) => outcome),
    ["removed", "removed", "removed"],
  );
  assertEquals(await agent.list(CONTAINERS), []);
  assertEquals(await agent.traces(before), before);
});

Deno.test("stock: a container of ours can be cleaned up by what a stock agent knows", async () => {
  await using agent = await stockAgent();
  const before = await agent.traces();
  const process = await agent.attach("ours", ["old-net"]);
  const result = await agent.read(agent.checkpoint("ours", "old-net/eth0/network.info"));
  assertStringIncludes(result, '"ip4"'); // the form that the network's version has
  await process.end();
  // The agent's own cleanup: DEL with the checkpointed config, unmount, remove.
  await agent.sandbox.ok(["/usr/lib/cni/bridge"], {
    stdin: await agent.read(agent.checkpoint("ours", "old-net/network.conf")),
    env: {
      CNI_COMMAND: "DEL",
      CNI_CONTAINERID: "ours",
      CNI_NETNS: agent.checkpoint("ours", "ns"),
      CNI_IFNAME: "eth0",
      CNI_PATH: "/usr/lib/cni",
    },
  });
  await agent.sandbox.ok(["umount", agent.checkpoint("ours", "ns")]);
  await agent.sandbox.ok(["rm", "-r", agent.checkpoint("ours")]);
  // The request alone is left, and no harm.
  assertEquals(await agent.json("recover"), [{ container: "ours", outcome: "removed" }]);
  assertEquals(await agent.traces(before), before);
});
