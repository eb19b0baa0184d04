import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { add, type Attachment, check, del } from "../../lib/cni/chain.ts";
import { parseNetwork } from "../../lib/cni/config.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { Invocation, Plugin } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { OperatorError } from "../../lib/base/error.ts";

const network = (config: JsonObject) => parseNetwork(JSON.stringify(config), "x.conflist");

const attachment: Attachment = {
  containerId: "c1",
  netns: "/run/netns/c1",
  ifName: "eth0",
  cniArgs: "K=V",
  path: "/usr/sbin:/usr/bin",
  searchPath: "/opt/cni/bin",
  capabilityArgs: { portMappings: [{ hostPort: 8080 }], constructor: "x" },
};

/** Plugins inside the test: what they were called with, and an answer for each type. */
function plugins(answers: Record<string, JsonObject | Error | undefined>) {
  const calls: Omit<Invocation, "locate">[] = [];
  const locate = (type: string): Plugin => {
    if (!(type in answers)) throw new OperatorError("missing_plugin", `no ${type}`);
    return ({ locate: _, firewall: __, ...invocation }) => {
      calls.push(structuredClone(invocation));
      const answer = answers[type];
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    };
  };
  return { calls, locate, order: () => calls.map((call) => `${call.command} ${call.config.type}`) };
}

const chain = network({
  cniVersion: "1.0.0",
  name: "dbnet",
  args: { "example.com": 1 },
  plugins: [
    { type: "bridge", bridge: "cni0", prevResult: { forged: true } },
    { type: "tuning", args: { own: 2 }, capabilities: { mac: true, portMappings: false } },
    { type: "portmap", capabilities: { portMappings: true } },
  ],
});
const first = { cniVersion: "1.0.0", ips: [{ address: "10.0.0.2/24" }], extra: 1 };
const last = { cniVersion: "1.0.0", ips: [{ address: "10.0.0.3/24" }] };

Deno.test("ADD hands each plugin its own config, the result before it and its capabilities", async () => {
  const { calls, locate } = plugins({ bridge: first, tuning: last, portmap: last });
  assertEquals(await add(chain, attachment, locate), last);
  const { containerId, netns, ifName, path, searchPath } = attachment;
  const shared = { command: "ADD", containerId, netns, ifName, args: "K=V", path, searchPath };
  assertEquals<unknown>(calls.map(({ config: _, ...call }) => call), [shared, shared, shared]);
  const both = { cniVersion: "1.0.0", name: "dbnet" };
  assertEquals(calls.map((call) => call.config), [
    { ...both, type: "bridge", bridge: "cni0", args: { "example.com": 1 } },
    {
      ...both,
      type: "tuning",
      args: { own: 2, "example.com": 1 },
      capabilities: { mac: true, portMappings: false },
      prevResult: first,
    },
    {
      ...both,
      type: "portmap",
      args: { "example.com": 1 },
      capabilities: { portMappings: true },
      runtimeConfig: { portMappings: [{ hostPort: 8080 }] },
      prevResult: last,
    },
  ]);
});

Deno.test("a config without a version reaches its plugin as it is, and may answer in the old form", async () => {
  const raw = { name: "n", type: "bridge", args: { a: 1 } };
  const result = { ip4: { ip: "10.0.0.2/8" } };
  const { calls, locate } = plugins({ bridge: result });
  assertEquals(await add(network(raw), { ...attachment, capabilityArgs: {} }, locate), result);
  assertEquals(calls[0]!.config, raw);
});

Deno.test("a result in another version than the network's is converted for those who read it", async () => {
  const { calls, locate } = plugins({
    bridge: { ip4: { ip: "10.0.0.2/8" } },
    tuning: last,
    portmap: last,
  });
  await add(chain, attachment, locate);
  assertEquals(calls[1]!.config.prevResult, {
    cniVersion: "1.0.0",
    interfaces: [],
    ips: [{ address: "10.0.0.2/8" }],
    routes: [],
    dns: {},
  });
});

Deno.test("ADD stops at the plugin that fails and says which it was, with its own code", async () => {
  const failing = new CniError(11, "pool is empty", "details");
  const { order, locate } = plugins({ bridge: first, tuning: failing, portmap: last });
  const error = await assertRejects(() => add(chain, attachment, locate), CniError);
  assertEquals(error.cniCode, 11);
  assertEquals(error.details, "details");
  assertEquals(
    error.message,
    "network dbnet, ADD by tuning for eth0 of container c1: pool is empty",
  );
  assertEquals(order(), ["ADD bridge", "ADD tuning"]);
});

Deno.test("ADD runs nothing if one of its plugins is missing, or a name is no name", async () => {
  const { calls, locate } = plugins({ bridge: first, tuning: last });
  await assertRejects(() => add(chain, attachment, locate), OperatorError, "no portmap");
  for (const wrong of [{ containerId: "../c" }, { containerId: "" }, { ifName: "eth0/.." }]) {
    await assertRejects(() => add(chain, { ...attachment, ...wrong }, locate), CniError, "must");
  }
  assertEquals(calls, []);
});

Deno.test("ADD does not take a missing or impossible result for success", async () => {
  for (const result of [undefined, { cniVersion: "1.0.0", ips: [{ address: "10.0.0.1" }] }]) {
    const { locate } = plugins({ bridge: result, tuning: last, portmap: last });
    const error = await assertRejects(() => add(chain, attachment, locate), CniError);
    assertEquals(error.cniCode, 6);
    assertStringIncludes(error.message, "network dbnet, ADD by bridge for eth0 of container c1");
  }
});

Deno.test("DEL goes backwards, with the result of ADD from 0.4.0 on, and calls all whatever one answers", async () => {
  const { calls, order, locate } = plugins({
    bridge: undefined,
    tuning: undefined,
    portmap: undefined,
  });
  await del(chain, { ...attachment, netns: undefined }, locate, last);
  assertEquals(order(), ["DEL portmap", "DEL tuning", "DEL bridge"]);
  assertEquals(calls.map((call) => call.config.prevResult), [last, last, last]);
  assertEquals(calls.map((call) => "netns" in call), [false, false, false]);

  const older = plugins({ bridge: undefined });
  await del(
    network({ cniVersion: "0.3.1", name: "n", type: "bridge" }),
    attachment,
    older.locate,
    last,
  );
  assertEquals(older.calls[0]!.config, { cniVersion: "0.3.1", name: "n", type: "bridge" });

  const failing = plugins({ bridge: undefined, tuning: new CniError(5, "x"), portmap: undefined });
  await assertRejects(
    () => del(chain, attachment, failing.locate, last),
    CniError,
    "DEL by tuning",
  );
  assertEquals(failing.order(), ["DEL portmap", "DEL tuning", "DEL bridge"]);
});

Deno.test("DEL goes on without a result, and without one that cannot be read", async () => {
  for (const stored of [undefined, { ips: "torn" }]) {
    const { calls, locate } = plugins({ bridge: undefined, tuning: undefined, portmap: undefined });
    await del(chain, attachment, locate, stored);
    assertEquals(calls.map((call) => "prevResult" in call.config), [false, false, false]);
  }
});

Deno.test("CHECK asks the plugins in order with the result of ADD, where the network has CHECK", async () => {
  const { calls, order, locate } = plugins({
    bridge: undefined,
    tuning: undefined,
    portmap: undefined,
  });
  assertEquals(await check(chain, attachment, locate, last), true);
  assertEquals(order(), ["CHECK bridge", "CHECK tuning", "CHECK portmap"]);
  assertEquals(calls[0]!.config.prevResult, last);
  const older = network({ cniVersion: "0.3.1", name: "n", type: "bridge" });
  assertEquals(await check(older, attachment, locate, last), false);
  assertEquals(await check({ ...chain, disableCheck: true }, attachment, locate, last), false);
  assertEquals(calls.length, 3);
  const failing = plugins({
    bridge: new CniError(100, "no veth"),
    tuning: undefined,
    portmap: undefined,
  });
  await assertRejects(() => check(chain, attachment, failing.locate, last), CniError, "no veth");
});
