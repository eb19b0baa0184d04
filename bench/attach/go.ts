/** A list of `bridge` and `portmap`, called one after the other as libcni does: Go's, and ours. */
import type { JsonObject } from "../../lib/base/json.ts";
import type { CniCommand } from "../../lib/cni/invocation.ts";
import { runProgram } from "../timing.ts";
import { layPlugins, OWN_PLUGINS } from "./ours.ts";
import { type Backend, bridgeConfig, environment, mappings, NETNS, type Peer } from "./peer.ts";

/** Debian's; a newer build has the backend nftables as well. */
export const GO_PLUGINS = Deno.env.get("GO_PLUGINS") ?? "/usr/lib/cni";

/** A list of both types on a bridge of its own, from plugins in a directory. */
export class Chain {
  readonly #bridge: JsonObject;
  readonly #portmap: JsonObject;
  /** What ADD has said, by container. */
  readonly #results = new Map<string, JsonObject>();

  constructor(private readonly dir: string, name: string, net: number, backend: Backend) {
    this.#bridge = bridgeConfig(name, net, backend);
    this.#portmap = { cniVersion: "1.0.0", name, type: "portmap", backend };
  }

  async attach(id: string, firstPort: number, netns = NETNS): Promise<void> {
    const bridged = JSON.parse(await this.#call("bridge", "ADD", id, netns, this.#bridge));
    const portmap = { ...this.#mapping(firstPort), prevResult: bridged };
    this.#results.set(id, JSON.parse(await this.#call("portmap", "ADD", id, netns, portmap)));
  }

  async detach(id: string, firstPort: number, netns = NETNS): Promise<void> {
    const prevResult = this.#results.get(id)!;
    this.#results.delete(id);
    const portmap = { ...this.#mapping(firstPort), prevResult };
    await this.#call("portmap", "DEL", id, netns, portmap);
    await this.#call("bridge", "DEL", id, netns, { ...this.#bridge, prevResult });
  }

  #mapping(firstPort: number): JsonObject {
    const portMappings = mappings(firstPort).map((one) => ({ ...one, protocol: "tcp" }));
    return { ...this.#portmap, runtimeConfig: { portMappings } };
  }

  #call(plugin: string, command: CniCommand, id: string, netns: string, config: JsonObject) {
    return runProgram(`${this.dir}/${plugin}`, [], {
      clearEnv: true,
      env: environment(command, id, this.dir, netns),
      stdin: JSON.stringify(config),
    });
  }
}

export function goChain(backend: Backend): Peer {
  const net = backend === "iptables" ? 54 : 55;
  return peerOf(
    `Go's bridge and portmap, ${backend}`,
    new Chain(GO_PLUGINS, `go-${backend}`, net, backend),
    net,
  );
}

/** The same list by our file, which is started for each of the two. */
export async function ownChain(): Promise<Peer> {
  await layPlugins();
  const net = 59;
  const chain = new Chain(OWN_PLUGINS, "own-list", net, "iptables");
  return peerOf("ours, a list of bridge and portmap, iptables", chain, net);
}

function peerOf(name: string, chain: Chain, net: number): Peer {
  const firstPort = 2_000 + 10 * net;
  return {
    name,
    attach: (id) => chain.attach(id, firstPort),
    detach: (id) => chain.detach(id, firstPort),
  };
}

/** Rules of other containers in the table of Go's backend nftables, in the form that it writes. */
export async function mapOthersOfGo(count: number): Promise<void> {
  const rules = Array.from(
    { length: count },
    (_, i) =>
      `add rule ip cni_hostport hostports tcp dport ${20_000 + i} ` +
      `dnat to 10.61.${i >> 8}.${i & 255}:80 comment "other-${i}"`,
  );
  await runProgram("nft", ["-f", "-"], { stdin: rules.join("\n") + "\n" });
}
