/** The oldest version of the specification that a standard plugin speaks, where it is not the first. */
import type { SpecVersion } from "../../lib/cni/version.ts";

export const SINCE = {
  bandwidth: "0.3.0",
  firewall: "0.4.0",
  vrf: "0.3.1",
} as const satisfies Record<string, SpecVersion>;
