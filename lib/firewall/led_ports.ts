/**
 * Which host ports the rules of this host lead where, and who owns each: one reader of all the ways to
 * write that, those of the port mapper (this one's and the original), and of the reference's portmap.
 */
import { FAMILIES, type Family } from "../base/ip.ts";
import { cString } from "../kernel/libc.ts";
import { deleteRule } from "../nft/changes.ts";
import { Rules } from "../nft/rules.ts";
import { readElements, type SetElement } from "../nft/sets.ts";
import { PROTOCOL_NUMBERS, TABLE_FAMILY, type TransportProtocol } from "../nft/wire.ts";
import { decodeRule } from "./encode.ts";
import { Firewall } from "./firewall.ts";
import { NamedPorts } from "./named_ports.ts";
import { type Named, namedIn } from "./owner.ts";
import { NFT_TABLE, SETS, TABLE } from "./port_table.ts";
import { type FoundRule, jumpOf, type Place, ruleLine, singleOf } from "./rule.ts";
import type { FirewallChange, FirewallView } from "./view.ts";

export interface LedPort {
  family: Family;
  protocol: TransportProtocol;
  hostPort: number;
  /** Absent for every address of the host. */
  hostAddress?: string;
  to: { address: string; port: number };
  /** Whether it leads on but some of what is for that port. */
  isNarrow?: true;
  /** Absent where no comment says whose it is. */
  owner?: Named;
  /** Whose rules have a form of their own; else they are a port mapper's, or a stranger's. */
  by?: "portmap";
  backend: "iptables" | "nftables";
  /** Of iptables. */
  chain: string;
  /** As `iptables -S` prints it; an element as `nft list ruleset` does, behind its map's name. */
  rule: string;
}

/** Which of them are looked for. */
export interface Scope {
  /** Chains of nat that are looked at also where nothing leads to them. */
  also?: Iterable<string>;
  /** Only those of the reference's portmap for these host ports, for which few rules are read. */
  portmap?: readonly number[];
}

/** Of the reference's portmap: the jumps to the containers' chains. */
export const PORTS_CHAIN = "CNI-HOSTPORT-DNAT";
/** Of its backend for nftables: its rules have the container's id as their comment. */
const PORTS_TABLE = "cni_hostport";
const portsTable = (family: Family) => ({ family: TABLE_FAMILY[family], name: PORTS_TABLE });
/** What that names, for as long as this process lives. */
const portmapPorts = new NamedPorts(cString(PORTS_TABLE));
/** Where its rules are that lead to containers. */
const LEADING = ["hostports", "hostip_hostports"];

/** What works, as far as it can be seen, in every kind of iptables and in tables. @throws {OperatorError} */
export async function ledPorts(path: string, scope: Scope = {}): Promise<LedPort[]> {
  const found: LedPort[] = [];
  for (const firewall of await Firewall.every(path)) {
    found.push(...inChains(await firewall.look(), scope));
    if (firewall.kinds[4] !== "nf_tables") continue;
    found.push(...scope.portmap ? portmapTables(scope.portmap) : tablePorts());
  }
  return found;
}

/** In the chains that packets to this host are led to. */
function inChains(view: FirewallView, { also = [], portmap }: Scope): LedPort[] {
  return FAMILIES.flatMap((family) => {
    const at = (chain: string): Place => ({ family, table: "nat", chain });
    if (portmap && !view.hasChain(at(PORTS_CHAIN))) return [];
    const led = ["PREROUTING", "OUTPUT"].flatMap((chain) => view.rules(at(chain)))
      .flatMap((rule) => jumpOf(rule) ?? []);
    const chains = portmap ? led.filter((chain) => chain === PORTS_CHAIN) : [...led, ...also];
    return [...new Set(chains)].flatMap((chain) => portsIn(view, at(chain)));
  });
}

/** @param owner as the jump to the chain says it */
function portsIn(view: FirewallView, place: Place, owner?: Named): LedPort[] {
  return view.rules(place).flatMap((rule) => {
    const named = namedIn(rule.comment) ?? owner;
    const to = jumpOf(rule);
    if (to === undefined) return portOf(rule, { owner: named, by: owner && "portmap" });
    // The reference has a chain for each container.
    return place.chain === PORTS_CHAIN && named
      ? portsIn(view, { ...place, chain: to }, named)
      : [];
  });
}

function portOf(
  rule: FoundRule,
  more: Pick<LedPort, "owner" | "by"> & Partial<LedPort>,
): LedPort[] {
  const { family, port, destination, source, inDevice, unknown, target, chain } = rule;
  if (!port || !target || !("dnat" in target)) return [];
  const hostAddress = singleOf(destination);
  // What does not come by a device is of anybody else.
  const isNarrow = source || inDevice && !inDevice.not || unknown.length > 0 ||
    destination && hostAddress === undefined;
  return [{
    ...{ family, protocol: port.protocol, hostPort: port.number, to: target.dnat },
    ...hostAddress === undefined ? {} : { hostAddress },
    ...isNarrow ? { isNarrow: true as const } : {},
    ...{ backend: "iptables", chain, rule: ruleLine(rule), ...more },
  }];
}

/** In tables of nf_tables that are no iptables'. @throws {SystemError} */
export function tablePorts(): LedPort[] {
  return [
    ...FAMILIES.flatMap((family) =>
      [`ports${family}`, `ports${family}_at`].flatMap((map) =>
        readElements(NFT_TABLE, SETS.get(map)!).flatMap((element) =>
          ofElement(family, map, element)
        )
      )
    ),
    ...portmapTables(),
  ];
}

function ofElement(family: Family, map: string, element: SetElement): LedPort[] {
  const { key, value, comment } = element;
  const [port, protocol, hostAddress] = [...key].reverse();
  if (!value || !Object.hasOwn(PROTOCOL_NUMBERS, protocol!)) return [];
  const mark = comment === undefined ? "" : ` comment "${comment}"`;
  return [{
    ...{ family, protocol: protocol as TransportProtocol, hostPort: Number(port) },
    ...hostAddress === undefined ? {} : { hostAddress: String(hostAddress) },
    to: { address: String(value[0]), port: Number(value[1]) },
    owner: namedIn(comment),
    ...{ backend: "nftables", chain: "" },
    rule: `map inet ${TABLE} ${map}: ${key.join(" . ")}${mark} : ${value.join(" . ")}`,
  }];
}

/**
 * Of the reference's backend for nftables.
 *
 * @param ports only those for these
 * @throws {SystemError}
 */
function portmapTables(ports?: readonly number[]): LedPort[] {
  const read = (isWanted?: (bytes: Uint8Array) => boolean) =>
    FAMILIES.flatMap((family) =>
      LEADING.flatMap((chain) =>
        new Rules(portsTable(family)).list(
          chain,
          (rule) => decodeRule({ family, table: "nat", chain }, rule),
          isWanted,
        )
      )
    );
  return (ports ? portmapPorts.find(ports, read) : read()).flatMap((rule) =>
    !rule.comment ? [] : portOf(rule, {
      ...{ owner: { containerId: rule.comment }, by: "portmap", backend: "nftables", chain: "" },
      rule: `table ${TABLE_FAMILY[rule.family]} ${PORTS_TABLE}: ${ruleLine(rule)}`,
    })
  );
}

/** Removes what the reference's backend for nftables has of a container. @throws {SystemError} */
export function removeTablePorts(containerId: string): FirewallChange[] {
  return FAMILIES.map((family) => new Rules(portsTable(family))).flatMap((rules) =>
    [...LEADING, "masquerading"].flatMap((chain) => rules.withComment(chain, containerId))
      .map((rule) => ({ nft: deleteRule(rules.table, rule) }))
  );
}
