/**
 * The ports of an attachment while it is being made:
 *
 *   ports = await Ports.reserve(…)    the host ports are the container's, or an error says whose
 *   … the container gets its addresses …
 *   await ports.commit(endpoints)     the rules stand; or, if anything failed before
 *   await ports.giveBack()
 */
import { messageOf, OperatorError } from "../base/error.ts";
import type { Firewall } from "../firewall/firewall.ts";
import { changeRules, type FirewallTransaction, type RuleSteps } from "../firewall/transaction.ts";
import { isNamespaceHandle } from "../kernel/namespaces.ts";
import {
  claim,
  findObstacles,
  mendClaims,
  type Obstacle,
  releaseOthers,
  removeDangling,
} from "./claims.ts";
import { backendOf } from "./backends.ts";
import { forgetFlows } from "./flows.ts";
import { closeLocalnet, hostEndOf, localnetOf, openHairpin, openLocalnet } from "./reach.ts";
import { goesOn, namespaceFate, networkNow } from "../netlink/attached_network.ts";
import { refuseOthers } from "./liveness.ts";
import { type ChangesLock, lockChanges, tryLockAttachment } from "./locks.ts";
import { describeMapping, type Endpoint, type Mapping, type PortAttachment } from "./mapping.ts";
import { refuseStrangers } from "./strangers.ts";
import { installedOf, isInstalled, type MappingRecord, records } from "./record.ts";
import { removeRecorded, removeRules } from "./removal.ts";

/** What is asked for: an attachment that has no address yet. */
export type PortRequest = Omit<PortAttachment, "endpoints"> & {
  /** Path of the container's network namespace. */
  netns: string;
  /** As {@link MappingRecord.startsWithProcess}. */
  startsWithProcess: boolean;
};

/**
 * How long, in ms, the holder of a port may take to go that has no process any more, or whose DEL
 * is under way; of Mesos' containers also one that lives: an agent frees a task's ports up to a second
 * before its executor ends and the container is detached. With fourteen that end at a time on an agent
 * of load 28 that took 4.6 s; an executor has a minute to register (executor_registration_timeout).
 */
const HOLDER_PATIENCE_MS = 20_000;
/** Each try holds the lock of all changes: soon at first, then less often. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 400;

/** A reservation of host ports. */
export class Ports {
  private constructor(
    private readonly request: PortRequest,
    private readonly path: string,
  ) {}

  /**
   * Claims the host ports of an attachment, all or none. A port whose holder's container is gone is
   * taken over, and that container's rules with it.
   *
   * @param path PATH of this call, for the programs that change rules
   * @throws {OperatorError} `port_taken`, naming the holder
   */
  static async reserve(request: PortRequest, path: string): Promise<Ports> {
    if (!isNamespaceHandle(request.netns)) {
      throw new OperatorError("no_namespace", `${request.netns} is no network namespace`);
    }
    const deadline = performance.now() + HOLDER_PATIENCE_MS;
    let pause = FIRST_PAUSE_MS;
    while (!await tryReserve(request, path, performance.now() > deadline)) {
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
    return new Ports(request, path);
  }

  /**
   * Puts the rules in place, instead of those of an earlier ADD: now, or with the transaction's
   * commit.
   *
   * @throws {OperatorError} if they could not be; then there are none
   */
  async commit(
    endpoints: readonly Endpoint[],
    transaction: FirewallTransaction | undefined,
  ): Promise<void> {
    const install = (firewall: Firewall) => this.#install(endpoints, firewall);
    await changeRules(transaction, this.path, "ports", install);
  }

  async *#install(endpoints: readonly Endpoint[], firewall: Firewall): RuleSteps {
    using lock = await lockChanges();
    const record = records.read(this.request);
    if (!record) {
      throw new OperatorError(
        "not_reserved",
        `the reservation of container ${this.request.containerId} is gone: somebody removed it`,
      );
    }
    const { earlier, ...reserved } = record;
    try {
      if (earlier) {
        await removeRules(earlier, this.path, lock);
        releaseOthers(earlier, record.mappings);
      }
      yield* put({ ...reserved, endpoints }, this.path, lock, firewall);
    } catch (error) {
      await this.#removeAll(lock, error);
      throw error;
    }
  }

  /**
   * Takes the reservation back, unless rules were made by it. What an earlier ADD of the same attachment
   * did stays.
   *
   * @throws {OperatorError}
   */
  async giveBack(): Promise<void> {
    using _ = await lockChanges();
    const record = records.read(this.request);
    if (record && !isInstalled(record)) takeBack(record);
  }

  /** Half of the rules may stand, and those of an earlier ADD are gone already. */
  async #removeAll(lock: ChangesLock, cause: unknown): Promise<void> {
    try {
      const record = records.read(this.request);
      if (record) await removeRecorded(record, this.path, lock);
    } catch (failure) {
      throw new OperatorError(
        cause instanceof OperatorError ? cause.code : "not_removed",
        `${messageOf(cause)}; what was made of the rules could not be removed: ${
          messageOf(failure)
        }`,
        { cause },
      );
    }
  }
}

/** @returns false if a port's holder is about to go, which another try may find done */
async function tryReserve(asked: PortRequest, path: string, isLast: boolean): Promise<boolean> {
  using lock = await lockChanges();
  await refuseOthers(asked, asked.netns);
  mendClaims(asked.mappings);
  const mappings = asked.mappings.filter((mapping) => !isLedAlready(mapping, asked));
  const request = { ...asked, mappings };
  for (const mapping of request.mappings) {
    for (const obstacle of findObstacles(mapping, request)) {
      // A master gives a task's ports out again while its executor still has a second to live.
      const { holder } = obstacle;
      const mayEnd = request.startsWithProcess && holder?.startsWithProcess === true;
      if (mayEnd && !isLast && namespaceFate(holder) !== "gone") return false;
      if (!await clear(obstacle, mapping, path, lock, isLast)) return false;
    }
  }
  await refuseStrangers(request, path);
  const earlier = installedOf(records.read(request));
  const record = {
    ...request,
    ...networkNow(request.netns),
    endpoints: [],
    ...earlier ? { earlier } : {},
  };
  records.write(record);
  try {
    for (const mapping of request.mappings) claim(mapping, request);
  } catch (error) {
    takeBack(record);
    throw error;
  }
  return true;
}

/** Gives up what is reserved; what an earlier ADD did stays. */
function takeBack(record: MappingRecord): void {
  const { earlier } = record;
  releaseOthers(record, earlier?.mappings ?? []);
  if (earlier) records.write(earlier);
  else records.remove(record);
}

/**
 * Whether a mapping of another network leads the port to this very container: runtimes ask each
 * network of a container for all of its ports, and one rule decides over a packet.
 */
function isLedAlready(mapping: Mapping, request: PortRequest): boolean {
  const obstacles = findObstacles(mapping, request);
  return obstacles.length > 0 &&
    obstacles.every(({ holder }) =>
      holder !== undefined && holder.containerId === request.containerId &&
      holder.netns === request.netns && namespaceFate(holder) === "lives" &&
      holder.mappings.some((one) =>
        describeMapping(one) === describeMapping(mapping) &&
        one.containerPort === mapping.containerPort
      )
    );
}

/**
 * Takes a claim out of the way, if its holder is gone.
 *
 * @returns false if the holder is about to go
 * @throws {OperatorError} `port_taken`
 */
async function clear(
  { claim, holder }: Obstacle,
  mapping: Mapping,
  path: string,
  lock: ChangesLock,
  isLast: boolean,
): Promise<boolean> {
  if (!holder) {
    removeDangling(claim);
    return true;
  }
  if (await goesOn(holder)) throw portTaken(mapping, holder);
  using attachment = tryLockAttachment(holder);
  // Where the namespace is left, its runtime is about to detach the container.
  if (!isLast && (namespaceFate(holder) === "lives" || !attachment)) return false;
  if (!attachment) throw portTaken(mapping, holder);
  await removeRecorded(holder, path, lock);
  return true;
}

function portTaken(mapping: Mapping, holder: MappingRecord): OperatorError {
  return new OperatorError(
    "port_taken",
    `host port ${describeMapping(mapping)} is taken by container ${holder.containerId} ` +
      `(network ${holder.network}, interface ${holder.ifName}, ${holder.netns}); ` +
      "choose another port, or remove that container first",
  );
}

/**
 * The rules before the settings: `route_localnet` is never on without its guard. The record before
 * either, so that they are never without one that leads to them.
 *
 * @throws {OperatorError}
 */
export async function* put(
  record: MappingRecord,
  path: string,
  lock: ChangesLock,
  firewall: Firewall,
): RuleSteps {
  const { handles: _, variants: __, ...rest } = record;
  const bare = { ...rest, wire: hostEndOf(record)?.index ?? rest.wire };
  records.write(bare);
  // Fails where no route leads to the container, and then no table is made either.
  const device = record.snat ? localnetOf(record) : undefined;
  const backend = await backendOf(record.backend, path);
  records.write({ ...bare, ...yield* backend.install(record, lock, firewall) });
  if (device !== undefined) openLocalnet(device, record);
  closeLocalnet(record, device);
  if (record.snat) openHairpin(record);
  forgetFlows(record);
}
