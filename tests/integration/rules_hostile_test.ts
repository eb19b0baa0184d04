/**
 * Hostile values through the plugins that write rules, compiled, with real iptables of both kinds: a sample
 * of fields and values, and all of them with MESOS_CNI_TEST_SCALE=full.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { CORPUS } from "../harness/hostile.ts";
import { partOf } from "../harness/part.ts";
import { type Json, PortMapperAgent } from "../harness/port_mapper.ts";

const STEP = Deno.env.get("MESOS_CNI_TEST_SCALE") === "full" ? 1 : 61;

const named = { cniVersion: "1.0.0", name: "net" };
const with_ = (address: unknown, bridge: unknown = "br0") => ({
  cniVersion: "1.0.0",
  interfaces: [{ name: bridge }, { name: "eth0", sandbox: "/run/netns/c1" }],
  ips: [{ address, interface: 1 }],
});
const prevResult = with_("10.0.0.2/24");
const firewall = { ...named, type: "firewall", prevResult };
const portmap = { ...named, type: "portmap", prevResult };
const port = (more: Json) => ({
  ...portmap,
  runtimeConfig: {
    portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp", ...more }],
  },
});

/** Every field that comes into a rule, or is compared with one. */
const FIELDS: Record<string, (value: unknown) => Json> = {
  "a network's name": (name) => ({ ...firewall, name }),
  "an address": (value) => ({ ...firewall, prevResult: with_(value) }),
  "the address of a network": (value) => ({
    ...firewall,
    prevResult: with_(typeof value === "string" ? `${value}/24` : value),
  }),
  "a bridge": (value) => ({
    ...firewall,
    ingressPolicy: "isolated",
    prevResult: with_("10.0.0.2/24", value),
  }),
  "a policy": (ingressPolicy) => ({ ...firewall, ingressPolicy }),
  "the chain of an operator": (iptablesAdminChainName) => ({ ...firewall, iptablesAdminChainName }),
  "a zone": (firewalldZone) => ({ ...firewall, firewalldZone }),
  "a network's name, of portmap": (name) => ({ ...port({}), name }),
  "an address to lead to": (value) => ({
    ...port({}),
    prevResult: with_(typeof value === "string" ? `${value}/24` : value),
  }),
  hostIP: (hostIP) => port({ hostIP }),
  protocol: (protocol) => port({ protocol }),
  hostPort: (hostPort) => port({ hostPort }),
  containerPort: (containerPort) => port({ containerPort }),
  "a condition": (value) => ({ ...port({}), conditionsV4: [value] }),
  "a match": (value) => ({ ...port({}), conditionsV4: ["-m", "mark", "--mark", value] }),
  "a module": (value) => ({ ...port({}), conditionsV4: ["-m", value] }),
  "the chain of marks": (externalSetMarkChain) => ({ ...port({}), externalSetMarkChain }),
};

/** What all containers share, which stays: by the bridge, too. */
const SHARED = new RegExp(
  "^-A (?:" + [
    "PREROUTING (?:-m addrtype --dst-type LOCAL -j MESOS-CNI-PORTMAP|-d 127\\.0\\.0\\.0/8 -j MESOS-CNI-GUARD)",
    "OUTPUT (?:! -d 127\\.0\\.0\\.0/8 -m addrtype --dst-type LOCAL -j MESOS-CNI-PORTMAP|-d 127\\.0\\.0\\.0/8 -j MESOS-CNI-LOOPBACK)",
    "OUTPUT ! -d ::1/128 -m addrtype --dst-type LOCAL -j MESOS-CNI-PORTMAP",
    "POSTROUTING -m conntrack --ctstate DNAT -j MESOS-CNI-SNAT",
    "MESOS-CNI-GUARD ! -i lo -j DROP",
    'FORWARD -m comment --comment "CNI firewall plugin rules[^"]*" -j CNI-(?:FORWARD|ISOLATION-STAGE-1)',
    'CNI-FORWARD -m comment --comment "CNI firewall plugin admin overrides" -j [A-Za-z0-9_][A-Za-z0-9_-]{0,27}',
    'CNI-ISOLATION-STAGE-[12] (?:(?:! )?-[io] \\S+ )*-m comment --comment "CNI firewall plugin rules[^"]*" -j (?:DROP|RETURN|CNI-ISOLATION-STAGE-2)',
  ].join("|") + ")$",
);

for (const variant of partOf(["nft", "legacy"] as const, 2)) {
  Deno.test(`${variant}: no value gets out of its place in a rule, and DEL removes all of it`, async () => {
    await using agent = await PortMapperAgent.create(variant);
    await agent.container("c1");
    await agent.sandbox.ok([
      ...["sh", "-ec", "ip link set lo up; ip link add br0 type bridge; ip link set br0 up"],
    ]);
    await agent.sandbox.ok(["ip", "address", "add", "10.0.0.1/24", "dev", "br0"]);
    const calls = Object.entries(FIELDS).flatMap(([field, place]) =>
      CORPUS.map((value) => ({ field, value, config: place(value) }))
    );
    const state = async () => {
      const env = { PATH: agent.path };
      const saved = await agent.sandbox.ok(["sh", "-c", "iptables-save; ip6tables-save"], { env });
      const files = await agent.sandbox.ok(["find", "/run", agent.sandbox.dir, "-maxdepth", "1"]);
      return { saved: saved.split("\n"), files };
    };
    const shared = port({});
    // A target of iptables is no chain: this would let everything through.
    for (const iptablesAdminChainName of ["ACCEPT", "CNI-FORWARD", "PREROUTING"]) {
      const { msg } = await agent.fails("ADD", "c1", { ...firewall, iptablesAdminChainName }, {
        type: "firewall",
      });
      assertMatch(
        msg,
        /^iptablesAdminChainName is "[A-Z-]+"; it must be the name of a chain of yours$/,
      );
    }
    await agent.ok("ADD", "c1", shared, { type: "portmap" });
    await agent.ok("DEL", "c1", shared, { type: "portmap" });
    await agent.ok("ADD", "c1", firewall, { type: "firewall" });
    await agent.ok("DEL", "c1", firewall, { type: "firewall" });
    const before = await state();
    for (const { field, value, config } of partOf(calls.filter((_, i) => i % STEP === 0), 5)) {
      const what = `${field}: ${JSON.stringify(value).slice(0, 200)}`;
      const options = { type: String(config.type) };
      const { stdout } = await agent.call("ADD", "c1", config, options);
      assertEquals(stdout.includes("\\n    at "), false, `a defect: ${what}: ${stdout}`);
      await agent.call("DEL", "c1", config, options);
      const now = await state();
      for (const line of now.saved) if (line.startsWith("-A")) assertMatch(line, SHARED, what);
      for (const line of now.saved) {
        if (/^:(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING) /.test(line)) {
          assertMatch(line, / ACCEPT /, what);
        }
      }
      assertEquals(now.files, before.files, what);
      assertEquals(await agent.leftovers(), [], what);
    }
  });
}
