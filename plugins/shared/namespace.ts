/** The container's network namespace, where there is one. */
import { errno, unless } from "../../lib/base/unless.ts";
import { isNamespaceHandle } from "../../lib/kernel/namespaces.ts";
import { wrong } from "../../lib/cni/fields.ts";
import { Netlink } from "../../lib/netlink/mod.ts";

/**
 * Opens netlink in a namespace that may be gone: after a reboot its handle is an empty file.
 *
 * @returns undefined where there is none
 * @throws {SystemError}
 */
export function openNamespace(netns: string | undefined): Netlink | undefined {
  if (!netns || !isNamespaceHandle(netns)) return undefined;
  // It may go between the look and the step.
  return unless(errno("ENOENT"), () => Netlink.open(netns));
}

/** @throws {CniError} if the container has an interface of the name that is to be made */
export function requireFree(container: Netlink, ifName: string): void {
  if (container.findLink(ifName)) throw wrong(`the container has an interface ${ifName} already`);
}
