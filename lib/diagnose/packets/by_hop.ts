/** A packet that is given to one router, whichever the routes would choose. */
import { SystemError } from "../../kernel/libc.ts";
import { AF_PACKET, SOCK_DGRAM, Socket } from "../../kernel/socket.ts";
import { hexPairs } from "../../netlink/link.ts";
import type { Link } from "../../netlink/mod.ts";
import { heard } from "./connect.ts";
import { probeFilter } from "./filter.ts";
import { ETH_P_IP, ETH_P_IPV6, type Flow, ipPacket, readPacket } from "./frame.ts";
import { stationOn } from "./who_has.ts";

const ATTEMPTS = 3;
const ANSWER_MS = 300;

/** Whether a packet of the agent's is answered by its destination where this station gets it. */
export async function isPassedOn(...to: Parameters<typeof answererOf>) {
  const by = await answererOf(...to);
  return by === undefined ? undefined : by !== "";
}

/**
 * Gives a packet to a station of a link.
 *
 * @returns the hardware address that the destination's answer comes from, empty where none comes; undefined where it
 * could not be sent (ENOBUFS, ENETDOWN), which says nothing of the station
 */
export async function answererOf(
  link: Link,
  mac: string,
  flow: Flow,
  netns?: string,
): Promise<string | undefined> {
  const { token, destination } = flow;
  const protocol = destination.includes(":") ? ETH_P_IPV6 : ETH_P_IP;
  using socket = Socket.open(AF_PACKET, SOCK_DGRAM, 0, netns);
  try {
    socket.attachFilter(probeFilter({ first: token, last: token }, []));
    const to = stationOn(socket, link, protocol, mac);
    // Where it is from an address of another link, its answer comes by that.
    socket.bind(to.with(4, 0).with(5, 0).with(6, 0).with(7, 0), "every link");
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      socket.send(ipPacket(flow), `ask ${destination} by ${mac}`, to);
      const by = await heard(socket, ANSWER_MS, (packet, from) => {
        const seen = readPacket(protocol, packet);
        const isAnswer = seen?.source === destination && seen.destinationPort === token;
        // struct sockaddr_ll (packet(7)).
        return isAnswer ? hexPairs(from.subarray(12, 18)) : undefined;
      });
      if (by !== undefined) return by;
    }
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return undefined;
  }
  return "";
}
