/** Processes of the host that already listen on a port that is about to lead to a container. */
import { describeMapping, type Mapping } from "../../lib/ports/mapping.ts";
import { familyOfKnown } from "../../lib/base/ip.ts";
import { messageOf } from "../../lib/base/error.ts";
import { type Listener, listeners } from "../../lib/netlink/sock_diag.ts";
import { log } from "../../lib/base/log.ts";

const ANY = ["0.0.0.0", "::"];

/**
 * Such a process gets no more connections from outside, which may be meant: a warning is logged,
 * and told again should the ADD fail.
 */
export function warnOfListeners(mappings: readonly Mapping[]): string[] {
  return mappings.flatMap((mapping) => {
    const { protocol, hostPort, hostAddress } = mapping;
    if (protocol === "sctp") return [];
    const inTheWay = look(protocol, hostPort).filter(({ address }) =>
      hostAddress === undefined || ANY.includes(hostAddress) || ANY.includes(address) ||
      address === hostAddress
    );
    return inTheWay.slice(0, 1).map(({ address, uid, inode }) => {
      const bound = familyOfKnown(address) === 6 ? `[${address}]` : address;
      const warning = `host port ${describeMapping(mapping)} is listened on by a process of this ` +
        `host (${bound}:${hostPort}, user ${uid}, socket ${inode}; see: ss -lnp), which gets no ` +
        "connections from outside while the mapping is there";
      log.warning(warning);
      return warning;
    });
  });
}

/** A kernel without sock_diag for the protocol has no answer, which stops nothing. */
function look(protocol: "tcp" | "udp", port: number): Listener[] {
  try {
    return listeners(protocol, port);
  } catch (error) {
    log.info("cannot see who listens", { protocol, port, error: messageOf(error) });
    return [];
  }
}
