/**
 * Mesos v1 messages as JSON, as far as a network needs them (mesos.proto and
 * slave/containerizer.proto). What a framework sets is kept as it is, unknown fields included:
 * it goes on to the plugin.
 */
import * as v from "valibot";
import { OperatorError } from "../base/error.ts";
import { type ContainerId, parseContainerId } from "./container_id.ts";

/** A message, with fields that we don't know; a list, which JavaScript takes for an object, is none. */
function message<const E extends v.ObjectEntries>(entries: E) {
  return v.pipe(
    v.unknown(),
    v.check((value) => !Array.isArray(value), "must be an object, not a list"),
    v.looseObject(entries),
  );
}

const port = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(0xffffffff));

const portMapping = message({
  host_port: port,
  container_port: port,
  protocol: v.optional(v.string()),
});

const networkInfo = message({
  name: v.optional(v.string()),
  ip_addresses: v.optional(v.array(message({
    protocol: v.optional(v.string()),
    ip_address: v.optional(v.string()),
  }))),
  labels: v.optional(message({
    labels: v.optional(v.array(message({ key: v.string(), value: v.optional(v.string()) }))),
  })),
  port_mappings: v.optional(v.array(portMapping)),
});
export type NetworkInfo = v.InferOutput<typeof networkInfo>;

const containerInfo = message({
  type: v.optional(v.string()),
  hostname: v.optional(v.string()),
  network_infos: v.optional(v.array(networkInfo)),
});

const containerConfig = message({
  container_info: v.optional(containerInfo),
  container_class: v.optional(v.picklist(["DEFAULT", "DEBUG"])),
  /** Root directory of the container's image, on the agent. */
  rootfs: v.optional(v.pipe(v.string(), v.startsWith("/", "must be an absolute path"))),
});
export type ContainerConfig = v.InferOutput<typeof containerConfig>;

/** What the containerizer must do when it starts the container's first process. */
export interface ContainerLaunchInfo {
  environment?: { variables: { name: string; type: "VALUE"; value: string }[] };
  /** Flags of clone(2) for new namespaces. */
  clone_namespaces?: number[];
  /** Flags of setns(2) for namespaces of the parent to enter. */
  enter_namespaces?: number[];
}

export interface ContainerStatus {
  network_infos: NetworkInfo[];
}

/** Packets and bytes since the container's interfaces were made. */
export interface ResourceStatistics {
  net_rx_packets?: number;
  net_rx_bytes?: number;
  net_rx_errors?: number;
  net_rx_dropped?: number;
  net_tx_packets?: number;
  net_tx_bytes?: number;
  net_tx_errors?: number;
  net_tx_dropped?: number;
}

const containerIdMessage: v.GenericSchema<unknown, ContainerIdMessage> = message({
  value: v.string(),
  parent: v.optional(v.lazy(() => containerIdMessage)),
});
export interface ContainerIdMessage {
  value: string;
  parent?: ContainerIdMessage | undefined;
}
/** A ContainerID, as a message or as text. */
export const containerIdSchema = v.union([v.string(), containerIdMessage]);

const recovery = message({
  states: v.optional(v.array(message({ container_id: containerIdSchema }))),
  orphans: v.optional(v.array(containerIdSchema)),
});

const containerDns = v.object({
  mesos: v.optional(v.array(message({
    network_mode: v.optional(v.string()),
    network_name: v.optional(v.string()),
    dns: v.optional(v.object({
      nameservers: v.optional(v.array(v.string())),
      domain: v.optional(v.string()),
      search: v.optional(v.array(v.string())),
      options: v.optional(v.array(v.string())),
    })),
  }))),
  docker: v.optional(v.unknown()),
});
export type ContainerDns = v.InferOutput<typeof containerDns>;

/** @throws {OperatorError} `bad_message` with the place in `where` */
export function parseContainerConfig(value: unknown, where: string): ContainerConfig {
  return parse(containerConfig, value, where);
}

/** @throws {OperatorError} `bad_message` with the place in `where` */
export function parseNetworkInfo(value: unknown, where: string): NetworkInfo {
  return parse(networkInfo, value, where);
}

/** The agent's `--default_container_dns`. */
export function parseContainerDns(value: unknown, where: string): ContainerDns {
  return parse(containerDns, value, where);
}

/** The containers that a containerizer knows of, at its own recovery. */
export interface Recovery {
  /** Containers that go on. */
  states: ContainerId[];
  /** Containers that it is about to clean up itself. */
  orphans: ContainerId[];
}

/** Bytes of one that are too many: a thousand containers, each with the whole of its executor, are fewer. */
export const LONGEST_RECOVERY = 64 << 20;

/** @throws {OperatorError} `bad_message` with the place in `where` */
export function parseRecovery(value: unknown, where: string): Recovery {
  const { states = [], orphans = [] } = parse(recovery, value, where);
  return {
    states: states.map((state) => containerIdOf(state.container_id)),
    orphans: orphans.map(containerIdOf),
  };
}

/** @throws {OperatorError} `bad_container_id` */
export function containerIdOf(message: string | ContainerIdMessage): ContainerId {
  if (typeof message === "string") return parseContainerId(message);
  const parent = message.parent ? containerIdOf(message.parent) + "." : "";
  return parseContainerId(parent + message.value);
}

/** A value by a schema. @throws {OperatorError} `bad_message` with the place in `where` */
export function parse<T>(schema: v.GenericSchema<unknown, T>, value: unknown, where: string): T {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const path = v.getDotPath(issue) ?? "the whole";
  throw new OperatorError("bad_message", `${where}: ${path}: ${issue.message}`);
}
