/**
 * What an OCI runtime says of a container: its state, on the hook's standard input, and the
 * bundle's config.json (OCI runtime specification 1.x, runtime.md and config.md).
 */
import { join, resolve } from "@std/path";
import * as v from "valibot";
import { parseJson } from "../base/json.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { messageOf, OperatorError } from "../base/error.ts";
import { parseContainerId } from "../mesos/container_id.ts";
import { type NetworkInfo, parse, parseNetworkInfo } from "../mesos/messages.ts";

/** The annotation with which a container asks for networks: a list of Mesos' NetworkInfo. */
export const NETWORKS_ANNOTATION = "org.apache.mesos.network_infos";

const state = v.looseObject({
  id: v.string(),
  pid: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  bundle: v.string(),
  annotations: v.optional(v.record(v.string(), v.string())),
});

const config = v.looseObject({
  hostname: v.optional(v.string()),
  root: v.looseObject({ path: v.string() }),
  linux: v.looseObject({
    namespaces: v.optional(
      v.array(v.looseObject({ type: v.string(), path: v.optional(v.string()) })),
    ),
  }),
});

/**
 * The container of a state, if it asks for networks; its `pid` is absent, or 0, once it has stopped.
 *
 * @throws {OperatorError} `bad_message`, or `bad_container_id` for an id that OCI runtimes take
 *   and the isolator can't
 */
export function parseState(value: unknown, where: string) {
  const { id, pid, bundle, annotations } = parse(state, value, where);
  const text = annotations?.[NETWORKS_ANNOTATION];
  if (text === undefined) return undefined;
  const networkInfos = parseAnnotation(text);
  if (networkInfos.length === 0) return undefined;
  if (id.includes(".")) {
    throw new OperatorError(
      "bad_container_id",
      `OCI container ${JSON.stringify(id)} can't join networks: a "." in an id means a nested ` +
        `container; choose an id of letters, digits, "-" and "_"`,
    );
  }
  return { id: parseContainerId(id), pid, bundle, networkInfos };
}

function parseAnnotation(text: string): NetworkInfo[] {
  const where = `annotation ${NETWORKS_ANNOTATION}`;
  let list: unknown;
  try {
    list = parseJson(text);
  } catch (error) {
    throw new OperatorError("bad_message", `${where}: not JSON: ${messageOf(error)}`);
  }
  if (!Array.isArray(list)) {
    throw new OperatorError("bad_message", `${where}: must be a list, [{"name": "NETWORK"}, …]`);
  }
  return list.map((one, i) => {
    const networkInfo = parseNetworkInfo(one, `${where}[${i}]`);
    if (networkInfo.name !== undefined) return networkInfo;
    throw new OperatorError("bad_message", `${where}[${i}]: name: the network's name is missing`);
  });
}

/** The namespaces that the isolator works in, so they must be the container's own. */
const NEEDED = ["network", "mount", "uts"];

/**
 * Reads a bundle's config.json: the hostname, and the absolute path of the root directory on the host.
 *
 * @throws {OperatorError} when it can't be read, or the container shares a namespace that would
 *   be changed
 */
export function readBundle(directory: string) {
  const file = join(directory, "config.json");
  let value: unknown;
  try {
    value = parseJson(readTextFile(file));
  } catch (error) {
    throw new OperatorError("bad_message", `${file} can't be read: ${messageOf(error)}`);
  }
  const { hostname, root, linux: { namespaces = [] } } = parse(config, value, file);
  const shared = NEEDED.filter((type) =>
    !namespaces.some((namespace) => namespace.type === type && !namespace.path)
  );
  if (shared.length > 0) {
    throw new OperatorError(
      "shared_namespace",
      `${file}: linux.namespaces: a container that joins networks needs namespaces of its own; ` +
        `add ${shared.map((type) => `{"type": "${type}"}`).join(", ")} without a path`,
    );
  }
  return { hostname: hostname || undefined, rootfs: resolve(directory, root.path) };
}
