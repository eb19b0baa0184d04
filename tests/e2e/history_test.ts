/** The history of calls: what it has, what it must not have, and that nothing depends on it. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { PastCall } from "../../lib/cni/history.ts";
import type { Owner } from "../../lib/mesos/agent_checkpoints.ts";
import { Agent, containerConfig, portMapperNetwork } from "../harness/agent.ts";
import { MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

const CALLS = "/run/mesos-cni/history/calls.jsonl";
const LOOPBACK = '{"cniVersion":"1.0.0","name":"lo","type":"loopback"}';

async function past(host: Sandbox, ...args: string[]): Promise<(PastCall & Owner)[]> {
  return JSON.parse(await host.ok([MESOS_CNI, "history", "--json", ...args]));
}

/** Calls the plugin loopback, as a runtime does. */
class Loopback {
  private constructor(readonly host: Sandbox) {}

  static async in(host: Sandbox): Promise<Loopback> {
    await host.ok([
      "sh",
      "-ec",
      `ln -s ${MESOS_CNI} ${host.dir}/loopback; touch /run/ns; unshare --net=/run/ns true`,
    ]);
    return new Loopback(host);
  }

  call(id: string, more: Record<string, string> = {}) {
    return this.host.run([`${this.host.dir}/loopback`], {
      stdin: LOOPBACK,
      env: {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: id,
        CNI_NETNS: "/run/ns",
        CNI_IFNAME: "lo",
        CNI_PATH: this.host.dir,
        ...more,
      },
    });
  }
}

Deno.test("what was done for a container is known when it is gone, and no label is in it", async () => {
  await using agent = await Agent.create(portMapperNetwork());
  const secret = "s3cret-of-a-label";
  const config = containerConfig({
    network_infos: [{
      name: "port-mapper-test",
      labels: { labels: [{ key: "token", value: secret }] },
      port_mappings: [{ host_port: 8080, container_port: 80 }],
    }],
  });
  const ended: (() => Promise<unknown>)[] = [];
  const isolate = async (id: string) => {
    const prepared = await agent.isolator("prepare", [id], config);
    assertEquals(prepared.code, 0, prepared.stderr);
    const process = await agent.process();
    ended.push(() => process.end());
    return await agent.isolator("isolate", [id, `${process.pid}`]);
  };
  const isolated = await isolate("web-1");
  assertEquals(isolated.code, 0, isolated.stderr);
  // The port is taken: this one fails.
  assertEquals((await isolate("web-2")).code, 1);
  for (const end of ended) await end();
  for (const id of ["web-1", "web-2"]) {
    assertEquals((await agent.isolator("cleanup", [id])).code, 0);
  }

  // As the agent has them, and keeps them for a while after the container.
  const runs = "frameworks/F-1/executors/web.1/runs/web-1/tasks/web.1";
  await agent.sandbox.ok([
    "sh",
    "-ec",
    `mkdir -p /var/lib/mesos/meta/slaves/S0/${runs}; ln -s S0 /var/lib/mesos/meta/slaves/latest`,
  ]);
  const all = await past(agent.sandbox);
  assertEquals(
    all.map((one) => `${one.container} ${one.command} ${one.outcome}`),
    ["web-1 ADD done", "web-2 ADD failed", "web-1 DEL done", "web-2 DEL done"],
  );
  const [first, failed] = all as [PastCall & Owner, PastCall & Owner];
  assertEquals(first.ports, ["8080:80/tcp"]);
  assertEquals(first.addresses?.length, 1);
  assertEquals([first.by, first.plugin, first.network, first.interface], [
    "isolator",
    "mesos-cni-port-mapper",
    "port-mapper-test",
    "eth0",
  ]);
  assertStringIncludes(failed.error!, "8080");
  assertEquals((await past(agent.sandbox, "--failed")).map(({ container }) => container), [
    "web-2",
  ]);
  for (const owner of ["web-1", "web.1", "F-1"]) {
    assertEquals(
      (await past(agent.sandbox, owner)).map(({ container }) => container),
      ["web-1", "web-1"],
    );
  }
  assertEquals([first.task, first.framework, failed.task], ["web.1", "F-1", undefined]);
  assertEquals(await past(agent.sandbox, "--since=2999-01-01"), []);
  assertEquals((await past(agent.sandbox, "--since=1h")).length, 4);
  const text = await agent.sandbox.ok([MESOS_CNI, "history", "web-2"]);
  assertStringIncludes(text, `failed (${failed.code})`);
  assertStringIncludes(await agent.sandbox.ok([MESOS_CNI, "history", "web-1"]), " web.1 ");
  assert(!(await agent.sandbox.ok(["cat", CALLS])).includes(secret));
  const metrics = await agent.sandbox.run([MESOS_CNI, "status", "--format=prometheus"]);
  assertStringIncludes(
    metrics.stdout,
    `mesos_cni_plugin_failures_total{plugin="mesos-cni-port-mapper",command="ADD",code="${failed.code}"} 1\n`,
  );
});

Deno.test("failures are counted however many plugins a network has", async () => {
  const plugins = [{ type: "bridge", mtu: "small" }, ...Array(40).fill({ type: "tuning" })];
  await using agent = await Agent.create({ cniVersion: "1.0.0", name: "long", plugins });
  const config = containerConfig({ network_infos: [{ name: "long" }] });
  assertEquals((await agent.isolator("prepare", ["web-1"], config)).code, 0);
  const process = await agent.process();
  assertEquals((await agent.isolator("isolate", ["web-1", `${process.pid}`])).code, 1);
  await process.end();
  const { stdout } = await agent.sandbox.run([MESOS_CNI, "status", "--format=prometheus"]);
  assertMatch(
    stdout,
    /^mesos_cni_plugin_failures_total.plugin="bridge.tuning.*command="ADD".* 1$/m,
  );
});

Deno.test("lines of another release and a cut name of a count are no reason to fail", async () => {
  await using host = await Sandbox.create();
  const loopback = await Loopback.in(host);
  assertEquals((await loopback.call("web-1")).code, 0);
  const other = { ...(await past(host))[0], container: "other" };
  const lines = [
    ...["ports", "addresses", "code", "error", "outcome", "ms", "interface"].map((key) => ({
      ...other,
      [key]: {},
    })),
    null,
    "x",
  ].map((line) => JSON.stringify(line)).join("\n");
  await host.ok(["tee", "-a", CALLS], { stdin: lines + "\n" });
  await host.ok(["sh", "-ec", "cd /run/mesos-cni/history; mkdir failures; echo >failures/a%2"]);
  assertEquals((await past(host)).map(({ container }) => container), ["web-1"]);
  assertStringIncludes(await host.ok([MESOS_CNI, "history"]), "web-1");
  const { stdout } = await host.run([MESOS_CNI, "status", "--format=prometheus"]);
  assertStringIncludes(stdout, "# TYPE mesos_cni_plugin_failures_total counter\n");
});

Deno.test("no call fails for want of its line, and hostile names stay on theirs", async () => {
  await using host = await Sandbox.create();
  const loopback = await Loopback.in(host);
  await host.ok(["sh", "-ec", "mkdir /run/mesos-cni; mount -t tmpfs -o ro none /run/mesos-cni"]);
  assertEquals((await loopback.call("web-1")).code, 0);
  assertEquals(await past(host), []);
  await host.ok(["umount", "/run/mesos-cni"]);
  // A file where the directory would be, and then a full disk.
  await host.ok(["sh", "-ec", "touch /run/mesos-cni/history"]);
  assertEquals((await loopback.call("web-1")).code, 0);
  await host.ok([
    "sh",
    "-ec",
    "rm /run/mesos-cni/history; mkdir /run/mesos-cni/history; mount -t tmpfs -o size=4k none /run/mesos-cni/history; " +
    "dd if=/dev/zero of=/run/mesos-cni/history/full bs=4k count=1 2>/dev/null",
  ]);
  assertEquals((await loopback.call("web-1")).code, 0);
  await host.ok(["umount", "/run/mesos-cni/history"]);

  const hostile = 'a"\n{"time":"2000","command":"ADD"}\u202e';
  await loopback.call(hostile);
  const [only, ...others] = await past(host);
  assertEquals([only!.container, others.length], [hostile, 0]);
  const shown = await host.ok([MESOS_CNI, "history"]);
  assertEquals(shown.trimEnd().split("\n").length, 2);
  assert(!shown.includes("\u202e"));
});

Deno.test("what a killed writer left costs no other line, and a full file becomes the older one", async () => {
  await using host = await Sandbox.create();
  const loopback = await Loopback.in(host);
  await loopback.call("before");
  await host.ok([
    "sh",
    "-ec",
    `printf '{"time":"2026-01-01T00:00:00.000Z","command":"AD' >>${CALLS}`,
  ]);
  await loopback.call("after");
  assertEquals((await past(host)).map(({ container }) => container), ["before", "after"]);

  // One line below the limit: of many writers at once, one rotates, and no line is lost.
  await host.ok([
    "sh",
    "-ec",
    // In one line: reading millions of empty ones takes half a minute.
    `(head -c 4M /dev/zero | tr '\\0' x; echo) >>${CALLS}`,
  ]);
  const ids = Array.from({ length: 12 }, (_, i) => `web-${i}`);
  await Promise.all(ids.map((id) => loopback.call(id)));
  const names = (await past(host)).map(({ container }) => container);
  assertEquals(names.toSorted(), ["before", "after", ...ids].toSorted());
  assertEquals(
    (await host.ok(["ls", "/run/mesos-cni/history"])).trim().split("\n"),
    ["calls.1.jsonl", "calls.jsonl"],
  );
});

Deno.test("a wrong call is refused", async () => {
  await using host = await Sandbox.create();
  for (const args of [["--since=yesterday"], ["a", "b"]]) {
    assertEquals((await host.run([MESOS_CNI, "history", ...args])).code, 2);
  }
});
