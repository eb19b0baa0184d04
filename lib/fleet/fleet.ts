/** Many agents beside each other, from what each has printed by `status --json`: statuses in, a report out. */
import * as v from "valibot";
import { messageOf } from "../base/error.ts";
import { parseJson } from "../base/json.ts";
import { parse } from "../mesos/messages.ts";
import { contains, overlaps, parseAddress, parsePrefix, type Prefix } from "../base/prefix.ts";

const cause = v.looseObject({ code: v.string(), text: v.string(), remedy: v.string() });
const container = v.looseObject({
  id: v.string(),
  networks: v.array(v.string()),
  addresses: v.array(v.string()),
  ports: v.array(v.string()),
});

/** What is needed of a status; all else may be another version's. */
const statusSchema = v.looseObject({
  version: v.string(),
  host: v.string(),
  time: v.string(),
  healthy: v.boolean(),
  firewall: v.looseObject({ kind: v.optional(v.string(), "unknown") }),
  networks: v.looseObject({
    configs: v.array(v.looseObject({ network: v.string(), sha256: v.string() })),
    ranges: v.array(
      v.looseObject({ network: v.string(), subnet: v.string(), isMasqueraded: v.boolean() }),
    ),
    skipped: v.array(v.looseObject({ file: v.string(), reason: v.string() })),
  }),
  plugins: v.array(v.looseObject({ type: v.string(), program: v.string(), version: v.string() })),
  containers: v.looseObject({
    count: v.number(),
    unwell: v.array(v.looseObject({ id: v.string(), causes: v.array(cause) })),
    all: v.array(container),
  }),
  causes: v.array(cause),
});
type Status = v.InferOutput<typeof statusSchema>;

export type FleetReport = ReturnType<typeof fleetReport>;

/** @param files each with the text of a status; of one agent, the last one counts */
export function fleetReport(files: readonly { file: string; text?: string; problem?: string }[]) {
  const unread: { file: string; reason: string }[] = [];
  const byHost = new Map<string, Status>();
  for (const { file, text, problem } of files) {
    try {
      if (text === undefined) throw new Error(problem);
      const status = parse(statusSchema, parseJson(text), "it is no output of status --json");
      const before = byHost.get(status.host);
      if (!before || before.time <= status.time) byHost.set(status.host, status);
    } catch (error) {
      unread.push({ file, reason: messageOf(error) });
    }
  }
  const agents = [...byHost.values()].sort((a, b) => a.host < b.host ? -1 : 1);
  return {
    agents: agents.map((one) => ({
      host: one.host,
      time: one.time,
      version: one.version,
      healthy: one.healthy,
      containers: one.containers.count,
      unwell: one.containers.unwell.length,
      causes: [...new Set(causesOf(one).map(({ code }) => code))],
    })),
    /** Files that are no status, and why. */
    unread,
    /** What is wrong, by its code, what most agents have first. */
    causes: causesIn(agents),
    /** What is not the same everywhere: the value that most have first. */
    differences: differencesIn(agents),
    /** Subnets that others see, and that two agents give out. */
    overlaps: overlapsIn(agents),
    /** Addresses that others see, and ports of one agent, that two containers have. */
    twice: [...addressesTwice(agents), ...agents.flatMap(portsTwice)],
    healthy: unread.length === 0 && agents.every(({ healthy }) => healthy),
  };
}

function causesOf({ causes, containers }: Status) {
  return [...causes, ...containers.unwell.flatMap(({ causes }) => causes)];
}

function causesIn(agents: readonly Status[]) {
  const all = Map.groupBy(
    agents.flatMap((agent) => causesOf(agent).map((one) => ({ ...one, host: agent.host }))),
    ({ code }) => code,
  );
  return [...all].map(([code, found]) => {
    const hosts = [...new Set(found.map(({ host }) => host))];
    const of = agents.filter(({ host }) => hosts.includes(host));
    const ill = of.flatMap(({ containers }) => containers.unwell)
      .filter(({ causes }) => causes.some((one) => one.code === code));
    const { text, remedy } = found[0]!;
    return { code, text, remedy, agents: hosts, containers: ill.length };
  }).sort((a, b) => b.agents.length - a.agents.length);
}

function differencesIn(agents: readonly Status[]) {
  const facts = agents.flatMap((agent) =>
    [
      { what: "version", value: agent.version },
      { what: "firewall", value: agent.firewall.kind },
      // A network that an agent does not have differs as well.
      ...namesOf(agents).map((network) => ({
        what: `config of ${network}`,
        value: agent.networks.configs.find((one) => one.network === network)?.sha256 ?? "none",
      })),
      ...agent.plugins.map(({ type, program, version }) => ({
        what: `plugin ${type}`,
        value: `${program} ${version}`.trimEnd(),
      })),
    ].map((one) => ({ ...one, host: agent.host }))
  );
  return [...Map.groupBy(facts, ({ what }) => what)].map(([what, all]) => ({
    what,
    values: [...Map.groupBy(all, ({ value }) => value)]
      .map(([value, same]) => ({ value, agents: same.map(({ host }) => host) }))
      .sort((a, b) => b.agents.length - a.agents.length),
  })).filter(({ values }) => values.length > 1);
}

function namesOf(agents: readonly Status[]): string[] {
  return [
    ...new Set(agents.flatMap(({ networks }) => networks.configs.map(({ network }) => network))),
  ];
}

interface Range {
  host: string;
  subnet: string;
  span: Prefix;
}

/** The subnets that others see, each once an agent. */
function seenRanges({ host, networks }: Status): Range[] {
  const seen = networks.ranges.filter(({ isMasqueraded }) => !isMasqueraded);
  return [...new Set(seen.map(({ subnet }) => subnet))].flatMap((subnet) => {
    const span = parsePrefix(subnet);
    return span ? [{ host, subnet, span }] : [];
  });
}

function overlapsIn(agents: readonly Status[]) {
  const groups: Range[][] = [];
  for (const [a, b] of overlaps(agents.flatMap(seenRanges))) {
    const group = groups.find((one) => one.includes(a));
    if (group) group.push(b);
    else groups.push([a, b]);
  }
  return groups.map((all) => ({
    subnets: [...new Set(all.map(({ subnet }) => subnet))],
    agents: [...new Set(all.map(({ host }) => host))],
  })).filter(({ agents }) => agents.length > 1);
}

function addressesTwice(agents: readonly Status[]) {
  const given = agents.flatMap(({ host, networks, containers }) => {
    const hidden = networks.ranges.filter(({ isMasqueraded }) => isMasqueraded)
      .map(({ subnet }) => parsePrefix(subnet)).filter((one) => one !== undefined);
    return containers.all.flatMap(({ id, addresses }) =>
      addresses.filter((text) => {
        const address = parseAddress(text);
        return address && !hidden.some((network) => contains(network, address));
      }).map((address) => ({ what: address, who: `${host} ${id}` }))
    );
  });
  return twice(given);
}

function portsTwice({ host, containers }: Status) {
  return twice(
    containers.all.flatMap(({ id, ports }) =>
      [...new Set(ports)].map((port) => ({ what: `port ${port} of ${host}`, who: `${host} ${id}` }))
    ),
  );
}

function twice(given: readonly { what: string; who: string }[]) {
  return [...Map.groupBy(given, ({ what }) => what)]
    .map(([what, all]) => ({ what, containers: [...new Set(all.map(({ who }) => who))] }))
    .filter(({ containers }) => containers.length > 1);
}
