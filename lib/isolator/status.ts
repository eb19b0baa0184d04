/** What a container's networks gave it. */
import { messageOf } from "../base/error.ts";
import { readResult } from "../cni/result.ts";
import { isObject } from "../base/json.ts";
import { log } from "../base/log.ts";
import { type ContainerId, parentOf } from "../mesos/container_id.ts";
import type { ContainerStatus, NetworkInfo } from "../mesos/messages.ts";
import { attachedResult } from "./attach.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import type { Isolator } from "./isolator.ts";
import type { Attachment } from "../containers/layout.ts";
import { withoutPrefix } from "./network_files.ts";
import { networkInfoOf } from "../containers/network_info.ts";
import { readRequest } from "../containers/request.ts";

/**
 * The networks that a container has joined, with the addresses it was given in place of any it
 * asked for. One that shares its parent's network has its parent's.
 */
export function status(isolator: Isolator, id: ContainerId): ContainerStatus {
  const { layout } = isolator.settings;
  const attachments = layout.listAttachments(id);
  const parent = parentOf(id);
  if (attachments.length === 0 && parent && readRequest(layout, id)?.mode !== "own") {
    return status(isolator, parent);
  }
  return {
    network_infos: attachments.flatMap((attachment) => {
      const result = attachedResult(isolator, id, attachment);
      if (!result) return [];
      const { ips } = readResult(result, layout.result(id, attachment.network, attachment.ifName));
      return [{
        ...requested(isolator, id, attachment),
        ip_addresses: ips.map(({ address }) => ({
          protocol: address.includes(":") ? "IPv6" : "IPv4",
          ip_address: withoutPrefix(address),
        })),
      }];
    }),
  };
}

/** What was asked of a network: it went into the config that its plugin was called with. */
function requested(
  { settings: { layout } }: Isolator,
  id: ContainerId,
  { network }: Attachment,
): NetworkInfo {
  const path = layout.config(id, network);
  try {
    const config = JSON.parse(readCheckpoint(path) ?? "null");
    return (isObject(config) ? networkInfoOf(config) : undefined) ?? { name: network };
  } catch (error) {
    log.warning("ignoring a damaged checkpoint", {
      container: id,
      file: path,
      error: messageOf(error),
    });
    return { name: network };
  }
}
