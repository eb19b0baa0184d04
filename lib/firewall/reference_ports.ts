/** Host ports that the reference's portmap leads to containers, in either of its backends. */
import type { Family } from "../base/ip.ts";
import { Rules } from "../nft/rules.ts";
import { decodeRule } from "./encode.ts";
import { Firewall } from "./firewall.ts";
import { HOSTPORT_CHAINS, HOSTPORT_TABLE } from "./hostport_table.ts";
import type { FoundRule, Place, TransportProtocol } from "./rule.ts";
import type { FirewallView } from "./view.ts";

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

const TOP_CHAIN = "CNI-HOSTPORT-DNAT";
const FAMILIES: readonly Family[] = [4, 6];

/** What works, as far as it can be seen: rules that nothing leads to are left out. @throws {OperatorError} */
export async function referencePorts(path: string): Promise<ReferencePort[]> {
  const found: ReferencePort[] = [];
  for (const firewall of await Firewall.every(path)) {
    found.push(...inChains(await firewall.look()));
    if (firewall.kinds[4] === "nf_tables") found.push(...inTable());
  }
  return found;
}

/** The backend for iptables: a chain for each container, and jumps whose comment says whose it is. */
function inChains(view: FirewallView): ReferencePort[] {
  return FAMILIES.flatMap((family) => {
    const at = (chain: string): Place => ({ family, table: "nat", chain });
    if (!view.hasChain(at(TOP_CHAIN))) return [];
    const isLed = view.rules(at("PREROUTING")).some((rule) => jumpOf(rule) === TOP_CHAIN);
    if (!isLed) return [];
    const owners = new Map(
      view.rules(at(TOP_CHAIN)).flatMap((rule) => {
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

/** The backend for nftables: rules whose comment is the container's id. */
function inTable(): ReferencePort[] {
  return FAMILIES.flatMap((family) => {
    const rules = new Rules(family === 4 ? "ip" : "ip6");
    if (!rules.hasTable(HOSTPORT_TABLE)) return [];
    return HOSTPORT_CHAINS.flatMap((chain) =>
      rules.list(HOSTPORT_TABLE, chain, (rule) => decodeRule({ family, table: "nat", chain }, rule))
    ).flatMap((rule) => rule.comment ? portOf(rule, { containerId: rule.comment }) : []);
  });
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
