/**
 * From "my task can't reach the database" to the cause: probes along the way of a packet, from
 * the container outwards. What is broken near the container makes everything behind it fail, so
 * the first finding is the cause, and the rest mostly its consequences.
 */
import type { Layout } from "../containers/layout.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import type { Finding, Probe } from "./finding.ts";
import { readContainer } from "../netns/inventory.ts";
import { probeAddresses } from "./probes/address.ts";
import { probeAgent } from "./probes/agent.ts";
import { probeBridges } from "./probes/bridge.ts";
import { probeConntrack } from "./probes/conntrack.ts";
import { probeDns } from "./probes/dns.ts";
import { probeFilter } from "./probes/filter.ts";
import { probeForwarding } from "./probes/forwarding.ts";
import { probeGateways } from "./probes/gateway.ts";
import { probeIpam } from "./probes/ipam.ts";
import { probeLinks } from "./probes/link.ts";
import { probeMtu } from "./probes/mtu.ts";
import { probePorts } from "./probes/ports.ts";
import { probeRoutes } from "./probes/route.ts";
import { probeState } from "./probes/state.ts";
import { probeWayBack } from "./probes/way_back.ts";
import { Scene } from "./scene.ts";
import { requireAlive, type Target } from "../netns/target.ts";

export interface Diagnosis {
  name: string;
  /** No finding is a problem. */
  healthy: boolean;
  /** Problems first, the cause of all before its consequences; then hints. */
  findings: Finding[];
}

export interface DiagnoseOptions {
  /** Where the agent listens, if not on its own address and 5051. */
  agent?: { address: string; port: number };
}

/** The order of the way: namespace, interface, bridge, addresses, routes, gateway, world. */
function probes(options: DiagnoseOptions): Probe[] {
  return [
    probeLinks,
    probeBridges,
    probeAddresses,
    probeRoutes,
    probeWayBack,
    probeGateways,
    probeForwarding,
    probeConntrack,
    probeFilter,
    probePorts,
    probeMtu,
    // An executor that can't register ends the task; a name that is not found may wait.
    probeAgent(options.agent),
    probeDns,
    probeIpam,
  ];
}

/**
 * Finds what is wrong with a container's network.
 *
 * @throws {OperatorError} for what can't be diagnosed at all, such as `host_network`
 */
export async function diagnose(
  layout: Layout,
  target: Target,
  options: DiagnoseOptions = {},
): Promise<Diagnosis> {
  const state = target.id === undefined ? [] : probeState(readContainer(layout, target.id));
  if (target.id !== undefined && !isNamespaceHandle(target.netns)) return diagnosis(target, state);
  requireAlive(target);
  using scene = new Scene(layout, target);
  // None hangs on another's answer, so those that wait for the network wait together.
  const found = await Promise.all(probes(options).map((probe) => probe(scene)));
  return diagnosis(target, [...state, ...found.flat()]);
}

/** What cuts a container off from everything behind it. */
const CUT_OFF = new Set([
  "interface_gone",
  "interface_down",
  "no_carrier",
  "bridge_gone",
  "bridge_down",
  "veth_off_bridge",
  "address_lost",
  "gateway_address_lost",
  "host_route",
  "rp_filter",
  "gateway_silent",
  "gateway_wrong_mac",
]);

/** What is seen behind a cut, whose own usual remedies would lead astray. */
const FOLLOWS = new Set([
  "host_route",
  "rp_filter",
  "gateway_silent",
  "gateway_wrong_mac",
  "agent_unreachable",
  "dns_unreachable",
]);

function withoutFalseTrails(problems: readonly Finding[]): Finding[] {
  const cut = problems.findIndex(({ cause }) => CUT_OFF.has(cause));
  return problems.map((finding, i) =>
    cut >= 0 && i > cut && FOLLOWS.has(finding.cause)
      ? {
        ...finding,
        remedy: "most likely a consequence of the above: repair that, and diagnose once more",
      }
      : finding
  );
}

function diagnosis({ name }: Target, found: readonly Finding[]): Diagnosis {
  const problems = withoutFalseTrails(found.filter(({ level }) => level === "problem"));
  const hints = found.filter(({ level }) => level === "hint");
  return { name, healthy: problems.length === 0, findings: [...problems, ...hints] };
}
