/** Name resolution: what the answers of a server say, and what the container's configuration does. */
import { isAddress } from "../../base/ip.ts";
import { listeners } from "../../netlink/sock_diag.ts";
import { type Finding, inNetns, problem, shellText } from "../finding.ts";
import { BRIEF, whoHas } from "../packets/arp.ts";
import { explained } from "../packets/outcome.ts";
import { isWithoutServer } from "./resolv_conf.ts";
import type { Resolver } from "../resolver.ts";
import type { Scene } from "../scene.ts";

/** What is wrong with resolv.conf and nsswitch.conf, whoever is asked. */
export function resolverReasons(scene: Scene, { servers, file, lookups }: Resolver): Finding[] {
  const { name } = scene;
  const isMeantOutside = scene.interfaces.some(({ checkpoint }) =>
    (checkpoint?.result?.routes.length ?? 0) > 0
  );
  const found: Finding[] = [];
  if (servers.length === 0 && isMeantOutside && !isWithoutServer(scene)) {
    found.push(problem(
      "no_nameserver",
      ["dns", "container"],
      `the resolv.conf of ${name} names no server`,
      [`${file} has no line "nameserver"`],
      'give the network a server by its "dns", or all containers one by --default_container_dns',
    ));
  }
  for (const server of servers.filter((one) => !isAddress(one.split("%")[0]!))) {
    found.push(problem(
      "bad_nameserver",
      ["dns", "container"],
      `the resolv.conf of ${name} names ${JSON.stringify(server)}, which is no address`,
      [`${file}: nameserver ${server}`],
      "correct it; a resolver passes over such a line",
    ));
  }
  if (lookups !== undefined && !lookups.some((one) => ["dns", "resolve"].includes(one))) {
    found.push(problem(
      "no_dns_lookup",
      ["dns", "container"],
      `the nsswitch.conf of ${name} has no dns for hosts, so programs ask no server`,
      [`/etc/nsswitch.conf: hosts: ${lookups.join(" ")}`],
      "add dns to that line",
    ));
  }
  return found;
}

/** @param outcome what the question ended with */
export async function dnsReasons(
  scene: Scene,
  server: string,
  { servers, timeout, ndots, file }: Resolver,
  outcome: string,
): Promise<Finding[]> {
  const { name } = scene;
  const of = servers.length > 1
    ? [`it is one of ${servers.length} servers: ${servers.join(", ")}`]
    : [];
  const seen = [
    `asked for the root and for example.com, the outcome is: ${explained(outcome)}`,
    ...of,
  ];
  const isOwn = scene.host.ownerOf(server) !== undefined;
  const place = isOwn ? "agent" as const : "outside" as const;
  const [word, domain] = outcome.split(" ") as [string, string?];
  const here = scene.inside.ownerOf(server);
  if (here && here.kind !== "loopback" || here && !server.startsWith("127.") && server !== "::1") {
    const at = scene.inside.addressesOf(here).find(({ address }) => address === server)!;
    const command = inNetns(
      scene.inside.netns,
      ...["ip", "address", "del", `${server}/${at.prefixLength}`, "dev", here.name],
    );
    return [problem(
      "duplicate_address",
      ["duplicate", "container"],
      `${name} has the address of its DNS server, ${server}, itself, on ${here.name}: it asks itself`,
      seen,
      shellText(command),
      { what: `take ${server} off ${here.name}`, commands: [command] },
    )];
  }
  if (server.startsWith("127.") || server === "::1") {
    return [problem(
      "dns_refused",
      ["dns", "container"],
      `${name} is told to ask ${server}, where nothing listens in its own network`,
      seen,
      `${server} is the agent's own resolver, which no other network namespace reaches: give ` +
        'the network a server by its "dns" or by --default_container_dns',
    )];
  }
  if (outcome === "ECONNREFUSED") {
    const isAbsent = isOwn && listeners("udp", 53).length === 0;
    const shared = isAbsent ? await sharedServer(scene, server) : [];
    if (shared.length > 0) return shared;
    return [problem(
      "dns_refused",
      ["dns", isAbsent ? "container" : place],
      isAbsent
        ? `${name} is told to ask ${server}, an address of the agent, where no DNS server listens`
        : `nothing listens on port 53 of the DNS server ${server}`,
      seen,
      isAbsent ? `name another server in ${file}` : "look whether the server runs",
    )];
  }
  const codes: Readonly<Record<string, [cause: string, text: string, remedy: string]>> = {
    SERVFAIL: [
      "dns_servfail",
      "answers SERVFAIL: it can't resolve by itself",
      "its forwarders, or its way to the servers that know",
    ],
    REFUSED: [
      "dns_refused",
      `refuses ${name} (REFUSED)`,
      "its access list: it must allow the container's or the agent's address",
    ],
    NOTIMP: [
      "dns_refused",
      "answers NOTIMP to every question",
      "what answers there: it is no resolver",
    ],
    FORMERR: [
      "dns_refused",
      "answers FORMERR to every question",
      "what answers there, and what is between",
    ],
    NXDOMAIN: [
      "dns_wrong_answer",
      "answers NXDOMAIN even for the root: it knows no name",
      "its configuration",
    ],
    NODATA: [
      "dns_wrong_answer",
      "answers without an address, also for names that have one",
      "its configuration",
    ],
    truncated: [
      "dns_truncated",
      "truncates its answers over UDP and does not listen on TCP",
      "why it has no TCP, or its firewall",
    ],
    answers: [
      "dns_wrong_answer",
      "sends answers that fit no question",
      "what answers there, and what is between",
    ],
  };
  const known = codes[word];
  if (known) {
    const [cause, text, remedy] = known;
    return [
      problem(
        cause,
        ["dns", place],
        `the DNS server ${server} ${text}`,
        seen,
        `look at ${server}: ${remedy}`,
      ),
    ];
  }
  if (word === "wildcard") {
    return [problem(
      "dns_search_wildcard",
      ["dns", "container"],
      `${domain} answers for every name, and ${name} tries names there first (search, ndots:${ndots})`,
      [`${server} has an address for mesos-cni-asks.${domain}, which nobody made`],
      `take ${domain} from "search" in ${file}, or lower ndots`,
    )];
  }
  if (word === "deaf") {
    return [problem(
      "dns_search_silent",
      ["dns", "container"],
      `names under ${domain}, which ${name} completes names with, are never answered: each costs a timeout`,
      [`${server} answers other names, and not mesos-cni-asks.${domain}`],
      `take ${domain} from "search" in ${file}, or mend its servers`,
    )];
  }
  if (word === "slow") {
    return [problem(
      "dns_timeout_short",
      ["dns", "container"],
      `${name} waits ${timeout} s for an answer (options timeout:${timeout}), and ${server} takes ${domain} ms`,
      seen,
      `raise the timeout in ${file}, or find out why the server is slow`,
    )];
  }
  return [];
}

/** An address that the agent has, and somebody beyond its uplink too. */
async function sharedServer(scene: Scene, server: string): Promise<Finding[]> {
  const { host } = scene;
  const way = scene.uplink(server.includes(":") ? 6 : 4);
  const owner = host.ownerOf(server);
  if (!way || !owner || server.includes(":")) return [];
  const answers = (await whoHas(undefined, way.link, server, undefined, BRIEF)).filter((mac) =>
    host.links.every((link) => link.mac !== mac)
  );
  if (answers.length === 0) return [];
  const length = host.addressesOf(owner).find(({ address }) => address === server)!.prefixLength;
  const command = ["ip", "address", "del", `${server}/${length}`, "dev", owner.name];
  return [problem(
    "duplicate_address",
    ["duplicate", "agent"],
    `${server}, the DNS server of ${scene.name}, is also an address of the agent, on ${owner.name}: what is for the server the agent takes itself`,
    [`asked on ${way.link.name} who has ${server}, ${answers.join(", ")} answered`],
    shellText(command),
    { what: `take ${server} off ${owner.name}`, commands: [command] },
  )];
}
