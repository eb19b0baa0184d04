/** The reference: Go's `bridge` and `portmap`, called one after the other as libcni does. */
import type { JsonObject } from "../../lib/base/json.ts";
import type { CniCommand } from "../../lib/cni/invocation.ts";
import { runProgram } from "../timing.ts";
import { type Backend, bridgeConfig, environment, mappings, type Peer } from "./peer.ts";

/** Debian's; a newer build has the backend nftables as well. */
export const GO_PLUGINS = Deno.env.get("GO_PLUGINS") ?? "/usr/lib/cni";

export function goChain(backend: Backend): Peer {
  const net = backend === "iptables" ? 54 : 55;
  const bridge = bridgeConfig(`go-${backend}`, net, backend);
  const portmap: JsonObject = {
    cniVersion: "1.0.0",
    name: `go-${backend}`,
    type: "portmap",
    backend,
    runtimeConfig: {
      portMappings: mappings(2_000 + 10 * net).map((one) => ({ ...one, protocol: "tcp" })),
    },
  };
  let prevResult: JsonObject = {};
  return {
    name: `Go's bridge and portmap, ${backend}`,
    async attach(id) {
      prevResult = JSON.parse(await call("bridge", "ADD", id, bridge));
      prevResult = JSON.parse(await call("portmap", "ADD", id, { ...portmap, prevResult }));
    },
    async detach(id) {
      await call("portmap", "DEL", id, { ...portmap, prevResult });
      await call("bridge", "DEL", id, { ...bridge, prevResult });
    },
  };
}

function call(plugin: string, command: CniCommand, id: string, config: JsonObject) {
  return runProgram(`${GO_PLUGINS}/${plugin}`, [], {
    clearEnv: true,
    env: environment(command, id, GO_PLUGINS),
    stdin: JSON.stringify(config),
  });
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
