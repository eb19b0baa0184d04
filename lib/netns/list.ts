/** The list of containers with their networks. */
import type { Registry } from "../cni/plugin_type.ts";
import type { Layout } from "../containers/layout.ts";
import { healthOf } from "./health.ts";
import { type Container, readContainers } from "../containers/inventory.ts";
import { networkAddresses } from "../containers/network_address.ts";
import { troublesOf } from "./troubles.ts";
import { NamespaceView } from "../netlink/view.ts";

/** A line of the list. */
export interface ListedContainer {
  id: string;
  mode: Container["mode"];
  keeper: Container["keeper"];
  networks: { network: string; ifName: string; state: string; addresses: string[] }[];
  ports: string[];
  pid?: number;
  since?: string;
  health: string;
}

/** All containers, by id. */
export async function listContainers(
  layout: Layout,
  plugins: Registry,
): Promise<ListedContainer[]> {
  using host = new NamespaceView();
  const containers = readContainers(layout);
  const troubles = await troublesOf(containers, plugins);
  return containers.map((container) => ({
    id: container.id,
    mode: container.mode,
    keeper: container.keeper,
    networks: container.attachments.map((checkpoint) => ({
      network: checkpoint.network,
      ifName: checkpoint.ifName,
      state: checkpoint.state,
      addresses: networkAddresses(checkpoint).map(({ address, prefixLength }) =>
        `${address}/${prefixLength}`
      ),
    })),
    ports: container.attachments.flatMap(({ portMappings }) =>
      portMappings.map(({ hostPort, containerPort, protocol }) =>
        `${hostPort}:${containerPort}/${protocol}`
      )
    ),
    pid: container.pid,
    since: container.since?.toISOString(),
    health: healthOf(container, host, troubles),
  }));
}
