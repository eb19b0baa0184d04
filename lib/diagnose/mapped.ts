/** A port of the agent that leads to the container, and who listens behind it. */
import type { PortMapping } from "../containers/checkpoint.ts";
import type { NetworkAddress } from "../containers/network_address.ts";
import { type SocketEntry, sockets } from "../netlink/sockets.ts";
import type { Ends } from "./journey.ts";
import type { Attached, Scene, Uplink } from "./scene.ts";

/** The plugins that map ports. */
export const MAPPERS = ["mesos-cni-port-mapper", "portmap"];

export interface Mapped {
  attached: Attached;
  ends: Ends;
  mapping: PortMapping;
  address: NetworkAddress;
  uplink: Uplink;
  /** The agent's address that the port is mapped on. */
  at: string;
  snat: boolean;
}

/** The sockets in the container that wait on a mapping's port, on whatever address. */
export function listenersOf(
  { inside }: Scene,
  { protocol, containerPort }: PortMapping,
): SocketEntry[] {
  return sockets(inside).filter((one) =>
    one.protocol === protocol && one.localPort === containerPort &&
    (one.state === "LISTEN" || one.state === "UNCONN")
  );
}

/** Whether a socket hears what comes to an address. */
export function accepts(
  { localAddress }: SocketEntry,
  { address, family }: { address: string; family: 4 | 6 },
): boolean {
  return localAddress === address || localAddress === "::" ||
    (family === 4 && localAddress === "0.0.0.0");
}
