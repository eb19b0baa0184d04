/** Settings of the ports of a bridge (linux/if_link.h, IFLA_PROTINFO of AF_BRIDGE). */
import { attribute, nested, view } from "./message.ts";
import { NETLINK_ROUTE, NetlinkSocket } from "./socket.ts";

const RTM_SETLINK = 19;
const AF_BRIDGE = 7;
const IFLA_PROTINFO = 12;
const IFLA_BRPORT_MODE = 4;
/** sizeof(struct ifinfomsg) */
const IFINFOMSG_BYTES = 16;

/**
 * Lets a bridge send frames back by the port that they came in by (`hairpin on` of `bridge link`).
 *
 * @param index of the interface that is the port
 * @throws {SystemError} `EINVAL` or `EOPNOTSUPP` if it is no port of a bridge
 */
export function setHairpin(index: number): void {
  using socket = new NetlinkSocket(NETLINK_ROUTE);
  const header = new Uint8Array(IFINFOMSG_BYTES);
  header[0] = AF_BRIDGE;
  view(header).setInt32(4, index, true);
  socket.request(RTM_SETLINK, 0, [
    header,
    nested(IFLA_PROTINFO, [attribute(IFLA_BRPORT_MODE, new Uint8Array([1]))]),
  ], `set hairpin mode of interface ${index}`);
}
