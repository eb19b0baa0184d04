/** Who reads the directory that is linted: the agent of the machine reads its own. */
import { assertEquals } from "@std/assert";
import { MESOS_CNI } from "../harness/binary.ts";
import { Sandbox } from "../harness/sandbox.ts";

const NETWORK = `{
  "cniVersion": "1.0.0",
  "name": "net",
  "type": "bridge",
  "bridge": "cni0",
  "ipam": { "type": "host-local", "subnet": "10.1.0.0/16", "routes": [{ "dst": "0.0.0.0/0" }] }
}
`;

Deno.test("a stock agent's own directory is read as it reads it, also when its path is given", async () => {
  await using host = await Sandbox.create();
  await host.ok(["mkdir", "-p", "/run/networks", "/run/others"]);
  for (const directory of ["networks", "others"]) {
    await host.ok(["tee", `/run/${directory}/net.conf`], { stdin: NETWORK });
  }
  const codes = async (...args: string[]) => {
    const { stdout } = await host.run([MESOS_CNI, "lint", "--json", ...args]);
    const { findings } = JSON.parse(stdout) as { findings: { code: string }[] };
    return findings.map(({ code }) => code);
  };
  assertEquals(await codes("/run/networks"), []);
  // An agent is known by its program's name: a stand-in, which a copy of bash can be.
  await host.ok(["cp", "/usr/bin/bash", "/run/mesos-agent"]);
  const flags = ["--network_cni_config_dir=/run/networks", "--isolation=network/cni"];
  const agent = host.spawn(["/run/mesos-agent", "-c", "echo up; read -r _", ...flags]);
  const reader = agent.stdout.getReader();
  await reader.read();
  assertEquals(await codes("/run/networks"), ["CNI116"]);
  assertEquals(await codes("/run/networks/net.conf"), ["CNI116"]);
  assertEquals(await codes(), ["CNI116"]);
  assertEquals(await codes("/run/others"), []);
  assertEquals(await codes("--for=isolator", "/run/networks"), []);
  await agent.stdin.close();
  await Promise.all([agent.status, reader.cancel(), agent.stderr.cancel()]);
});
