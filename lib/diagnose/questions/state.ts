/** What only the state on disk and in the kernel can tell: read, not sent. */
import type { Finding } from "../finding.ts";
import { probeAddresses } from "../reasons/address.ts";
import { probeBridges } from "../reasons/bridge.ts";
import { probeConntrack } from "../reasons/conntrack.ts";
import { probeIpam } from "../reasons/ipam.ts";
import { probeLinks } from "../reasons/link.ts";
import { probePortState } from "../reasons/portmap.ts";
import { probeResolvConf } from "../reasons/resolv_conf.ts";
import { probeRoutes } from "../reasons/route.ts";
import type { Scene } from "../scene.ts";

export interface StateQuestion {
  text: string;
  read(scene: Scene): Promise<Finding[]> | Finding[];
}

export const STATE_QUESTIONS: readonly StateQuestion[] = [
  { text: "its interfaces are up, and their other ends", read: probeLinks },
  { text: "its interfaces are on their bridges", read: probeBridges },
  { text: "its addresses are those that it was given, and nobody else's", read: probeAddresses },
  { text: "its routes are those that it was given", read: probeRoutes },
  { text: "its ports have rules, and no process of the agent has them", read: probePortState },
  { text: "its resolv.conf is the one that was made for it", read: probeResolvConf },
  { text: "its leases are its own", read: probeIpam },
  {
    text: "the table of connections has room, and nothing stale of its ports",
    read: probeConntrack,
  },
];
