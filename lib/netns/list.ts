/** The list of containers with their networks. */
import type { Layout } from "../containers/layout.ts";
import { healthOf } from "./health.ts";
import { type Container, readContainers, strayEntries } from "./inventory.ts";
import { networkAddresses } from "./network_address.ts";
import { age, plain, table } from "./table.ts";
import { troublesOf } from "./troubles.ts";
import { NamespaceView } from "./view.ts";

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
export async function listContainers(layout: Layout): Promise<ListedContainer[]> {
  using host = new NamespaceView();
  const containers = readContainers(layout);
  const troubles = await troublesOf(containers);
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

/** The list as a table, with a word on what lies beside the containers. */
export function listText(layout: Layout, containers: readonly ListedContainer[]): string {
  const strays = strayEntries(layout).map((name) =>
    `not a container's: ${layout.containers}/${plain(name)}`
  );
  if (containers.length === 0) {
    return [`no containers under ${layout.containers}`, ...strays].join("\n");
  }
  const rows = containers.map((container) => [
    container.id,
    networksText(container),
    container.networks.flatMap(({ addresses }) => addresses).join(" ") || "-",
    plain(container.ports.join(" ")) || "-",
    container.pid?.toString() ?? "-",
    age(container.since ? new Date(container.since) : undefined),
    container.health,
  ]);
  const headings = ["ID", "NETWORKS", "ADDRESSES", "PORTS", "PID", "AGE", "HEALTH"];
  return [table(headings, rows), ...strays].join("\n");
}

function networksText({ mode, networks }: ListedContainer): string {
  if (mode === "host") return "(the agent's network)";
  if (mode === "parent") return "(its parent's)";
  return networks.map(({ ifName, network }) => `${ifName}=${plain(network)}`).join(" ") || "-";
}
