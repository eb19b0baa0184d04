/** What is measured: something that attaches a container with two ports, and detaches it again. */
import type { JsonObject } from "../../lib/base/json.ts";
import type { CniCommand } from "../../lib/cni/invocation.ts";

export type Backend = "iptables" | "nftables";

export interface Peer {
  name: string;
  /** What its caller does before it asks for one or the other: not measured. */
  beforeAttach?(): Promise<void>;
  beforeDetach?(): Promise<void>;
  attach(containerId: string): Promise<void>;
  detach(containerId: string): Promise<void>;
}

/** The namespace of the container, the same for all. */
export const NETNS = "/run/netns/bench";
export const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";

/** The host's ports of a container: two for each peer. */
export function mappings(first: number): { hostPort: number; containerPort: number }[] {
  return [first, first + 1].map((hostPort, i) => ({ hostPort, containerPort: i ? 443 : 80 }));
}

/** A bridge of a peer's own, with addresses for more containers than any benchmark makes. */
export function bridgeConfig(name: string, net: number, backend: Backend): JsonObject {
  return {
    cniVersion: "1.0.0",
    name,
    type: "bridge",
    bridge: name,
    isGateway: true,
    ipMasq: true,
    ipMasqBackend: backend,
    ipam: { type: "host-local", subnet: `10.${net}.0.0/16`, routes: [{ dst: "0.0.0.0/0" }] },
  };
}

/** The variables of a call of a plugin. */
export function environment(
  command: CniCommand,
  containerId: string,
  searchPath: string,
  netns = NETNS,
): Record<string, string> {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: "eth0",
    CNI_PATH: searchPath,
    PATH,
  };
}
