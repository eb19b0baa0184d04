/** The path of a packet through a table: which rule decides over it. */
import { networkBytes, parseAddressBytes } from "../base/ip.ts";
import type { FirewallRule, Negatable, RuleTable } from "./parse.ts";

/** A packet as far as rules look at it. */
export interface Packet {
  protocol: string;
  source: string;
  destination: string;
  destinationPort?: number;
  sourcePort?: number;
  /** Interfaces it came by and leaves by; undefined where it has none. */
  input?: string;
  output?: string;
  /** Whether the destination is an address of the host itself. */
  toHost: boolean;
  state: "NEW" | "ESTABLISHED";
}

/** What becomes of a packet in a chain. */
export interface Verdict {
  /** `ACCEPT`, `DROP`, `REJECT`, `DNAT`, `MASQUERADE`, …; `ACCEPT` at the end of a nat chain. */
  target: string;
  /** The rule that decided; absent for the chain's policy. */
  rule?: FirewallRule;
  /** Rules before it that might have decided, by a match that is not understood here. */
  unsure: FirewallRule[];
}

/** Targets after which the rules go on. */
const PASSING = new Set(["LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "TRACE", "CHECKSUM", "SET"]);

/** Follows a packet through a built-in chain. */
export function walk(table: RuleTable, chain: string, packet: Packet): Verdict {
  const unsure: FirewallRule[] = [];
  const rule = decide(table, chain, packet, unsure, new Set());
  if (rule && rule !== "return") return { target: rule.target!, rule, unsure };
  return { target: table.policies.get(chain) ?? "ACCEPT", unsure };
}

function decide(
  table: RuleTable,
  chain: string,
  packet: Packet,
  unsure: FirewallRule[],
  entered: Set<string>,
): FirewallRule | "return" | undefined {
  // What a chain did not decide the first time, it does not the second; and a circle ends.
  if (entered.has(chain)) return undefined;
  entered.add(chain);
  for (const rule of table.chains.get(chain) ?? []) {
    if (rule.target === undefined || PASSING.has(rule.target)) continue;
    const matched = matches(rule, packet);
    if (matched === false) continue;
    if (matched === "perhaps") {
      unsure.push(rule);
      continue;
    }
    if (rule.target === "RETURN") return "return";
    if (!table.chains.has(rule.target)) return rule;
    const inner = decide(table, rule.target, packet, unsure, entered);
    if (inner && inner !== "return") return inner;
    if (rule.goto) return "return";
  }
  return undefined;
}

/** Whether a rule applies to a packet; `perhaps` if that hangs on a match not decoded. */
function matches(rule: FirewallRule, packet: Packet): boolean | "perhaps" {
  const known = fits(rule.protocol, (value) => value === packet.protocol || value === "all") &&
    fits(rule.source, (value) => within(packet.source, value)) &&
    fits(rule.destination, (value) => within(packet.destination, value)) &&
    fits(rule.input, (value) => isInterface(packet.input, value)) &&
    fits(rule.output, (value) => isInterface(packet.output, value)) &&
    fits(rule.destinationPorts, (value) => inPorts(packet.destinationPort, value)) &&
    fits(rule.sourcePorts, (value) => inPorts(packet.sourcePort, value)) &&
    fits(rule.states, (value) => value.split(",").includes(packet.state)) &&
    fits(rule.destinationType, (value) => value === "LOCAL" && packet.toHost);
  if (!known) return false;
  return rule.unknown.length > 0 ? "perhaps" : true;
}

function fits(match: Negatable | undefined, test: (value: string) => boolean): boolean {
  return match === undefined || test(match.value) !== match.not;
}

/** Whether an address lies in a prefix (without a length: is that address); not in a wrong one. */
export function within(address: string, prefix: string): boolean {
  const bytes = parseAddressBytes(address);
  const [network, mask] = prefix.split("/") as [string, string?];
  const wanted = parseAddressBytes(network);
  const bits = wanted && maskOf(wanted.length, mask);
  if (!bytes || !bits || bytes.length !== wanted.length) return false;
  return bytes.every((byte, i) => ((byte ^ wanted[i]!) & bits[i]!) === 0);
}

/** The mask behind a slash: a length or, as iptables prints one that is no length, an address. */
function maskOf(bytes: number, mask = `${bytes * 8}`): Uint8Array | undefined {
  const dotted = parseAddressBytes(mask);
  if (dotted) return dotted.length === bytes ? dotted : undefined;
  if (!/^\d{1,3}$/.test(mask) || Number(mask) > bytes * 8) return undefined;
  return networkBytes(new Uint8Array(bytes).fill(0xff), Number(mask));
}

function isInterface(name: string | undefined, pattern: string): boolean {
  if (name === undefined) return false;
  return pattern.endsWith("+") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** `80`, `8000:8080`, or several of them separated by commas. */
function inPorts(port: number | undefined, list: string): boolean {
  if (port === undefined) return false;
  return list.split(",").some((range) => {
    const [low, high = low] = range.split(":");
    return port >= Number(low) && port <= Number(high);
  });
}
