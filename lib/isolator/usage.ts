/** What a container's interfaces have carried. */
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import { type LinkStatistics, Netlink } from "../netlink/mod.ts";
import { readRequest, type Wire } from "../containers/request.ts";
import type { ContainerId } from "../mesos/container_id.ts";
import type { ResourceStatistics } from "../mesos/messages.ts";
import type { Isolator } from "./isolator.ts";

/**
 * What a wire has carried, seen from the container: by its index, which a new name does not change;
 * if the container has moved it elsewhere, by the agent's end, which receives what it sends.
 */
function carriedBy(inside: Netlink, { index, host }: Wire): LinkStatistics | undefined {
  const own = inside.statisticsOf(index);
  if (own || !host) return own;
  using outside = Netlink.open();
  const other = outside.statisticsOf(host.index);
  return other && {
    ...other,
    rxPackets: other.txPackets,
    txPackets: other.rxPackets,
    rxBytes: other.txBytes,
    txBytes: other.rxBytes,
    rxErrors: other.txErrors,
    txErrors: other.rxErrors,
    rxDropped: other.txDropped,
    txDropped: other.rxDropped,
  };
}

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
  const request = readRequest(layout, id);
  const all = request?.wires
    ? request.wires.flatMap((wire) => carriedBy(netlink, wire) ?? [])
    : netlink.links().filter((link) => names.includes(link.name)).map((link) => link.statistics);
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
