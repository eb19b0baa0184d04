/**
 * The isolator's steps as hooks of an OCI runtime (OCI runtime specification, config.md,
 * "POSIX-platform Hooks"), for containers that ask for networks by an annotation.
 */
import { messageOf, OperatorError } from "../base/error.ts";
import { log } from "../base/log.ts";
import { cleanup } from "../isolator/cleanup.ts";
import { isolate } from "../isolator/isolate.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { prepare } from "../isolator/prepare.ts";
import { parseState, readBundle } from "./bundle.ts";

/** The hooks that there are, by the names of the specification. */
export const HOOKS: Readonly<
  Record<string, (isolator: Isolator, state: unknown) => Promise<void>>
> = { createRuntime, poststop };

/**
 * After the runtime has made the namespaces and the mounts, before it changes to the container's
 * root: so files are bound over the image's /etc below the bundle's root directory, which the
 * container's mount namespace still sees at its path on the host.
 *
 * @throws {OperatorError} after which nothing of the container is left
 */
async function createRuntime(isolator: Isolator, state: unknown): Promise<void> {
  const container = parseState(state, "state on standard input");
  if (!container) return;
  const { id, pid, bundle, networkInfos } = container;
  if (!pid) {
    throw new OperatorError("bad_message", "state on standard input: pid: is missing");
  }
  const { hostname, rootfs } = readBundle(bundle);
  await isolator.locks.hold(id, async () => {
    const container_info = { type: "MESOS", hostname, network_infos: networkInfos };
    await prepare(isolator, id, { container_info, rootfs });
    try {
      await isolate(isolator, id, pid);
    } catch (error) {
      // A runtime need not call poststop for a container that it could not create.
      await cleanup(isolator, id, { alive: true }).catch((second) => {
        log.error("cleaning up failed", { container: id, error: messageOf(second) });
      });
      throw error;
    }
  });
}

/**
 * After the container was deleted. May be repeated.
 *
 * @throws {OperatorError} after which the cleanup can be repeated
 */
async function poststop(isolator: Isolator, state: unknown): Promise<void> {
  const container = parseState(state, "state on standard input");
  if (!container) return;
  await isolator.locks.hold(container.id, () => cleanup(isolator, container.id));
}
