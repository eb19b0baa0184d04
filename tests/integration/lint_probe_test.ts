/** `--probe` on a real machine: a sandbox with devices, addresses and the real plugins. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

const ipam = (subnet: string) => ({ type: "host-local", subnet, routes: [{ dst: "0.0.0.0/0" }] });

async function codes(
  agent: Sandbox,
  config: Record<string, unknown>,
  options: { path?: string; flags?: string[]; name?: string } = {},
): Promise<string[]> {
  const file = join(agent.dir, options.name ?? "net.conf");
  Deno.writeTextFileSync(file, JSON.stringify({ cniVersion: "1.0.0", name: "net", ...config }));
  Deno.chmodSync(file, 0o644);
  const flags = options.flags ?? ["--probe", `--plugins-dir=${CNI_PLUGINS}`];
  const path = options.path ?? Deno.env.get("PATH")!;
  const { stdout, stderr } = await agent.run(
    ["env", `PATH=${path}`, MESOS_CNI, "lint", "--json", ...flags, file],
  );
  assertEquals(stderr, "");
  const { findings } = JSON.parse(stdout) as { findings: { code: string; severity: string }[] };
  return findings.filter((found) => found.severity !== "info").map((found) => found.code);
}

Deno.test("--probe sees this machine's devices, addresses, plugins and programs", async (t) => {
  await using agent = await Sandbox.create();
  await agent.outside(); // wan0, a bridge with 203.0.113.1/24
  await agent.ok([
    "ip",
    "link",
    "add",
    "eth0",
    "mtu",
    "1400",
    "type",
    "veth",
    "peer",
    "name",
    "wire",
  ]);
  await agent.ok(["ip", "link", "set", "eth0", "up"]);
  await agent.ok(["ip", "address", "add", "192.0.2.10/24", "dev", "eth0"]);
  const bridge = { type: "bridge", bridge: "cni0", isGateway: true, ipMasq: true };

  await t.step("a network that fits is clean", async () => {
    assertEquals(await codes(agent, { ...bridge, ipam: ipam("10.1.0.0/16") }), []);
    assertEquals(
      await codes(agent, {
        type: "macvlan",
        master: "eth0",
        mtu: 1400,
        ipam: ipam("192.0.2.0/24"),
      }),
      [],
    );
  });
  await t.step("a master that is missing, or too small", async () => {
    const macvlan = { type: "macvlan", ipam: ipam("192.0.2.0/24") };
    assertEquals(await codes(agent, { ...macvlan, master: "eth7" }), ["CNI801"]);
    assertEquals(await codes(agent, macvlan), ["CNI801"]); // there is no default route
    assertEquals(await codes(agent, { ...macvlan, master: "eth0", mtu: 1500 }), ["CNI803"]);
  });
  await t.step("a bridge that is none", async () => {
    assertEquals(
      await codes(agent, { ...bridge, bridge: "eth0", ipam: ipam("10.1.0.0/16") }),
      ["CNI802"],
    );
    assertEquals(
      await codes(agent, { ...bridge, bridge: "wan0", ipam: ipam("203.0.113.0/24") }),
      [],
    );
  });
  await t.step("a subnet that the machine is in already", async () => {
    assertEquals(await codes(agent, { ...bridge, ipam: ipam("192.0.2.0/25") }), ["CNI804"]);
    await agent.ok(["ip", "route", "add", "10.8.0.0/13", "via", "192.0.2.1"]);
    assertEquals(await codes(agent, { ...bridge, ipam: ipam("10.9.0.0/24") }), ["CNI804"]);
    await agent.ok(["ip", "route", "del", "10.8.0.0/13"]);
  });
  await t.step("routes that lead nowhere near the agent", async () => {
    const routes = (dst: string) => ({
      ...bridge,
      isGateway: false,
      ipMasq: false,
      ipam: { ...ipam("10.1.0.0/16"), routes: [{ dst }] },
    });
    assertEquals(await codes(agent, routes("198.51.100.0/24")), ["CNI809"]);
    assertEquals(await codes(agent, routes("192.0.2.0/24")), []);
  });
  await t.step("a version that the plugin here does not speak", async () => {
    const config = { ...bridge, cniVersion: "1.1.0", ipam: ipam("10.1.0.0/16") };
    assertEquals(await codes(agent, config), ["CNI107"]);
    assertEquals(await codes(agent, config, { flags: [] }), []);
  });
  await t.step("iptables that is missing or too old", async () => {
    const config = { ...bridge, ipam: ipam("10.1.0.0/16") };
    // Users other than root have no directory of administrators' programs in their PATH.
    assertEquals(await codes(agent, config, { path: "/usr/bin:/bin" }), []);
    const iptables = Deno.realPathSync("/usr/sbin/iptables");
    await agent.ok(["mount", "--bind", "/dev/null", iptables]);
    assertEquals(await codes(agent, config), ["CNI805"]);
    // The plugins of this program take nftables then, unless they are told not to.
    const own = join(agent.dir, "own");
    Deno.mkdirSync(own);
    for (const type of ["bridge", "host-local", "mesos-cni-port-mapper"]) {
      Deno.symlinkSync(MESOS_CNI, join(own, type));
    }
    const without = { flags: ["--probe", `--plugins-dir=${own}`] };
    const mapping = { type: "mesos-cni-port-mapper", chain: "MESOS-NET", delegate: config };
    assertEquals(await codes(agent, { ...mapping, excludeDevices: ["cni0"] }, without), []);
    assertEquals(
      await codes(agent, { ...mapping, excludeDevices: ["cni0"], backend: "iptables" }, without),
      ["CNI805"],
    );
    await agent.ok(["umount", iptables]);
    const fake = join(agent.dir, "iptables");
    Deno.writeTextFileSync(
      fake,
      "#!/bin/sh\n[ $1 = --version ] && echo 'iptables v1.4.7' || exit 2\n",
    );
    Deno.chmodSync(fake, 0o755);
    const mapper = {
      type: "mesos-cni-port-mapper",
      chain: "MESOS-NET",
      excludeDevices: ["cni0"],
      delegate: config,
    };
    const path = `${agent.dir}:${Deno.env.get("PATH")}`;
    assertEquals(await codes(agent, mapper, { path, flags: ["--probe"] }), ["CNI805"]);
    assertEquals(await codes(agent, mapper, { flags: ["--probe"] }), []);
  });
  await t.step("a chain and a sysctl that are not here", async () => {
    const list = (plugin: Record<string, unknown>) => ({
      plugins: [{ ...bridge, ipam: ipam("10.1.0.0/16") }, plugin],
    });
    const marked = list({
      type: "portmap",
      capabilities: { portMappings: true },
      externalSetMarkChain: "KUBE-MARK-MASQ",
    });
    const name = "net.conflist";
    assertEquals(await codes(agent, marked, { name }), ["CNI801"]);
    await agent.ok(["iptables", "-t", "nat", "-N", "KUBE-MARK-MASQ"]);
    assertEquals(await codes(agent, marked, { name }), []);
    const tuned = (sysctl: string) => list({ type: "tuning", sysctl: { [sysctl]: "500" } });
    assertEquals(await codes(agent, tuned("net.core.somaxcon"), { name }), ["CNI801"]);
    for (const sysctl of ["net.core.somaxconn", "net/ipv4/conf/IFNAME/log_martians"]) {
      assertEquals(await codes(agent, tuned(sysctl), { name }), []);
    }
  });
  await t.step("a kernel without the interfaces", async () => {
    const { stderr } = await agent.run([
      "ip",
      "link",
      "add",
      "x0",
      "link",
      "eth0",
      "type",
      "ipvlan",
    ]);
    const expected = stderr.includes("Unknown device type") ? ["CNI807"] : [];
    assertEquals(
      await codes(agent, { type: "ipvlan", master: "eth0", ipam: ipam("192.0.2.0/24") }),
      expected,
    );
  });
  await t.step("a daemon that does not run", async () => {
    assertEquals(await codes(agent, { type: "flannel" }, { flags: ["--probe"] }), ["CNI808"]);
    assertEquals(await codes(agent, { ...bridge, ipMasq: false, ipam: { type: "dhcp" } }), [
      "CNI808",
    ]);
    await agent.ok(["mkdir", "-p", "/run/flannel"]);
    await agent.ok(["touch", "/run/flannel/subnet.env"]);
    assertEquals(await codes(agent, { type: "flannel" }, { flags: ["--probe"] }), []);
  });
  await t.step("a key that every user can read, and a config of the group's", async () => {
    const key = join(agent.dir, "key.pem");
    Deno.writeTextFileSync(key, "secret");
    const calico = {
      type: "calico",
      nodename: "a",
      cniVersion: "0.3.1",
      etcd_endpoints: "https://192.0.2.1:2379",
      etcd_ca_cert_file: "/etc/ca.pem",
      etcd_cert_file: "/etc/cert.pem",
      etcd_key_file: key,
      ipam: { type: "calico-ipam" },
    };
    Deno.chmodSync(key, 0o644);
    assertEquals(await codes(agent, calico, { flags: ["--probe"] }), ["CNI205"]);
    Deno.chmodSync(key, 0o600);
    assertEquals(await codes(agent, calico, { flags: ["--probe"] }), []);
  });
  await t.step("probing leaves no interface behind", async () => {
    const links = await agent.ok(["ip", "-oneline", "link"]);
    assertEquals(links.includes("probe0"), false);
  });
});
