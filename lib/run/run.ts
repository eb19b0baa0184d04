/** One container from its start to its end: what mesos-execute does, on this machine alone. */
import { OperatorError } from "../base/error.ts";
import { log, reasonOf } from "../base/log.ts";
import { isForeground } from "../kernel/process.ts";
import {
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWUTS,
  type NamespaceKind,
} from "../kernel/namespaces.ts";
import { type ContainerId, parentOf } from "../mesos/container_id.ts";
import type { ContainerConfig, ContainerLaunchInfo } from "../mesos/messages.ts";
import { cleanup } from "../isolator/cleanup.ts";
import { isolate } from "../isolator/isolate.ts";
import type { Isolator } from "../isolator/isolator.ts";
import { Launcher, type Order } from "./launcher.ts";
import { killMembers } from "../containers/liveness.ts";
import { prepare } from "../isolator/prepare.ts";
import { SignalRelay } from "../base/signals.ts";

const KINDS: Readonly<Record<number, NamespaceKind>> = {
  [CLONE_NEWNS]: "mnt",
  [CLONE_NEWNET]: "net",
  [CLONE_NEWUTS]: "uts",
};

/**
 * Runs a command in a container and removes the container when the command has ended, however it
 * ended.
 *
 * @returns the command's exit code, 128 + n if signal n ended it, or 1 if the cleanup failed
 * @throws {OperatorError} when the container can't be made; nothing is left of it then
 */
export async function run(
  isolator: Isolator,
  id: ContainerId,
  config: ContainerConfig,
  order: Order,
): Promise<number> {
  if (parentOf(id) && !config.container_info?.network_infos?.length) {
    throw new OperatorError(
      "no_network",
      `container ${id} is nested and would share the network of ${parentOf(id)}: to run a ` +
        `command in that, use mesos-cni netns exec; for a network of its own, --networks`,
    );
  }
  using signals = new SignalRelay();
  const launchInfo = await isolator.locks.hold(id, () => prepare(isolator, id, config));
  let code: number;
  try {
    const namespaces = namespacesOf(launchInfo, order);
    code = await launchAndWait(isolator, id, signals, namespaces, {
      ...order,
      env: {
        ...order.env,
        ...Object.fromEntries(
          launchInfo.environment?.variables.map(({ name, value }) => [name, value]) ?? [],
        ),
      },
    });
  } catch (error) {
    await cleanUp(isolator, id);
    throw error;
  }
  return await cleanUp(isolator, id) || code !== 0 ? code : 1;
}

/** An image needs mounts of its own, also where the network is the agent's. */
function namespacesOf(launchInfo: ContainerLaunchInfo, { rootfs }: Order): NamespaceKind[] {
  const flags = launchInfo.clone_namespaces ?? (rootfs === undefined ? [] : [CLONE_NEWNS]);
  return flags.map((flag) => KINDS[flag]!);
}

async function launchAndWait(
  isolator: Isolator,
  id: ContainerId,
  signals: SignalRelay,
  namespaces: NamespaceKind[],
  order: Order,
): Promise<number> {
  const launcher = Launcher.start(namespaces);
  try {
    // A plugin that is at work is ended by a signal too: what it has begun is undone by its DEL.
    const ending = new AbortController();
    signals.onReceived = () => ending.abort();
    try {
      if (!signals.received) {
        await isolator.locks.hold(id, () => isolate(isolator, id, launcher.pid, ending.signal));
      }
    } catch (error) {
      if (!ending.signal.aborted || !(error instanceof OperatorError)) throw error;
    }
    const { received } = signals;
    if (received) return received.exitCode;
    const typedKeysArrive = isForeground();
    launcher.go(order);
    signals.relay((signal) => {
      // Keys such as Ctrl-C have the terminal signal the command as well as this process.
      const typed = typedKeysArrive && (signal === "SIGINT" || signal === "SIGQUIT");
      if (!typed) launcher.signal(signal);
    });
    return await launcher.exitCode;
  } finally {
    launcher.signal("SIGKILL");
    await launcher.exitCode;
  }
}

/** @returns whether nothing is left; if something is, it has been said */
async function cleanUp(isolator: Isolator, id: ContainerId): Promise<boolean> {
  try {
    await killMembers(isolator.settings.layout, id);
    await isolator.locks.hold(id, () => cleanup(isolator, id));
    return true;
  } catch (error) {
    log.error(reasonOf(error), { container: id });
    return false;
  }
}
