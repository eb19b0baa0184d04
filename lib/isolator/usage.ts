/** What a container's interfaces have carried. */
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { Netlink } from "../netlink/mod.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { ResourceStatistics } from "../mesos/messages.ts";
import type { Isolator } from "./isolator.ts";

/**
 * The sum over the interfaces that CNI made for the container; empty without any, and when
 * `--network_cni_metrics=false`.
 */
export function usage({ settings }: Isolator, id: ContainerId): ResourceStatistics {
  const { layout, metrics } = settings;
  const names = layout.listAttachments(id).map((attachment) => attachment.ifName);
  const handle = layout.namespace(id);
  if (!metrics || names.length === 0 || !isNamespaceHandle(handle)) return {};
  using netlink = Netlink.open(handle);
  const all = netlink.links().filter((link) => names.includes(link.name))
    .map((link) => link.statistics);
  const sum = (field: keyof typeof all[number]) =>
    all.reduce((total, statistics) => total + Number(statistics[field]), 0);
  return {
    net_rx_packets: sum("rxPackets"),
    net_rx_bytes: sum("rxBytes"),
    net_rx_errors: sum("rxErrors"),
    net_rx_dropped: sum("rxDropped"),
    net_tx_packets: sum("txPackets"),
    net_tx_bytes: sum("txBytes"),
    net_tx_errors: sum("txErrors"),
    net_tx_dropped: sum("txDropped"),
  };
}
