/** The service as its callers meet it: prepare, isolate and cleanup over its unix socket. */
import type { JsonObject } from "../../lib/base/json.ts";
import { Containerizer } from "../../tests/harness/containerizer.ts";
import type { Namespace } from "../../tests/harness/sandbox.ts";
import { Service } from "../../tests/harness/service.ts";
import { layPlugins, OWN_PLUGINS, wrapping } from "./ours.ts";
import { type Backend, mappings, PATH, type Peer } from "./peer.ts";

/** The namespaces of the benchmark itself, in which its peers work too. */
export const HERE: Pick<Namespace, "spawn"> = {
  spawn: ([command, ...args], { env, clearEnv, cwd } = {}) =>
    new Deno.Command(command!, {
      ...{ args, env, clearEnv, cwd },
      ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
    }).spawn(),
};

/** What the second octet of a network's addresses is. */
const NETS: Readonly<Record<Backend, number>> = { iptables: 50, nftables: 51 };

export class Served implements AsyncDisposable {
  #attached = 0;

  private constructor(
    readonly service: Service,
    readonly containerizer: Containerizer,
    private readonly dir: string,
  ) {}

  /** A service that was just started, with a network of each backend, whose bridges have these fields too. */
  static async start(bridge: JsonObject = {}): Promise<Served> {
    const dir = await Deno.makeTempDir({ prefix: "mesos-cni-bench-" });
    await layPlugins();
    await Deno.mkdir(`${dir}/networks`);
    for (const backend of ["iptables", "nftables"] as const) {
      const config: JsonObject = wrapping(networkOf(backend), NETS[backend], backend);
      delete config.runtimeConfig; // which is the isolator's to write
      config.delegate = { ...config.delegate as JsonObject, ...bridge };
      await Deno.writeTextFile(`${dir}/networks/${backend}.conf`, JSON.stringify(config));
    }
    const service = await Service.start(HERE, `${dir}/isolator.sock`, [
      `--network_cni_config_dir=${dir}/networks`,
      `--network_cni_plugins_dir=${OWN_PLUGINS}`,
    ], { clearEnv: true, env: { PATH } });
    return new Served(service, new Containerizer(HERE), dir);
  }

  /** The first process of a container, which the containerizer starts before it asks. */
  ready(): Promise<number> {
    return this.containerizer.start();
  }

  async attach(id: string, backend: Backend, firstPort: number, pid: number): Promise<void> {
    const network_infos = [{
      name: networkOf(backend),
      port_mappings: mappings(firstPort).map(({ hostPort, containerPort }) => ({
        host_port: hostPort,
        container_port: containerPort,
      })),
    }];
    await this.service.ok(`/v1/containers/${id}/prepare`, { container_info: { network_infos } });
    await this.service.ok(`/v1/containers/${id}/isolate`, { pid });
    this.#attached++;
  }

  /** As a container ends before it is cleaned up. */
  end(pid: number): Promise<void> {
    return this.containerizer.end(pid);
  }

  async detach(id: string): Promise<void> {
    await this.service.ok(`/v1/containers/${id}/cleanup`);
  }

  /** As a peer that is measured by turns with others. */
  peer(backend: Backend): Peer {
    let pid = 0;
    return {
      name: servedName(backend),
      beforeAttach: async () => void (pid = await this.ready()),
      attach: (id) => this.attach(id, backend, 2_000 + 10 * NETS[backend], pid),
      detach: (id) => this.detach(id),
      beforeDetach: () => this.end(pid),
    };
  }

  /** What was measured has to be what the service did. */
  async verify(): Promise<void> {
    const { text } = await this.service.get("/metrics");
    const counts = text.matchAll(/^mesos_cni_attaches_total\{[^}]*\} (\d+)$/gm);
    const did = [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
    if (did !== this.#attached || did === 0) {
      throw new Error(`the service attached ${did}, and ${this.#attached} were measured`);
    }
  }

  /** The memory of the service, in MiB. */
  memory(): number {
    const status = Deno.readTextFileSync(`/proc/${this.service.pid}/status`);
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.containerizer[Symbol.asyncDispose]();
    await this.service[Symbol.asyncDispose]();
    await Deno.remove(this.dir, { recursive: true });
  }
}

export function servedName(backend: Backend): string {
  return `ours, in the service, ${backend}`;
}

/** A network, and the bridge that it is on. */
export function networkOf(backend: Backend): string {
  return `svc-${backend}`;
}
