/**
 * What a container asked for, between `prepare` and `cleanup`. A stock agent keeps this in
 * memory, so its containers have none: every reader does without.
 */
import { isObject, parseJson } from "../base/json.ts";
import { log } from "../base/log.ts";
import { type ContainerId } from "../mesos/container_id.ts";
import { type NetworkInfo } from "../mesos/messages.ts";
import { readCheckpoint, writeCheckpoint } from "../kernel/atomic_file.ts";
import type { Viewpoint } from "../netlink/sight.ts";
import type { Layout } from "./layout.ts";

/**
 * How a container comes by its network:
 * `own`: a namespace and interfaces of its own; `parent`: those of its root container;
 * `host`: the agent's.
 */
export type NetworkMode = "own" | "parent" | "host";

/**
 * An interface of a container as the kernel knows it: neither index changes when the container
 * renames its end, or takes it to another namespace.
 */
export interface Wire {
  network: string;
  ifName: string;
  /** In the container's namespace. */
  index: number;
  kind?: string;
  /** The end in the agent's namespace, of a kind that has one there. */
  host?: { index: number; name: string };
}

export interface Request {
  /** Fields are only ever added, so that older programs can clean up after newer ones. */
  format: 1;
  mode: NetworkMode;
  /** A debug container sees its parent's files: nothing is mounted for it. */
  debug: boolean;
  /** In the order of their interfaces: eth0, eth1, … Empty unless `own`. */
  networks: { name: string; ifName: string; networkInfo: NetworkInfo }[];
  hostname?: string;
  /** Root directory of the container's image, on the agent. */
  rootfs?: string;
  /** A `__MESOS_TEST__` network: without a network namespace of its own. */
  test?: true;
  /** The container's first process, known since `isolate`. */
  pid?: number;
  /** Clock ticks from boot to the start of that process: its number alone may be another's. */
  startTime?: number;
  /** The boot that the process belongs to, and all that is said below. */
  bootId: string;
  /** Of the program that attached the container: its processes, handle and wires are seen there. */
  agent?: Viewpoint;
  /** Inode of the container's network namespace. */
  netns?: number;
  /** What tells that namespace from a later one of its inode; absent where the kernel doesn't tell. */
  netnsCookie?: string;
  /** The interfaces that the plugins made. */
  wires?: Wire[];
  /** The directory that each plugin was found in, by its type. */
  pluginDirs?: Record<string, string>;
  /** When `prepare` was called, ISO 8601: for people, since the clock may be set. */
  prepared: string;
  /** The same in ms since the machine was booted. */
  preparedUptime?: number;
}

export function writeRequest(layout: Layout, id: ContainerId, request: Request): void {
  // A framework's labels may hold what is nobody else's business.
  writeCheckpoint(layout.request(id), JSON.stringify(request), 0o600);
}

/**
 * The container's request; undefined without one, and for one that is no longer readable, with
 * a warning: then the rest of the checkpoints has to do. One of a newer version of this program
 * counts as far as it goes, since fields are only ever added.
 */
export function readRequest(layout: Layout, id: ContainerId): Request | undefined {
  const path = layout.request(id);
  const text = readCheckpoint(path);
  if (text === undefined) return undefined;
  const request = decodeRequest(text);
  if (!request) log.warning("ignoring an unreadable request", { container: id, file: path });
  return request;
}

/** The request that a text is; undefined for one that no version of this program has written. */
export function decodeRequest(text: string): Request | undefined {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    return undefined;
  }
  if (!isObject(value) || !value.format || !value.mode || !value.bootId) return undefined;
  const { networks, wires = [] } = value;
  const areNamed = (list: unknown, ...names: string[]) =>
    Array.isArray(list) &&
    list.every((one) => isObject(one) && names.every((name) => typeof one[name] === "string"));
  return areNamed(networks, "name", "ifName") && areNamed(wires, "network", "ifName")
    ? value as unknown as Request
    : undefined;
}
