/** The service on a host where the reference's portmap, with its backend for nftables, leads ports as well. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Containerizer } from "../harness/containerizer.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { Service, until } from "../harness/service.ts";

const NETWORK = {
  ...{ cniVersion: "1.0.0", name: "net", type: "mesos-cni-port-mapper", backend: "nftables" },
  chain: "TEST-PORTS",
  delegate: { type: "bridge", bridge: "br0", ipam: { type: "host-local", subnet: "10.9.0.0/16" } },
};
/** For both lanes, whichever container goes by which. */
const IDS = ["a", "b", "c", "d", "e", "f", "g", "h"];

async function host() {
  const agent = await Sandbox.create();
  const nft = (...lines: string[]) => agent.ok(["nft", "-f", "-"], { stdin: lines.join("\n") });
  const rule = (port: number) =>
    `add rule ip cni_hostport hostports tcp dport ${port} dnat to 10.8.0.2:80 comment "other"`;
  await nft(
    "table ip cni_hostport { chain hostports { }; chain hostip_hostports { }; }",
    ...Array.from({ length: 400 }, (_, i) => rule(20_000 + i)),
  );
  await Deno.mkdir(`${agent.dir}/networks`);
  await Deno.writeTextFile(`${agent.dir}/networks/net.conf`, JSON.stringify(NETWORK));
  const service = await Service.start(agent, `${agent.dir}/isolator.sock`, [
    `--network_cni_config_dir=${agent.dir}/networks`,
    `--network_cni_plugins_dir=${agent.dir}`,
  ]);
  const containerizer = new Containerizer(agent);
  const attach = async (id: string, port: number) => {
    const port_mappings = [{ host_port: port, container_port: 80 }];
    const network_infos = [{ name: "net", port_mappings }];
    await service.ok(`/v1/containers/${id}/prepare`, { container_info: { network_infos } });
    const pid = await containerizer.start();
    const { status, text } = await service.post(`/v1/containers/${id}/isolate`, { pid });
    await containerizer.end(pid);
    await service.ok(`/v1/containers/${id}/cleanup`);
    return status === 200 ? "attached" : text.replace(`of container ${id}:`, "of ID:");
  };
  return {
    ...{ agent, service, nft, rule },
    /** Of all ids. */
    async attachAll(port: number): Promise<string[]> {
      const answers = [];
      for (const id of IDS) answers.push(await attach(id, port));
      return [...new Set(answers)];
    },
    async [Symbol.asyncDispose]() {
      await containerizer[Symbol.asyncDispose]();
      await service[Symbol.asyncDispose]();
      await agent[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a port that the reference's portmap takes between two attaches of the service is refused, until it is free", async () => {
  await using machine = await host();
  assertEquals(await machine.attachAll(8080), ["attached"]);
  for (const ports of [[8080], Array.from({ length: 3000 }, (_, i) => 30_000 + i)]) {
    // Of thousands, the kernel tells less than it has to.
    await machine.nft(...ports.map(machine.rule));
    for (const port of [ports.at(-1)!, ports[0]!]) {
      const [refusal, ...others] = await machine.attachAll(port);
      assertEquals(others, []);
      assertStringIncludes(refusal!, `host port ${port}/tcp is taken by container other`);
    }
    await machine.nft("flush chain ip cni_hostport hostports");
    assertEquals(await machine.attachAll(ports.at(-1)!), ["attached"]);
  }
});

Deno.test("the rules of the reference's portmap are read once, and not for each attach", async () => {
  await using machine = await host();
  // By then each of the service's processes has asked more than once.
  for (let round = 0; round < 2; round++) await machine.attachAll(8080);
  const trace = `${machine.agent.dir}/trace`;
  const strace = machine.agent.spawn(
    ["strace", "-f", "-e", "trace=recvfrom", "-o", trace, "-p", `${machine.service.pid}`],
  );
  await strace.stdin.close();
  const threads = `/proc/${machine.service.pid}/task`;
  const isTraced = (thread: string) => {
    try {
      return !/^TracerPid:\t0$/m.test(Deno.readTextFileSync(`${threads}/${thread}/status`));
    } catch {
      return true; // it has ended meanwhile
    }
  };
  const all = () => [...Deno.readDirSync(threads)].map(({ name }) => name);
  await until(() => all().every(isTraced), "strace to see all threads");
  await machine.nft(machine.rule(8081));
  assertEquals(await machine.attachAll(8080), ["attached"]);
  strace.kill("SIGINT");
  await strace.output();
  // 400 rules are 170 KB, of which the kernel gives 32 at a time.
  const sizes = [...Deno.readTextFileSync(trace).matchAll(/\) = (\d+)$/gm)].map(([, n]) => +n!);
  assert(sizes.length > 100, `${sizes.length} answers of the kernel`);
  assertEquals(sizes.filter((size) => size > 16_000), []);
});
