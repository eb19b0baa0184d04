/** The debug shell on containers of our own isolator, which keeps more than a stock agent does. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Agent, bridgeNetwork, RUNTIME_DIR } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";

const netns = (agent: Agent, command: string, ...args: string[]) =>
  agent.sandbox.run([MESOS_CNI, "netns", command, `--runtime_dir=${RUNTIME_DIR}`, ...args]);

Deno.test("a running container of ours is listed with its pid, entered and inspected", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.start("web-1", ["--networks=cni-test", "--hostname=web"]);
  const [listed] = JSON.parse((await netns(agent, "list", "--json")).stdout);
  assertEquals([listed.id, listed.keeper, listed.health], ["web-1", "mesos-cni", "ok"]);
  const inside = ["--mount", "--uts", "--", "sh", "-c", "hostname; cat /etc/hosts; ls -d /proc/$0"];
  const entered = await netns(agent, "exec", "web", ...inside, `${listed.pid}`);
  assertEquals(entered.code, 0, entered.stderr);
  assertMatch(entered.stdout, /^web\n[^]*192\.168\.0\.2 web\n\/proc\/\d+\n$/);
  assertMatch((await netns(agent, "inspect", "web")).stdout, /kept by {4}mesos-cni/);
});

Deno.test("a name for ip netns goes with the container", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const running = await agent.start("web-1", ["--networks=cni-test"], "read line");
  assertEquals((await netns(agent, "link", "web-1")).code, 0);
  assertMatch(
    await agent.sandbox.ok(["ip", "netns", "exec", "web-1", "ip", "address"]),
    /192\.168\.0\.2/,
  );
  await running.output();
  assertEquals(await agent.sandbox.ok(["ls", "/var/run/netns"]), "");
  assertEquals(JSON.parse((await netns(agent, "list", "--json")).stdout), []);
});

Deno.test("a name for ip netns leads to its container from everywhere, wherever it was made", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  const running = await agent.start("web-1", ["--networks=cni-test"], "read line");
  const argv = [MESOS_CNI, "netns", "link", "web-1", "--runtime_dir=mesos"];
  await agent.sandbox.ok(["sh", "-ec", 'cd /run; exec "$@"', "sh", ...argv]);
  assertMatch(
    await agent.sandbox.ok(["sh", "-ec", "cd /; ip netns exec web-1 ip address"]),
    /192\.168\.0\.2/,
  );
  await running.output();
});

Deno.test("a nested container without networks of its own is in its parent's", async () => {
  await using agent = await Agent.create(bridgeNetwork());
  await agent.start("pod", ["--networks=cni-test"]);
  await agent.json("prepare", ["pod.sidecar"], { container_info: { type: "MESOS" } });
  const listed = JSON.parse((await netns(agent, "list", "--json")).stdout);
  const nested = listed.find(({ id }: { id: string }) => id === "pod.sidecar");
  assert(nested, JSON.stringify(listed));
  assertEquals(
    [nested.mode, nested.networks, nested.pid, nested.health],
    ["parent", [], undefined, "not started"],
  );
  assertMatch(
    (await netns(agent, "exec", "pod.sidecar", "--", "ip", "address")).stdout,
    /192\.168\.0\.2/,
  );
});
