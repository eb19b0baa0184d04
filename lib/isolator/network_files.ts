/** The text of a container's hosts, hostname and resolv.conf. */
import type { Dns, Result } from "../cni/result.ts";
import { OperatorError } from "../base/error.ts";
import { HOST_NAME_MAX } from "../kernel/uts.ts";
import { type ContainerId, ownName } from "../mesos/container_id.ts";
import type { ContainerDns } from "../mesos/messages.ts";

/** The hostname of a container that asked for none: its id, as far as it fits. */
export function defaultHostname(id: ContainerId): string {
  return ownName(id).slice(0, HOST_NAME_MAX);
}

/** An address without its prefix length. */
export function withoutPrefix(cidr: string): string {
  return cidr.split("/")[0]!;
}

/** /etc/hosts: localhost, and the hostname for the first addresses of the first network. */
export function hostsFile(hostname: string, results: readonly Result[]): string {
  const addresses = results.find((result) => result.ips.length > 0)?.ips
    .map((ip) => withoutPrefix(ip.address)) ?? [];
  const first = (six: boolean) => addresses.find((address) => address.includes(":") === six);
  const own = [first(false), first(true)].filter((address) => address !== undefined);
  return [
    "127.0.0.1 localhost",
    "::1 localhost",
    ...own.map((address) => `${address} ${hostname}`),
  ].join("\n") + "\n";
}

/**
 * /etc/resolv.conf out of what the networks say, in their order; a network whose plugins name no
 * server has the agent's default for it.
 *
 * @returns undefined when nobody names a server: then the agent's own file is the container's
 */
export function resolvConf(
  networks: readonly { name: string; dns: Dns }[],
  defaults: ContainerDns,
): string | undefined {
  const all = networks.map(({ name, dns }) =>
    dns.nameservers?.length ? dns : defaultDns(name, defaults)
  );
  const nameservers = all.flatMap((dns) => dns.nameservers ?? []);
  if (nameservers.length === 0) return undefined;
  const domain = all.map((dns) => dns.domain).filter((domain) => domain).at(-1);
  const search = all.flatMap((dns) => dns.search ?? []);
  const options = all.flatMap((dns) => dns.options ?? []);
  return [
    domain ? `domain ${word(domain)}` : [],
    search.length > 0 ? `search ${search.map(word).join(" ")}` : [],
    options.length > 0 ? `options ${options.map(word).join(" ")}` : [],
    nameservers.map((server) => `nameserver ${word(server)}`),
  ].flat().join("\n") + "\n";
}

function defaultDns(network: string, defaults: ContainerDns): Dns {
  const candidates = (defaults.mesos ?? []).filter((entry) => entry.network_mode === "CNI");
  const found = candidates.find((entry) => entry.network_name === network) ??
    candidates.find((entry) => entry.network_name === undefined);
  return found?.dns ?? {};
}

/** A value that ends where it should: a newline in a search domain would be another setting. */
function word(text: string): string {
  if (!/^[^\s;#]+$/.test(text)) {
    throw new OperatorError(
      "bad_dns",
      `the networks' DNS settings hold ${JSON.stringify(text.slice(0, 80))}, which can't be ` +
        `written to resolv.conf`,
    );
  }
  return text;
}
