/** The parameters of a call: whose interface is meant, and where. */
import { isContainerId, isInterfaceName } from "../../lib/cni/config.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation } from "../../lib/cni/invocation.ts";
import { quote } from "../../lib/base/json.ts";
import type { Owner } from "../../lib/firewall/owner.ts";

/** @throws {CniError} invalidEnvironment */
export function readOwner({ containerId, ifName }: Invocation, network: string): Owner {
  if (!isContainerId(containerId)) {
    throw environment("CNI_CONTAINERID", "letters, digits and _.-", containerId);
  }
  if (!isInterfaceName(ifName)) {
    throw environment("CNI_IFNAME", "a name of 1 to 15 bytes without / : % or space", ifName);
  }
  return { containerId, network, ifName };
}

/** @throws {CniError} invalidEnvironment */
export function readNamespace({ netns }: Invocation): string {
  if (netns) return netns;
  throw environment("CNI_NETNS", "the path of the container's network namespace", netns);
}

function environment(variable: string, wanted: string, found: string | undefined): CniError {
  const state = found ? `is ${quote(found)}` : "is not set";
  return new CniError(
    CNI_CODES.invalidEnvironment,
    `${variable} ${state}; the runtime must set it to ${wanted}`,
  );
}
