/** Mesos' port mappings, as a plugin finds them in `args` of its config. */
import { isObject, type JsonObject } from "../../lib/base/json.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { type Mapping } from "../../lib/ports/mapping.ts";
import { quote } from "../../lib/base/json.ts";
import { parsePort, parseProtocol } from "../../lib/ports/parse.ts";

const KEY = "org.apache.mesos";

/** Whether Mesos' isolator (ours or a stock agent's) calls, which hands its request on in `args`. */
export function isMesosCaller(args: unknown): boolean {
  return isObject(args) && isObject(args[KEY]);
}

/**
 * The port mappings of `args."org.apache.mesos".network_info`. A framework chose them: each is
 * checked whole.
 *
 * @throws {OperatorError} `bad_args`, naming the place
 */
export function readPortMappings(args: unknown): Mapping[] {
  if (args === undefined) return [];
  const mesos = object(args, "args")[KEY];
  const info = object(mesos, `args."${KEY}"`).network_info;
  const where = `args."${KEY}".network_info`;
  const mappings = object(info, where).port_mappings ?? [];
  if (!Array.isArray(mappings)) throw wrong(`${where}.port_mappings`, "a list", mappings);
  return mappings.map((value, index) => {
    const at = `${where}.port_mappings[${index}]`;
    const { host_port, container_port, protocol } = object(value, at);
    return {
      protocol: parseProtocol(protocol ?? undefined, `${at}.protocol`),
      hostPort: parsePort(host_port, `${at}.host_port`),
      containerPort: parsePort(container_port, `${at}.container_port`),
    };
  });
}

function object(value: unknown, at: string): JsonObject {
  if (isObject(value)) return value;
  throw wrong(at, "an object", value);
}

function wrong(at: string, wanted: string, found: unknown): OperatorError {
  const state = found === undefined ? "is missing" : `is ${quote(found)}`;
  return new OperatorError("bad_args", `${at} ${state}; it must be ${wanted}`);
}
