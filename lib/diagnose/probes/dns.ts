/** Name resolution: the container's resolv.conf, and the servers that it names. */
import { existsSync } from "@std/fs";
import { readCheckpoint } from "../../base/atomic_file.ts";
import { isAddress } from "../../base/ip.ts";
import { type Finding, problem } from "../finding.ts";
import { askServer } from "../packets/dns.ts";
import { explained } from "../packets/outcome.ts";
import type { Scene } from "../scene.ts";
import { missingRoute } from "./route.ts";

/** glibc takes no more than so many (MAXNS). */
const MOST_SERVERS = 3;

export async function probeDns(scene: Scene): Promise<Finding[]> {
  const file = fileOf(scene);
  const servers = nameserversOf(scene);
  const differ = file !== undefined && existsSync(file) ? differences(scene, file, servers) : [];
  return [...differ, ...await unanswered(scene, servers)];
}

/** The servers that the container's programs ask. */
export function nameserversOf(scene: Scene): string[] {
  const file = fileOf(scene);
  // Where no network names a server, the container is given the agent's own file.
  const text = file && (readCheckpoint(file) ?? readCheckpoint("/etc/resolv.conf"));
  return nameservers(text ?? "");
}

/** The resolv.conf that the isolator made for the container. */
function fileOf({ container }: Scene): string | undefined {
  return container && `${container.netns.slice(0, container.netns.lastIndexOf("/"))}/resolv.conf`;
}

/** The servers of a resolv.conf that are used, in their order. */
export function nameservers(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [keyword, server] = line.trim().split(/\s+/);
    return keyword === "nameserver" && server !== undefined ? [server] : [];
  }).slice(0, MOST_SERVERS);
}

function differences(scene: Scene, file: string, servers: string[]): Finding[] {
  const { pid, processAlive, attachments } = scene.container!;
  const wanted = attachments.flatMap(({ result }) => result?.dns.nameservers ?? [])
    .slice(0, MOST_SERVERS);
  if (wanted.length > 0 && wanted.join() !== servers.join()) {
    return [problem(
      "resolv_conf_differs",
      `the resolv.conf of ${scene.name} is not what its networks say`,
      [`the networks name ${wanted.join(", ")}; ${file} has ${servers.join(", ") || "no server"}`],
      "somebody changed it, from inside the container or on the agent: write it anew, or start " +
        "the container anew",
    )];
  }
  if (!processAlive || pid === undefined) return [];
  // Bound over the container's own, it is the same file and not only the same text.
  const [ours, seen] = [file, `/proc/${pid}/root/etc/resolv.conf`].map(identity);
  if (ours === undefined || ours === seen) return [];
  return [problem(
    "resolv_conf_differs",
    `${scene.name} sees another resolv.conf than the isolator made for it`,
    [
      `${file} is file ${ours}, and /etc/resolv.conf of process ${pid} ${
        seen === undefined ? "can't be read" : `is file ${seen}`
      }`,
    ],
    "it was replaced or unmounted inside the container: start the container anew",
  )];
}

function identity(path: string): string | undefined {
  try {
    const { dev, ino } = Deno.lstatSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

async function unanswered(scene: Scene, servers: readonly string[]): Promise<Finding[]> {
  const outcomes = await Promise.all(servers.map(async (server) => ({
    server,
    outcome: isAddress(server) ? await askServer(scene.inside.netns, server) : "no address",
  })));
  const bad = outcomes.filter(({ outcome }) => !isAnswer(outcome));
  // The resolver asks the next one; but a dead first one makes each name take seconds.
  return bad.map(({ server, outcome }) => {
    const isLoopback = server.startsWith("127.") || server === "::1";
    const refused = outcome === "REFUSED" || outcome === "ECONNREFUSED";
    return problem(
      refused ? "dns_refused" : "dns_unreachable",
      refused
        ? `the DNS server ${server} refuses ${scene.name}`
        : `the DNS server ${server} does not answer ${scene.name}`,
      [
        outcome === "ECONNREFUSED"
          ? `nothing listens on ${server} port 53, or a firewall rejects it`
          : `asked for localhost, the outcome is: ${explained(outcome)}`,
        ...servers.length > 1
          ? [`${servers.length - bad.length} of its ${servers.length} answer`]
          : [],
      ],
      isLoopback
        ? `${server} is the agent's own resolver, which no other network namespace reaches: give ` +
          'the network a server by its "dns" or by --default_container_dns'
        : outcome === "REFUSED"
        ? "look at the server's access list: it must allow the container's or the agent's address"
        : refused
        ? "look whether the server runs, and at the firewalls on the way"
        : outcome === "ENETUNREACH"
        ? missingRoute(scene)
        : "look at the server, and at the way to it: mesos-cni netns diagnose " +
          `--from ${scene.name} --to ${server}:53`,
    );
  });
}

/** Also a server that can't resolve the name has answered. */
function isAnswer(outcome: string): boolean {
  return ["NOERROR", "NXDOMAIN", "SERVFAIL", "NOTIMP", "FORMERR"].includes(outcome);
}
