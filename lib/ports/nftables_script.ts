/**
 * The table of the nftables backend and its elements. One lookup leads a packet to its mapping,
 * whether there are ten or ten thousand; one mapping is one element, with its container's comment.
 */
import { type Attachment, commentOf, subnetOf, type Target, targets } from "./mapping.ts";
import { familiesOf } from "./iptables_rules.ts";

export const TABLE = "mesos-cni";

/** An element of a map (with a value) or of a set. */
export interface Element {
  set: string;
  key: readonly (string | number)[];
  value?: readonly (string | number)[];
}

/** Maps and sets by name, with what their keys and values are. */
const SETS: Readonly<{ [name: string]: string }> = {
  // Host port → container, for every address of the host.
  ports4: "typeof meta l4proto . th dport : ip daddr . th dport",
  ports6: "typeof meta l4proto . th dport : ip6 daddr . th dport",
  // The same for one address of the host.
  ports4_at: "typeof ip daddr . meta l4proto . th dport : ip daddr . th dport",
  ports6_at: "typeof ip6 daddr . meta l4proto . th dport : ip6 daddr . th dport",
  // The same for this host's own 127.0.0.0/8, of networks with "snat".
  loopback4: "typeof meta l4proto . th dport : ip daddr . th dport",
  // Ports of the host that packets from a device are not led by.
  excluded4: "typeof iifname . meta l4proto . th dport",
  excluded6: "typeof iifname . meta l4proto . th dport",
  excluded4_at: "typeof iifname . ip daddr . meta l4proto . th dport",
  excluded6_at: "typeof iifname . ip6 daddr . meta l4proto . th dport",
  // Containers' ports whose connections from nearby must come back through this host …
  snat4: "typeof ip daddr . meta l4proto . th dport",
  snat6: "typeof ip6 daddr . meta l4proto . th dport",
  // … and what is nearby: from where, to where.
  nearby4: "typeof ip saddr . ip daddr; flags interval",
  nearby6: "typeof ip6 saddr . ip6 daddr; flags interval",
};

const dnat = (family: 4 | 6, key: string, map: string) =>
  `meta l4proto { tcp, udp, sctp } dnat ip${family === 6 ? "6" : ""} to ${key} map @${map}`;
const PORT = "meta l4proto . th dport";

/** Chains by name: where they are hooked in, and their rules. */
export const CHAINS: Readonly<{ [name: string]: { hook?: string; rules: readonly string[] } }> = {
  mappings: {
    rules: [
      "meta l4proto != { tcp, udp, sctp } return",
      `meta nfproto ipv4 iifname . ${PORT} @excluded4 return`,
      `meta nfproto ipv6 iifname . ${PORT} @excluded6 return`,
      `iifname . ip daddr . ${PORT} @excluded4_at return`,
      `iifname . ip6 daddr . ${PORT} @excluded6_at return`,
      dnat(4, `ip daddr . ${PORT}`, "ports4_at"),
      dnat(6, `ip6 daddr . ${PORT}`, "ports6_at"),
      dnat(4, PORT, "ports4"),
      dnat(6, PORT, "ports6"),
    ],
  },
  prerouting: {
    hook: "type nat hook prerouting priority -100; policy accept;",
    rules: ["fib daddr type local jump mappings"],
  },
  loopback: {
    rules: [dnat(4, `ip daddr . ${PORT}`, "ports4_at"), dnat(4, PORT, "loopback4")],
  },
  output: {
    hook: "type nat hook output priority -100; policy accept;",
    rules: [
      "ip daddr 127.0.0.0/8 goto loopback",
      "ip6 daddr ::1 return",
      "fib daddr type local jump mappings",
    ],
  },
  postrouting: {
    // Before a network's own masquerading, which exempts connections inside its subnet.
    hook: "type nat hook postrouting priority 99; policy accept;",
    rules: [
      `ct status dnat ip saddr . ip daddr @nearby4 ip daddr . ${PORT} @snat4 masquerade`,
      `ct status dnat ip6 saddr . ip6 daddr @nearby6 ip6 daddr . ${PORT} @snat6 masquerade`,
    ],
  },
  guard: {
    // Keeps others from 127.0.0.0/8, which route_localnet would let them reach.
    hook: "type filter hook input priority -10; policy accept;",
    rules: [
      'iifname != "lo" ip daddr 127.0.0.0/8 ct state != { established, related } ct status & dnat != dnat drop',
    ],
  },
};

/** Makes the table, or what of it is missing, and puts its rules as they must be. */
export function tableScript(): string {
  const lines = [`add table inet ${TABLE}`];
  for (const [name, type] of Object.entries(SETS)) {
    const kind = type.includes(" : ") ? "map" : "set";
    lines.push(`add ${kind} inet ${TABLE} ${name} { ${type}; }`);
  }
  for (const [name, { hook }] of Object.entries(CHAINS)) {
    lines.push(`add chain inet ${TABLE} ${name}${hook ? ` { ${hook} }` : ""}`);
    lines.push(`flush chain inet ${TABLE} ${name}`);
  }
  for (const [name, { rules }] of Object.entries(CHAINS)) {
    for (const rule of rules) lines.push(`add rule inet ${TABLE} ${name} ${rule}`);
  }
  return lines.join("\n") + "\n";
}

/** The elements of an attachment. */
export function ownElements(attachment: Attachment): Element[] {
  const elements = familiesOf(attachment).flatMap((family) =>
    targets(attachment, family).flatMap((target) => elementsOf(attachment, target))
  );
  // Two host ports that lead to one container port need one element for the way back.
  const names = elements.map(nameOf);
  return elements.filter((element, index) => names.indexOf(nameOf(element)) === index);
}

function elementsOf({ excludeDevices, snat }: Attachment, target: Target): Element[] {
  const { mapping: { protocol, hostPort, containerPort }, endpoint, hostAddress } = target;
  const { family, address } = endpoint;
  const at = hostAddress === undefined ? [] : [hostAddress];
  const suffix = hostAddress === undefined ? "" : "_at";
  const port = [...at, protocol, hostPort];
  const value = [address, containerPort];
  const elements: Element[] = [{ set: `ports${family}${suffix}`, key: port, value }];
  for (const device of excludeDevices) {
    elements.push({ set: `excluded${family}${suffix}`, key: [device, ...port] });
  }
  if (!snat) return elements;
  elements.push({ set: `snat${family}`, key: [address, protocol, containerPort] });
  // One address of 127.0.0.0/8 is found in ports4_at.
  if (family === 4 && hostAddress === undefined) {
    elements.push({ set: "loopback4", key: port, value });
  }
  return elements;
}

/** What is nearby for an attachment: shared by its network, so it has no comment and stays. */
export function nearbyElements(attachment: Attachment): Element[] {
  if (!attachment.snat) return [];
  return familiesOf(attachment).flatMap((family) =>
    targets(attachment, family).slice(0, 1).flatMap(({ endpoint }) => {
      const subnet = subnetOf(endpoint);
      const elements = [{ set: `nearby${family}`, key: [subnet, subnet] }];
      if (family === 4) elements.push({ set: "nearby4", key: ["127.0.0.0/8", "0.0.0.0/0"] });
      return elements;
    })
  );
}

/** `add element …` for elements of a container. */
export function addScript(elements: readonly Element[], containerId?: string): string {
  const comment = containerId === undefined ? "" : ` comment "${commentOf(containerId)}"`;
  return elements.map((element) =>
    `add element inet ${TABLE} ${element.set} { ${keyText(element)}${comment}` +
    `${element.value ? ` : ${element.value.join(" . ")}` : ""} }\n`
  ).join("");
}

export function deleteScript(elements: readonly Element[]): string {
  return elements.map((element) =>
    `delete element inet ${TABLE} ${element.set} { ${keyText(element)} }\n`
  ).join("");
}

/** A device comes first in the keys that have one; a bare word there could be one of nft's own. */
function keyText({ set, key }: Element): string {
  return key.map((part, index) => set.startsWith("excluded") && index === 0 ? `"${part}"` : part)
    .join(" . ");
}

/** By which two elements are the same. */
export function nameOf({ set, key, value }: Element): string {
  return [set, ...key, ...(value ? ["→", ...value] : [])].join(" ");
}
