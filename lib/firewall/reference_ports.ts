/** Host ports that the reference's portmap leads to containers, in either of its backends. */
import { FAMILIES, type Family } from "../base/ip.ts";
import { deleteRule } from "../nft/changes.ts";
import { Rules } from "../nft/rules.ts";
import { TABLE_FAMILY, type TransportProtocol } from "../nft/wire.ts";
import { PORTS_CHAIN } from "./attachment_chains.ts";
import { decodeRule } from "./encode.ts";
import { Firewall } from "./firewall.ts";
import type { FoundRule, Place } from "./rule.ts";
import type { FirewallChange, FirewallView } from "./view.ts";

export interface ReferencePort {
  family: Family;
  protocol: TransportProtocol;
  hostPort: number;
  /** Absent for every address of the host. */
  hostAddress?: string;
  containerId: string;
  /** Its backend for nftables does not say. */
  network?: string;
  to: { address: string; port: number };
}

/** Of the backend for nftables, in ip and ip6: its rules have the container's id as their comment. */
const TABLE = "cni_hostport";
/** Where its rules are that lead to containers. */
const LEADING = ["hostports", "hostip_hostports"];

/** What works, as far as it can be seen: rules that nothing leads to are left out. @throws {OperatorError} */
export async function referencePorts(path: string): Promise<ReferencePort[]> {
  const found: ReferencePort[] = [];
  for (const firewall of await Firewall.every(path)) {
    found.push(...inChains(await firewall.look()));
    if (firewall.kinds[4] === "nf_tables") found.push(...tablePorts());
  }
  return found;
}

/** The backend for iptables: a chain for each container, and jumps whose comment says whose it is. */
function inChains(view: FirewallView): ReferencePort[] {
  return FAMILIES.flatMap((family) => {
    const at = (chain: string): Place => ({ family, table: "nat", chain });
    if (!view.hasChain(at(PORTS_CHAIN))) return [];
    const isLed = view.rules(at("PREROUTING")).some((rule) => jumpOf(rule) === PORTS_CHAIN);
    if (!isLed) return [];
    const owners = new Map(
      view.rules(at(PORTS_CHAIN)).flatMap((rule) => {
        const [, network, containerId] =
          /^dnat name: "([^"]+)" id: "([^"]+)/.exec(rule.comment ?? "") ?? [];
        const chain = jumpOf(rule);
        return chain && network && containerId ? [[chain, { network, containerId }] as const] : [];
      }),
    );
    return [...owners].flatMap(([chain, owner]) =>
      view.rules(at(chain)).flatMap((rule) => portOf(rule, owner))
    );
  });
}

/** Of the backend for nftables. @throws {SystemError} */
export function tablePorts(): ReferencePort[] {
  return FAMILIES.flatMap((family) =>
    LEADING.flatMap((chain) =>
      new Rules(TABLE_FAMILY[family])
        .list(TABLE, chain, (rule) => decodeRule({ family, table: "nat", chain }, rule))
    ).flatMap((rule) => rule.comment ? portOf(rule, { containerId: rule.comment }) : [])
  );
}

/** Removes what the backend for nftables has of a container. @throws {SystemError} */
export function removeTablePorts(containerId: string): FirewallChange[] {
  return FAMILIES.map((family) => new Rules(TABLE_FAMILY[family])).flatMap((rules) =>
    [...LEADING, "masquerading"].flatMap((chain) => rules.withComment(TABLE, chain, containerId))
      .map((rule) => ({ nft: deleteRule(rules.family, rule) }))
  );
}

function jumpOf({ target }: FoundRule): string | undefined {
  return target && "jump" in target ? target.jump : undefined;
}

function portOf(
  { family, port, destination, target }: FoundRule,
  owner: { containerId: string; network?: string },
): ReferencePort[] {
  if (!port || !target || !("dnat" in target)) return [];
  const hostAddress = destination && { hostAddress: destination.address };
  const { protocol, number: hostPort } = port;
  return [{ ...owner, ...hostAddress, family, protocol, hostPort, to: target.dnat }];
}
