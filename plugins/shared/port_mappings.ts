/** Port mappings as runtimes hand them to the plugins that lead host ports to a container. */
import { OperatorError } from "../../lib/base/error.ts";
import { canonicalAddress, isAddress } from "../../lib/base/ip.ts";
import { type Mapping, type Protocol, PROTOCOLS } from "../../lib/ports/mapping.ts";
import type { Fields } from "../../lib/cni/fields.ts";

/** The most mappings of one attachment: their rules are written in one transaction. */
const MOST_MAPPINGS = 1024;

/**
 * `runtimeConfig.portMappings`, libcni's form (the capability `portMappings`).
 *
 * @throws {CniError} naming the place @throws {OperatorError} `bad_mapping` for too many
 */
export function readRuntimeMappings(config: Fields): Mapping[] {
  const list = config.object("runtimeConfig")?.objects("portMappings") ?? [];
  return requireFew(list).map((entry) => ({
    ...readMapping(entry, "hostPort", "containerPort"),
    hostAddress: readHostAddress(entry),
  }));
}

/** A mapping for every address, whose ports the caller calls by these names. @throws {CniError} */
export function readMapping(entry: Fields, host: string, container: string): Mapping {
  return {
    protocol: readProtocol(entry),
    hostPort: readPort(entry, host),
    containerPort: readPort(entry, container),
  };
}

function readPort(entry: Fields, key: string): number {
  const port = entry.get(key);
  const isPort = typeof port === "number" && Number.isInteger(port) && port >= 1 && port <= 65535;
  return isPort ? port : entry.fail(key, "a port from 1 to 65535");
}

/** tcp when absent or empty; upper and lower case are the same. */
function readProtocol(entry: Fields): Protocol {
  const name = entry.get("protocol") || "tcp";
  return PROTOCOLS.find((one) => typeof name === "string" && one === name.toLowerCase()) ??
    entry.fail("protocol", PROTOCOLS.join(", "));
}

/** Absent or empty: every address. */
function readHostAddress(entry: Fields): string | undefined {
  const address = entry.get("hostIP") ?? "";
  if (address === "") return undefined;
  return typeof address === "string" && isAddress(address)
    ? canonicalAddress(address)
    : entry.fail("hostIP", "an IP address of the host");
}

/** @throws {OperatorError} `bad_mapping` */
export function requireFew<T>(asked: readonly T[]): readonly T[] {
  if (asked.length <= MOST_MAPPINGS) return asked;
  throw new OperatorError(
    "bad_mapping",
    `${asked.length} port mappings are asked for; one container may have ${MOST_MAPPINGS}`,
  );
}
