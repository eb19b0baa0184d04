/** What a runtime says to GC: the attachments that are valid. */
import { CNI_CODES, CniError } from "../../lib/cni/error.ts";
import { isObject, quote } from "../../lib/base/json.ts";
import { Fields } from "../../lib/cni/fields.ts";

/** Who made something; without a name of an interface, it is all of the container's. */
export interface Maker {
  containerId: string;
  ifName: string;
}

/**
 * Specification 1.1.0, section 2, "GC": `cni.dev/valid-attachments`. libcni leaves it out, or
 * writes null, where none is valid.
 *
 * @throws {CniError} invalidConfig
 */
export function readValidAttachments(config: Fields): (maker: Maker) => boolean {
  const list = config.get("cni.dev/valid-attachments") ?? [];
  if (!Array.isArray(list)) throw invalid(`must be a list, not ${quote(list)}`);
  const valid = new Set(list.flatMap((value) => {
    const one = new Fields(isObject(value) ? value : {});
    const [id, ifName] = [one.get("containerID"), one.get("ifname")];
    if (typeof id === "string" && typeof ifName === "string") return [`${id}:`, `${id}:${ifName}`];
    throw invalid(`has an entry without containerID and ifname: ${quote(value)}`);
  }));
  return ({ containerId, ifName }) => valid.has(`${containerId}:${ifName}`);
}

function invalid(what: string): CniError {
  return new CniError(CNI_CODES.invalidConfig, `cni.dev/valid-attachments ${what}`);
}
