/** Port mappings as runtimes hand them to the plugins that lead host ports to a container. */
import { OperatorError } from "../../lib/base/error.ts";
import type { Mapping } from "../../lib/ports/mapping.ts";
import { parseHostAddress, parsePort, parseProtocol } from "../../lib/ports/parse.ts";
import type { Fields } from "./fields.ts";

/** The most mappings of one attachment: their rules are written in one transaction. */
const MOST_MAPPINGS = 1024;

/**
 * `runtimeConfig.portMappings`, libcni's form (the capability `portMappings`).
 *
 * @throws {CniError} invalidConfig @throws {OperatorError} `bad_mapping`, naming the place
 */
export function readRuntimeMappings(config: Fields): Mapping[] {
  const list = config.object("runtimeConfig")?.objects("portMappings") ?? [];
  return requireFew(list).map((entry) => ({
    protocol: parseProtocol(entry.get("protocol"), entry.at("protocol")),
    hostPort: parsePort(entry.get("hostPort"), entry.at("hostPort")),
    containerPort: parsePort(entry.get("containerPort"), entry.at("containerPort")),
    hostAddress: parseHostAddress(entry.get("hostIP"), entry.at("hostIP")),
  }));
}

/** @throws {OperatorError} `bad_mapping` */
export function requireFew<T>(asked: readonly T[]): readonly T[] {
  if (asked.length <= MOST_MAPPINGS) return asked;
  throw new OperatorError(
    "bad_mapping",
    `${asked.length} port mappings are asked for; one container may have ${MOST_MAPPINGS}`,
  );
}
