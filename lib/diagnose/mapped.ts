/** A port of the agent that leads to the container, and who listens behind it. */
import type { PortMapping } from "../cni/port_mappings.ts";
import type { NetworkAddress } from "../containers/network_address.ts";
import type { JsonObject } from "../base/json.ts";
import type { Uplink } from "../facts/scene.ts";
import type { Listener } from "../netlink/sock_diag.ts";
import type { Ends } from "./journey.ts";

export interface Mapped {
  ends: Ends;
  mapping: PortMapping;
  address: NetworkAddress;
  uplink: Uplink;
  /** The agent's address that the port is mapped on. */
  at: string;
  /** The config of the plugin that maps it. */
  mapper: JsonObject;
}

/** Whether a socket hears what comes to an address. */
export function accepts(
  { address: bound, only6 }: Listener,
  { address, family }: { address: string; family: 4 | 6 },
): boolean {
  if (bound === address) return true;
  return family === 6 ? bound === "::" : bound === "0.0.0.0" || bound === "::" && !only6;
}
