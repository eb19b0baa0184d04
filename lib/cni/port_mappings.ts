/** The ports of the agent that a config asks to be forwarded. */
import { isObject, type JsonObject } from "../base/json.ts";

/** A forwarded port of the agent. */
export interface PortMapping {
  hostPort: number;
  containerPort: number;
  /** In lower case. */
  protocol: string;
}

/** The mappings that the framework asked for, and those of libcni's form. */
export function portMappingsOf(config: JsonObject): PortMapping[] {
  const info = dig(config, "args", "org.apache.mesos", "network_info", "port_mappings");
  const runtime = dig(config, "runtimeConfig", "portMappings");
  return [...listOf(info), ...listOf(runtime)].flatMap((mapping) => {
    const hostPort = mapping.host_port ?? mapping.hostPort;
    const containerPort = mapping.container_port ?? mapping.containerPort;
    if (typeof hostPort !== "number" || typeof containerPort !== "number") return [];
    const protocol = typeof mapping.protocol === "string" && mapping.protocol || "tcp";
    return [{ hostPort, containerPort, protocol: protocol.toLowerCase() }];
  });
}

/** Whether Mesos' isolator calls (ours or a stock agent's): it hands its request on under its own name. */
export function isOfMesos({ args }: JsonObject): boolean {
  return isObject(args) && isObject(args["org.apache.mesos"]);
}

function dig(value: unknown, ...keys: string[]): unknown {
  return keys.reduce<unknown>(
    (inner, key) => isObject(inner) ? inner[key] : undefined,
    value,
  );
}

function listOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}
