/** Processes of the host that already listen on a port that is about to lead to a container. */
import { describeMapping, familyOf, type Mapping } from "../../lib/firewall/attachment.ts";
import { listeners } from "../../lib/linux/netlink/sock_diag.ts";
import { log } from "../../lib/log.ts";

const ANY = ["0.0.0.0", "::"];

/**
 * Such a process gets no more connections from outside, which may be meant: a warning is logged,
 * and told again should the ADD fail.
 */
export function warnOfListeners(mappings: readonly Mapping[]): string[] {
  return mappings.flatMap((mapping) => {
    const { protocol, hostPort, hostAddress } = mapping;
    if (protocol === "sctp") return [];
    const inTheWay = listeners(protocol, hostPort).filter(({ address }) =>
      hostAddress === undefined || ANY.includes(hostAddress) || ANY.includes(address) ||
      address === hostAddress
    );
    return inTheWay.slice(0, 1).map(({ address, uid, inode }) => {
      const bound = familyOf(address) === 6 ? `[${address}]` : address;
      const warning = `host port ${describeMapping(mapping)} is listened on by a process of this ` +
        `host (${bound}:${hostPort}, user ${uid}, socket ${inode}; see: ss -lnp), which gets no ` +
        "connections from outside while the mapping is there";
      log.warning(warning);
      return warning;
    });
  });
}
