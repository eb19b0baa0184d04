/** An inspection as text for a terminal. */
import type { Inspection } from "./inspect.ts";
import type { NextHop, Rule } from "../netlink/mod.ts";
import { age, plain, table } from "./table.ts";

/** Local addresses' own routes and multicast prefixes are the kernel's housekeeping. */
const QUIET_TABLES = new Set(["local"]);
const QUIET_DESTINATIONS = new Set(["ff00::/8"]);

/** @param heading marks the title of a section, such as bold */
export function inspectionText(seen: Inspection, heading: (title: string) => string): string {
  const names = new Map(seen.links.map((link) => [link.index, link.name]));
  const nameOf = (index?: number) => index === undefined ? "-" : names.get(index) ?? `#${index}`;
  const routes = seen.routes.filter((route) =>
    !QUIET_TABLES.has(route.table) && !QUIET_DESTINATIONS.has(route.destination)
  );
  const sections: [title: string, text: string][] = [
    ["container", containerText(seen)],
    [
      "links",
      table(
        ["NAME", "KIND", "STATE", "MTU", "MAC", "RX", "RX DROPPED", "TX", "TX DROPPED"],
        seen.links.map((link) => [
          link.name,
          link.kind ?? "-",
          `${link.flags.includes("UP") ? "up" : "down"}${
            link.carrier || !link.flags.includes("UP") ? "" : ", no carrier"
          }`,
          `${link.mtu}`,
          link.mac ?? "-",
          bytes(link.statistics.rxBytes),
          `${link.statistics.rxDropped}`,
          bytes(link.statistics.txBytes),
          `${link.statistics.txDropped}`,
        ]),
      ),
    ],
    [
      "addresses",
      table(
        ["LINK", "ADDRESS", "SCOPE", "FLAGS"],
        seen.addresses.map((one) => [
          nameOf(one.link),
          `${one.address}/${one.prefixLength}`,
          one.scope,
          one.flags.join(" "),
        ]),
      ),
    ],
    [
      "routes",
      table(
        ["DESTINATION", "GATEWAY", "LINK", "SOURCE", "METRIC", "MTU", "TABLE"],
        routes.flatMap((route) =>
          (route.hops ?? [route]).map((hop) => [
            route.type === "unicast" ? route.destination : `${route.type} ${route.destination}`,
            `${hop.gateway ?? "-"}${route.hops ? ` weight ${(hop as NextHop).weight}` : ""}`,
            nameOf(hop.link),
            route.source ?? "-",
            `${route.metric ?? 0}`,
            route.mtu === undefined ? "-" : `${route.mtu}`,
            route.table,
          ])
        ),
      ),
    ],
    ["policy rules", policyRules(seen.rules)],
    [
      "neighbours",
      table(
        ["ADDRESS", "MAC", "LINK", "STATE"],
        seen.neighbours.filter(({ state }) => state !== "NOARP").map((one) => [
          one.address,
          one.mac ?? "-",
          nameOf(one.link),
          one.state,
        ]),
      ),
    ],
    [
      "sockets",
      table(
        ["PROTOCOL", "LOCAL", "REMOTE", "STATE", "RECV-Q", "SEND-Q", "PROCESS"],
        seen.sockets.map((one) => [
          one.protocol,
          endpoint(one.localAddress, one.localPort),
          one.remotePort ? endpoint(one.remoteAddress, one.remotePort) : "-",
          one.state,
          `${one.receiveQueue}`,
          `${one.sendQueue}`,
          one.process ? `${one.process.pid} ${one.process.name}` : "-",
        ]),
      ),
    ],
    ["rules on the agent for what it sends", (seen.sourceRules ?? []).join("\n")],
    [
      "rules on the agent that lead here",
      (seen.portRules ?? ["none of nftables, and iptables is not installed"]).join("\n"),
    ],
    ["resolv.conf", seen.files.resolvConf ?? ""],
    ["hosts", seen.files.hosts ?? ""],
  ];
  return sections.filter(([, text]) => text.trim() !== "")
    .map(([title, text]) => `${heading(title)}\n${indented(plain(text.trimEnd()))}`)
    .join("\n\n");
}

/** Nothing where there are no others than every namespace has. */
function policyRules(rules: readonly Rule[]): string {
  if (rules.every(isKernelsOwn)) return "";
  const rows = rules.map((rule) => [`${rule.priority}`, selector(rule), action(rule)]);
  return table(["PRIORITY", "RULE", "ACTION"], rows);
}

/** The rules that every namespace has from its birth. */
function isKernelsOwn(rule: Rule): boolean {
  const { priority, table } = rule;
  const wanted = { 0: "local", 32766: "main", 32767: "default" }[priority];
  return table === wanted && selector(rule) === "from all";
}

/** As `ip rule` writes it. */
function selector(rule: Rule): string {
  const ports = (name: string, range?: [number, number]) =>
    range ? [name, range[0] === range[1] ? `${range[0]}` : range.join("-")] : [];
  return [
    ...rule.inverted ? ["not"] : [],
    ...["from", rule.from],
    ...rule.to === "all" ? [] : ["to", rule.to],
    ...rule.inputLink ? ["iif", rule.inputLink] : [],
    ...rule.outputLink ? ["oif", rule.outputLink] : [],
    ...rule.mark ? ["fwmark", rule.mark] : [],
    ...rule.protocol ? ["ipproto", `${rule.protocol}`] : [],
    ...ports("sport", rule.sourcePorts),
    ...ports("dport", rule.destinationPorts),
  ].join(" ");
}

function action({ family, action, table }: Rule): string {
  return `${action}${table ? ` ${table}` : ""}${family === "inet6" ? " (IPv6)" : ""}`;
}

function containerText({ name, netns, pid, container }: Inspection): string {
  const lines = [["name", name], ["namespace", netns], ["pid", pid?.toString() ?? "-"]];
  if (container) {
    lines.push(
      ["health", container.health],
      ["age", age(container.since ? new Date(container.since) : undefined)],
      ["kept by", container.keeper === "agent" ? "a stock agent" : "mesos-cni"],
    );
    for (const one of container.attachments) {
      // A delegate may leave its type to the plugin that calls it.
      const plugins = one.plugins.flatMap((plugin) => plugin.type ?? []).join(" → ");
      const ports = one.portMappings.map(({ hostPort, containerPort, protocol }) =>
        `, port ${hostPort} → ${containerPort}/${protocol}`
      ).join("");
      const trouble = one.problem ? `, ${one.state}: ${one.problem}` : "";
      lines.push([one.ifName, `${one.network} (${plugins || "no config"})${ports}${trouble}`]);
    }
  }
  return lines.map(([key, value]) => `${key!.padEnd(10)} ${value}`).join("\n");
}

function endpoint(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit++;
  }
  return `${unit === 0 ? count : count.toFixed(1)} ${units[unit]}`;
}

function indented(text: string): string {
  return text.split("\n").map((line) => `  ${line}`).join("\n");
}
