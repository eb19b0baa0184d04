/** Chains of the real plugins in a real network. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { add, type Attachment, check, del } from "../../lib/cni/chain.ts";
import { parseNetwork } from "../../lib/cni/config.ts";
import { CniError } from "../../lib/cni/error.ts";
import { findPlugin } from "../../lib/cni/find.ts";
import type { Plugin } from "../../lib/cni/invocation.ts";
import type { JsonObject } from "../../lib/base/json.ts";
import { processPlugin } from "../../lib/cni/process.ts";
import { readResult } from "../../lib/cni/result.ts";
import { SPEC_VERSIONS } from "../../lib/cni/version.ts";
import { inNamespaces } from "../../lib/kernel/namespaces.ts";
import { CNI_PLUGINS } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";
import { Sandbox } from "../harness/sandbox.ts";

/** An agent with one container's namespace, `c1`. */
async function machine() {
  const agent = await Sandbox.create();
  await agent.ok(["ip", "netns", "add", "c1"]);
  const net = `/proc/${agent.pid}/ns/net`;
  const mnt = `/proc/${agent.pid}/ns/mnt`;
  const attachment: Attachment = {
    containerId: "c1",
    netns: "/run/netns/c1",
    ifName: "eth0",
    path: "/usr/sbin:/usr/bin:/sbin:/bin",
    searchPath: CNI_PLUGINS,
    capabilityArgs: {},
  };
  return {
    agent,
    attachment,
    /** The plugin's file, started inside the sandbox. */
    locate: (type: string): Plugin =>
      processPlugin(findPlugin(type, CNI_PLUGINS), {
        start: (spawn) => inNamespaces({ net, mnt }, spawn),
      }),
    network: (config: JsonObject) => parseNetwork(JSON.stringify(config), "test.conf"),
    /** The seed's bridge, with its addresses in this test's directory. */
    bridge: {
      type: "bridge",
      bridge: "mesos-cni0",
      isGateway: true,
      ipMasq: true,
      ipam: {
        type: "host-local",
        dataDir: "/run/ipam",
        subnet: "192.168.0.0/16",
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
    container: (argv: string[]) => agent.ok(["ip", "netns", "exec", "c1", ...argv]),
    /** What a detach must put back. */
    state: async () => ({
      rules: [...(await agent.ok(["iptables-save", "-t", "nat"])).matchAll(/^-A .*/gm)].flat(),
      veths: (await agent.ok(["ip", "-o", "link", "show", "type", "veth"])).trim(),
      addresses: await agent.ok(["sh", "-c", "ls /run/ipam/*/ | grep -c ^192 || true"]),
    }),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

const clean = { rules: [], veths: "", addresses: "0\n" };

kernelTest("the bridge attaches in every version it speaks, each in its own form", async () => {
  await using it = await machine();
  for (const version of [undefined, ...SPEC_VERSIONS.filter((one) => one !== "1.1.0")]) {
    const network = it.network({
      ...(version === undefined ? {} : { cniVersion: version }),
      name: "cni-test",
      ...it.bridge,
    });
    const result = await add(network, it.attachment, it.locate);
    const { ips } = readResult(result, "result");
    const shown = await it.container(["ip", "-4", "-o", "address", "show", "dev", "eth0"]);
    assertStringIncludes(shown, ` ${ips[0]!.address} `);
    assertEquals(ips[0]!.gateway, "192.168.0.1");
    assertEquals("ip4" in result, ["0.1.0", "0.2.0", undefined].includes(version), version);
    await del(network, it.attachment, it.locate, result);
    assertEquals(await it.state(), clean, version);
  }
});

kernelTest("a version that a plugin does not speak is its error 1", async () => {
  await using it = await machine();
  const network = it.network({ cniVersion: "1.1.0", name: "cni-test", ...it.bridge });
  const error = await assertRejects(() => add(network, it.attachment, it.locate), CniError);
  assertEquals(error.cniCode, 1);
});

kernelTest(
  "bridge, tuning and portmap in a chain: each gets its capability and undoes its part",
  async () => {
    await using it = await machine();
    const network = it.network({
      cniVersion: "1.0.0",
      name: "cni-test",
      plugins: [
        it.bridge,
        { type: "tuning", capabilities: { mac: true } },
        { type: "portmap", capabilities: { portMappings: true } },
      ],
    });
    const mac = "02:11:22:33:44:55";
    const attachment = {
      ...it.attachment,
      capabilityArgs: {
        mac,
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }],
      },
    };
    const result = await add(network, attachment, it.locate);
    const eth0 = readResult(result, "result").interfaces.find(({ name }) => name === "eth0");
    assertEquals(eth0!.mac, mac, "the tuning plugin's change is in the last result");
    assertStringIncludes(await it.container(["ip", "link", "show", "dev", "eth0"]), mac);
    const rules = (await it.state()).rules.join("\n");
    assertStringIncludes(rules, "--dport 8080 -j DNAT --to-destination 192.168.0.2:80");

    await del(network, attachment, it.locate, result);
    const after = await it.state();
    assertEquals(after.rules.filter((rule) => /192\.168\.0\.2|8080/.test(rule)), []);
    assertEquals([after.veths, after.addresses], [clean.veths, clean.addresses]);
    await del(network, { ...attachment, netns: undefined }, it.locate, result);
  },
);

kernelTest("CHECK passes on what ADD made and fails on what was changed since", async () => {
  await using it = await machine();
  const sysctl = { "net.ipv4.conf.eth0.log_martians": "1" };
  const network = it.network({
    cniVersion: "0.4.0",
    name: "cni-test",
    plugins: [it.bridge, { type: "tuning", sysctl }],
  });
  const result = await add(network, it.attachment, it.locate);
  assertEquals(await check(network, it.attachment, it.locate, result), true);

  await it.container(["sysctl", "-qw", "net.ipv4.conf.eth0.log_martians=0"]);
  const where = "for eth0 of container c1: ";
  const again = () => check(network, it.attachment, it.locate, result);
  await assertRejects(again, CniError, `network cni-test, CHECK by tuning ${where}`);

  await it.container(["ip", "address", "del", "192.168.0.2/16", "dev", "eth0"]);
  await assertRejects(again, CniError, `network cni-test, CHECK by bridge ${where}`);
  await del(network, it.attachment, it.locate, result);
});

kernelTest("after an ADD that failed halfway, DEL leaves nothing", async () => {
  await using it = await machine();
  const network = it.network({
    cniVersion: "1.0.0",
    name: "cni-test",
    plugins: [it.bridge, { type: "tuning", sysctl: { "net.no.such.setting": "1" } }],
  });
  const error = await assertRejects(() => add(network, it.attachment, it.locate), CniError);
  assertStringIncludes(error.message, "ADD by tuning for eth0 of container c1");
  assertEquals((await it.state()).addresses, "1\n", "the bridge had done its part");
  await del(network, it.attachment, it.locate);
  const after = await it.state();
  assertEquals([after.veths, after.addresses], [clean.veths, clean.addresses]);
});
