/** Processes of the host that already listen on a port that is about to lead to a container. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { describeMapping, type Mapping } from "../../lib/ports/mapping.ts";
import { ANY_ADDRESS, familyOfKnown } from "../../lib/base/ip.ts";
import { messageOf } from "../../lib/base/error.ts";
import { type Listener, listeners } from "../../lib/netlink/sock_diag.ts";
import { log } from "../../lib/base/log.ts";
import type { Config } from "./config.ts";

/**
 * Such a process gets no more connections from outside. A framework, which chooses ports for
 * itself, must not take the agent's own (ssh, 5051) unless the operator allows it; another runtime's
 * operator wrote the port, which is logged, and told again should the ADD fail.
 *
 * @returns the warnings
 * @throws {CniError} badArgument
 */
export function checkListeners({ mappings, isMesos, allowHostPorts }: Config): string[] {
  return mappings.flatMap((mapping) => {
    const inTheWay = listenersOf(mapping)[0];
    if (!inTheWay) return [];
    const { address, uid, inode } = inTheWay;
    const bound = familyOfKnown(address) === 6 ? `[${address}]` : address;
    const fact = `host port ${describeMapping(mapping)} is listened on by a process of this host ` +
      `(${bound}:${mapping.hostPort}, user ${uid}, socket ${inode}; see: ss -lnp)`;
    if (isMesos && !allowHostPorts) {
      throw new CniError(
        CNI_CODES.badArgument,
        `${fact}, and a framework's container may not take it; choose another port, or set ` +
          '"allowHostPorts": true in the network\'s config',
      );
    }
    const warning = `${fact}, which gets no connections from outside while the mapping is there`;
    log.warning(warning);
    return [warning];
  });
}

function listenersOf({ protocol, hostPort, hostAddress }: Mapping): Listener[] {
  if (protocol === "sctp") return [];
  const any = Object.values(ANY_ADDRESS);
  return look(protocol, hostPort).filter(({ address }) =>
    hostAddress === undefined || any.includes(hostAddress) || any.includes(address) ||
    address === hostAddress
  );
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
