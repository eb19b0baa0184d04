/** Plugins called as a runtime does, on a throwaway machine: ours and the reference's. */
import { assert, assertEquals } from "@std/assert";
import { MESOS_CNI } from "./binary.ts";
import { type Output, Sandbox } from "./sandbox.ts";

const NS = "/run/ns";
/** A network of both families behind a bridge, masqueraded. */
export const NETWORK = {
  cniVersion: "1.0.0",
  name: "net",
  type: "bridge",
  bridge: "br0",
  isGateway: true,
  ipMasq: true,
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.9.0.0/16" }], [{ subnet: "fd09::/64" }]],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  },
};
export const LEASES = "/var/lib/cni/networks/net";

/** A machine with links to the program in /run/ours, and namespaces for containers. */
export class PluginMachine implements AsyncDisposable {
  private constructor(readonly sandbox: Sandbox) {}

  static async create(types: readonly string[] = ["bridge", "host-local"]): Promise<PluginMachine> {
    const sandbox = await Sandbox.create();
    await sandbox.ok(["mkdir", "-p", "/run/ours", NS]);
    for (const type of types) await sandbox.ok(["ln", "-s", MESOS_CNI, `/run/ours/${type}`]);
    return new PluginMachine(sandbox);
  }

  async namespace(id: string): Promise<void> {
    await this.sandbox.ok(["touch", `${NS}/${id}`]);
    await this.sandbox.ok(["unshare", `--net=${NS}/${id}`, "true"]);
  }

  call(
    command: string,
    id: string,
    config: object,
    directory = "/run/ours",
    prefix: string[] = [],
  ): Promise<Output> {
    const { type } = config as { type: string };
    return this.sandbox.run([...prefix, `${directory}/${type}`], {
      stdin: JSON.stringify(config),
      clearEnv: true,
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        CNI_COMMAND: command,
        CNI_CONTAINERID: id,
        CNI_NETNS: `${NS}/${id}`,
        CNI_IFNAME: "eth0",
        CNI_PATH: directory,
      },
    });
  }

  async ok(...call: Parameters<PluginMachine["call"]>) {
    const { code, stdout, stderr } = await this.call(...call);
    assertEquals(code, 0, stdout + stderr);
    return stdout === "" ? undefined : JSON.parse(stdout);
  }

  /** In the container's network alone: /sys is still the host's. */
  inside(id: string, argv: string[]): Promise<Output> {
    return this.sandbox.run(["nsenter", `--net=${NS}/${id}`, "--", ...argv]);
  }

  async leases(): Promise<string[]> {
    const { stdout } = await this.sandbox.run(["ls", LEASES]);
    return stdout.split("\n").filter((name) => /^[0-9a-f.:]+$/.test(name));
  }

  /** Nothing of containers: no wire, lease or rule. */
  async assertEmpty(): Promise<void> {
    assertEquals(await this.leases(), []);
    const links = await this.sandbox.ok(["ip", "-o", "link"]);
    assert(!links.includes("veth"), links);
    const rules = await this.sandbox.ok([
      "sh",
      "-c",
      "iptables-save; ip6tables-save; nft list ruleset",
    ]);
    assert(!/id: |masquerade comment/.test(rules), rules);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sandbox[Symbol.asyncDispose]();
  }
}
