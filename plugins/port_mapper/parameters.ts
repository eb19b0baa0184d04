/** The parameters of a call: whose ports are meant, and which attachments are valid. */
import { isContainerId, isInterfaceName } from "../../lib/cni/config.ts";
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import type { Invocation } from "../../lib/cni/invocation.ts";
import { isObject, type JsonObject, quote } from "../../lib/base/json.ts";
import type { Owner } from "../../lib/ports/mapping.ts";
import { field } from "./fields.ts";

/** @throws {CniError} invalidEnvironment */
export function readOwner({ containerId, ifName }: Invocation, network: string): Owner {
  if (!isContainerId(containerId)) {
    throw environment("CNI_CONTAINERID", "letters, digits and _.-", containerId);
  }
  if (!isInterfaceName(ifName)) {
    throw environment("CNI_IFNAME", "a name of at most 15 bytes", ifName);
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

/**
 * Specification 1.1.0, section 2, "GC": `cni.dev/valid-attachments`. libcni leaves it out, or
 * writes null, where none is valid.
 *
 * @throws {CniError} invalidConfig
 */
export function readValidAttachments(config: JsonObject): (owner: Owner) => boolean {
  const list = field(config, "cni.dev/valid-attachments") ?? [];
  if (!Array.isArray(list)) {
    throw new CniError(
      CNI_CODES.invalidConfig,
      `cni.dev/valid-attachments must be a list, not ${quote(list)}`,
    );
  }
  const valid = new Set(list.map((one) => {
    const [id, ifName] = isObject(one) ? [field(one, "containerID"), field(one, "ifname")] : [];
    if (typeof id === "string" && typeof ifName === "string") return `${id}:${ifName}`;
    throw new CniError(
      CNI_CODES.invalidConfig,
      `cni.dev/valid-attachments has an entry without containerID and ifname: ${quote(one)}`,
    );
  }));
  return ({ containerId, ifName }) => valid.has(`${containerId}:${ifName}`);
}
