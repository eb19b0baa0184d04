/** GC and STATUS of specification 1.1, for the networks that are configured. */
import { askStatus, collectGarbage } from "../../cni/chain.ts";
import { makeDirectory } from "../../kernel/atomic_file.ts";
import { OperatorError } from "../../base/error.ts";
import { reasonOf } from "../../base/log.ts";
import { Pace } from "../../base/pace.ts";
import { FileLock } from "../../kernel/lock.ts";
import { atLeast } from "../../cni/version.ts";
import type { Locate } from "../../cni/invocation.ts";
import { Sight } from "../../netlink/sight.ts";
import { REQUESTS_MODE } from "../../containers/layout.ts";
import type { Isolator } from "../isolator.ts";

/** How long, in ms, to wait for attaches that are under way: longer than one plugin may take. */
const PATIENCE = 70_000;

/** What a network's plugins answered. */
export interface NetworkAnswer {
  network: string;
  /** False if the network's version has no such call. */
  asked: boolean;
  error?: string;
}

/**
 * Tells the plugins of every network which attachments are valid: all that have a checkpoint,
 * whether their container lives or its cleanup is still to come.
 */
export async function collectNetworks(isolator: Isolator): Promise<NetworkAnswer[]> {
  const { layout } = isolator.settings;
  if (!isolator.networks.names().some((name) => isNew(isolator, name))) return [];
  if (!await Sight.ofAllThatLives()) {
    throw new OperatorError(
      "elsewhere",
      "containers live that can't be seen from here: no plugin was told to collect garbage",
    );
  }
  makeDirectory(layout.requests, REQUESTS_MODE);
  // What an ADD takes between the list and the call would be given back under it.
  using _ = await FileLock.require(layout.collectionLock, PATIENCE, "an attach");
  const valid = new Map<string, { containerId: string; ifName: string }[]>();
  const pace = new Pace();
  for (const containerId of layout.listContainers()) {
    for (const { network, ifName } of layout.listAttachments(containerId)) {
      const others = valid.get(network);
      if (others) others.push({ containerId, ifName });
      else valid.set(network, [{ containerId, ifName }]);
    }
    await pace.rest();
  }
  return await ask(
    isolator,
    (name, environment, locate) =>
      collectGarbage(
        isolator.networks.read(name).network,
        environment,
        valid.get(name) ?? [],
        locate,
      ),
  );
}

/** Asks the plugins of every network whether they would take a container now. */
export async function askNetworks(isolator: Isolator): Promise<NetworkAnswer[]> {
  return await ask(
    isolator,
    (name, environment, locate) =>
      askStatus(isolator.networks.read(name).network, environment, locate),
  );
}

function isNew(isolator: Isolator, name: string): boolean {
  return atLeast(isolator.networks.read(name).network.cniVersion, "1.1.0");
}

async function ask(
  isolator: Isolator,
  call: (
    name: string,
    environment: { path: string; searchPath: string },
    locate: Locate,
  ) => Promise<boolean>,
): Promise<NetworkAnswer[]> {
  const searchPath = isolator.searchPath();
  const environment = { path: isolator.settings.path, searchPath };
  const locate: Locate = (type) => isolator.plugin(type, { searchPath });
  return await Promise.all(
    isolator.networks.names().map(async (network) => {
      try {
        return { network, asked: await call(network, environment, locate) };
      } catch (error) {
        return { network, asked: true, error: reasonOf(error) };
      }
    }),
  );
}
