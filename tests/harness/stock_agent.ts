/**
 * A stand-in for a stock Mesos agent's network/cni isolator, which can't run here: it leaves the
 * same directories and files, calls the same plugins with the same configs, and keeps no request.
 */
import { assertEquals } from "@std/assert";
import { CNI_PLUGINS } from "./binary.ts";
import { Namespace, type Sandbox } from "./sandbox.ts";

/** Where a stock agent keeps its checkpoints. */
export const CONTAINERS = "/var/run/mesos/isolators/network/cni";

/** A network's config as an operator writes it. */
export type NetworkConfig = { name: string; type: string; [key: string]: unknown };

export interface PortMapping {
  host_port: number;
  container_port: number;
  protocol?: string;
}

export interface ContainerOptions {
  portMappings?: PortMapping[];
  resolvConf?: string;
  /** Search path of plugins. */
  plugins?: string;
}

/** A container with a process, on networks. */
export class StockContainer extends Namespace {
  /** The addresses that the plugins gave it, without prefix length. */
  readonly addresses: string[] = [];

  private constructor(pid: number, holder: Deno.ChildProcess, readonly id: string) {
    super(pid, holder);
  }

  get dir(): string {
    return `${CONTAINERS}/${this.id}`;
  }

  /** What a stock agent's `isolate` does. */
  static async launch(
    agent: Sandbox,
    id: string,
    networks: NetworkConfig[],
    options: ContainerOptions = {},
  ): Promise<StockContainer> {
    const [pid, holder] = await Namespace.hold(agent.enter([
      "unshare",
      "--net",
      "--mount",
      "--uts",
      "sh",
      "-c",
      'hostname "$1" && echo $$ && exec cat',
      "sh",
      id,
    ]));
    const container = new StockContainer(pid, holder, id);
    const { dir } = container;
    await agent.ok([
      "sh",
      "-ec",
      `mkdir -p ${dir} && touch ${dir}/ns
      mount --bind /proc/${pid}/ns/net ${dir}/ns`,
    ]);
    for (const [i, network] of networks.entries()) {
      await container.#attach(agent, network, `eth${i}`, options);
    }
    await container.#files(options.resolvConf ?? "nameserver 203.0.113.2\n");
    return container;
  }

  async #attach(
    agent: Sandbox,
    network: NetworkConfig,
    ifName: string,
    options: ContainerOptions,
  ): Promise<void> {
    const info = {
      name: network.name,
      ...options.portMappings ? { port_mappings: options.portMappings } : {},
    };
    const config = JSON.stringify({
      ...network,
      args: { "org.apache.mesos": { network_info: info } },
    });
    const directory = `${this.dir}/${network.name}`;
    const plugins = options.plugins ?? CNI_PLUGINS;
    const script = `mkdir -p ${directory}/${ifName}; cat >${directory}/network.conf
      PATH=${plugins}; command -v ${network.type}`;
    const plugin = (await agent.ok(["sh", "-ec", script], { stdin: config })).trim();
    const output = await agent.run([plugin], {
      stdin: config,
      clearEnv: true,
      env: {
        CNI_COMMAND: "ADD",
        CNI_CONTAINERID: this.id,
        CNI_NETNS: `${this.dir}/ns`,
        CNI_IFNAME: ifName,
        CNI_PATH: plugins,
        PATH: Deno.env.get("PATH")!,
      },
    });
    assertEquals(output.code, 0, `${network.type} ADD: ${output.stdout}${output.stderr}`);
    await agent.ok(["tee", `${directory}/${ifName}/network.info`], { stdin: output.stdout });
    const result = JSON.parse(output.stdout);
    for (const ip of [result.ip4?.ip, result.ip6?.ip, ...result.ips?.map(addressOf) ?? []]) {
      if (ip) this.addresses.push(ip.split("/")[0]);
    }
  }

  async #files(resolvConf: string): Promise<void> {
    const { dir, id } = this;
    const hosts = `127.0.0.1 localhost\n${this.addresses[0] ?? "127.0.1.1"} ${id}\n`;
    const script = `cd ${dir}
      printf %s "$1" >hostname; printf %s "$2" >hosts; printf %s "$3" >resolv.conf
      mount --make-rslave /
      for file in hosts hostname resolv.conf; do mount --bind $file /etc/$file; done
      ip link set lo up`;
    await this.ok(["sh", "-ec", script, "sh", `${id}\n`, hosts, resolvConf]);
  }

  /** The path of a checkpoint. */
  checkpoint(network: string, ifName?: string): string {
    return `${this.dir}/${network}/${ifName ? `${ifName}/network.info` : "network.conf"}`;
  }
}

function addressOf(ip: { address: string }): string {
  return ip.address;
}

/** The seed's bridge network under a name, on a bridge and a subnet of its own. */
export function bridgeNetwork(name: string, subnet: string, more: object = {}): NetworkConfig {
  return {
    name,
    type: "bridge",
    bridge: name.replaceAll("-", "").slice(0, 12),
    isGateway: true,
    ipMasq: true,
    ipam: { type: "host-local", subnet, routes: [{ dst: "0.0.0.0/0" }] },
    ...more,
  };
}
