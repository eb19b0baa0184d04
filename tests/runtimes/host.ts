/** An agent's host with what runtimes need: a list of ours, plugins, and a root file system. */
import { until } from "../harness/agent.ts";
import { CNI_PLUGINS, MESOS_CNI } from "../harness/binary.ts";
import { AGENT_ADDRESS, type Outside, Sandbox } from "../harness/sandbox.ts";

/** The list of the documents: a bridge, and the port mapper behind it. */
const LIST = {
  cniVersion: "1.0.0",
  name: "mapped",
  plugins: [
    {
      type: "bridge",
      bridge: "mapped0",
      isGateway: true,
      ipMasq: true,
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "10.50.0.0/24" }]],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
    {
      type: "mesos-cni-port-mapper",
      chain: "CNI-MAPPED",
      excludeDevices: ["mapped0"],
      capabilities: { portMappings: true },
    },
  ],
};

export class RuntimeHost implements AsyncDisposable {
  private constructor(
    readonly agent: Sandbox,
    readonly outside: Outside,
    /** Holds `plugins`, `net.d` and `rootfs`; in the sandbox's /run, where overlays can be. */
    readonly dir: string,
  ) {}

  static async open(): Promise<RuntimeHost> {
    const agent = await Sandbox.create();
    const outside = await agent.outside();
    const host = new RuntimeHost(agent, outside, "/run/runtime");
    await agent.ok(["mkdir", "-p", "/run/lock", `${host.dir}/plugins`, `${host.dir}/net.d`]);
    const plugins = [...Deno.readDirSync(CNI_PLUGINS)].map(({ name }) => `${CNI_PLUGINS}/${name}`);
    await agent.ok(["ln", "-s", ...plugins, `${host.dir}/plugins`]);
    await agent.ok(["ln", "-s", MESOS_CNI, `${host.dir}/plugins/mesos-cni-port-mapper`]);
    await host.write("net.d/mapped.conflist", JSON.stringify(LIST));
    await host.#makeRoot();
    return host;
  }

  /** Writes a file below the directory. */
  async write(path: string, text: string): Promise<string> {
    const file = `${this.dir}/${path}`;
    await this.agent.ok(["tee", file], { stdin: text });
    return file;
  }

  /** busybox with the libraries that it wants, and a page to serve. */
  async #makeRoot(): Promise<void> {
    const root = `${this.dir}/rootfs`;
    const ldd = await this.agent.ok(["ldd", "/usr/bin/busybox"]);
    const libraries = [...ldd.matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file!);
    for (const directory of ["bin", "etc", "proc", "sys", "dev", "tmp", "www"]) {
      await this.agent.ok(["mkdir", "-p", `${root}/${directory}`]);
    }
    await this.agent.ok(["cp", "/usr/bin/busybox", `${root}/bin`]);
    await this.agent.ok(["cp", "--dereference", "--parents", ...libraries, root]);
    await this.write("rootfs/www/index.html", "hello\n");
  }

  /** What another machine gets from a port of the agent, once it answers. */
  async fetch(port: number): Promise<string> {
    const argv = ["curl", "-fsm20", `http://${AGENT_ADDRESS}:${port}/`];
    let page = "";
    await until(async () => {
      const { code, stdout } = await this.outside.run(argv);
      page = stdout;
      return code === 0;
    }, `an answer at port ${port}`);
    return page;
  }

  /** The DNAT rules, veths and leases that containers have left. */
  async left(): Promise<string[]> {
    const nat = await this.agent.ok(["iptables-save", "-t", "nat"]);
    const links = await this.agent.ok(["ip", "-br", "link", "show", "type", "veth"]);
    const leases = await this.agent.run(["find", "/var/lib/cni", "-name", "10.*"]);
    return [
      ...nat.split("\n").filter((line) => line.includes("container_id")),
      ...links.split("\n").filter((line) => line !== "" && !line.startsWith("wan0-")),
      ...leases.stdout.split("\n").filter((line) => line !== ""),
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
  }
}
