/** Mesos' port mappings, as a plugin finds them in `args` of its config. */
import { isObject } from "../../lib/base/json.ts";
import type { Mapping } from "../../lib/ports/mapping.ts";
import type { Fields } from "../../lib/cni/fields.ts";
import { readMapping } from "../shared/port_mappings.ts";

const KEY = "org.apache.mesos";

/** Whether Mesos' isolator (ours or a stock agent's) calls, which hands its request on in `args`. */
export function isMesosCaller(config: Fields): boolean {
  return isObject(config.object("args")?.get(KEY));
}

/**
 * The port mappings of `args."org.apache.mesos".network_info`. A framework chose them: each is
 * checked whole.
 *
 * @throws {CniError} naming the place
 */
export function readPortMappings(config: Fields): Mapping[] {
  const info = config.object("args")?.required(KEY).required("network_info");
  return (info?.objects("port_mappings") ?? [])
    .map((one) => readMapping(one, "host_port", "container_port"));
}
