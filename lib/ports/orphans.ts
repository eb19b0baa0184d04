/**
 * Rules without a record: somebody wiped the state, or a record was damaged, while containers that
 * have ports live on. Their ports must not be given to others, though nobody claims them.
 */
import { readCheckpoint, writeCheckpoint } from "../kernel/atomic_file.ts";
import { OperatorError } from "../base/error.ts";
import { ANY_ADDRESS } from "../base/ip.ts";
import { isObject } from "../base/json.ts";
import { log } from "../base/log.ts";
import { overlap } from "./claims.ts";
import { commentOf, describeMapping, type Mapping } from "./mapping.ts";
import { readRecords } from "./record.ts";
import { ORPHANS, STATE_MODE } from "./state_dir.ts";

interface Orphan extends Omit<Mapping, "containerPort"> {
  /** As the rule's comment names the container. */
  comment: string;
}

/**
 * Refuses ports that a rule leads to a container which is not on record.
 *
 * @throws {OperatorError} `port_taken`
 */
export async function refuseOrphans(
  { containerId, mappings }: { containerId: string; mappings: readonly Mapping[] },
  path: string,
): Promise<void> {
  // None: the first look of this boot, or since the state was wiped or damaged.
  const known = read();
  if (known && known.length === 0) return;
  const isInTheWay = ({ comment, ...other }: Orphan) =>
    comment !== commentOf(containerId) && mappings.some((mapping) => meets(mapping, other));
  if (known && !known.some(isInTheWay)) return;
  const now = await look(path);
  const orphan = now.find(isInTheWay);
  writeCheckpoint(ORPHANS, JSON.stringify(now), STATE_MODE.file);
  if (!orphan) return;
  throw new OperatorError(
    "port_taken",
    `host port ${describeMapping({ ...orphan, containerPort: 0 })} leads to a container that is ` +
      `not on record ("${orphan.comment}"): if it lives, choose another port; if it does not, ` +
      "remove its rules with: mesos-cni gc --apply",
  );
}

/** Whether two mappings are of one port, and of an address of the host that both have. */
export function meets(a: Mapping, b: Omit<Mapping, "containerPort">): boolean {
  if (a.protocol !== b.protocol || a.hostPort !== b.hostPort) return false;
  const addresses = ({ hostAddress }: { hostAddress?: string }) =>
    hostAddress === undefined ? Object.values(ANY_ADDRESS) : [hostAddress];
  return addresses(a).some((one) => addresses(b).some((other) => overlap(one, other)));
}

function read(): Orphan[] | undefined {
  try {
    const text = readCheckpoint(ORPHANS);
    const list: unknown = text === undefined ? undefined : JSON.parse(text);
    return Array.isArray(list) && list.every(isObject) ? list as unknown as Orphan[] : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The rules and elements with a container's comment, without those that a record explains. */
async function look(path: string): Promise<Orphan[]> {
  const { listTagged } = await import("./tagged_rules.ts");
  const recorded = new Set(readRecords().map(({ containerId }) => commentOf(containerId)));
  try {
    return (await listTagged(path)).filter(({ comment }) => !recorded.has(comment))
      .map(({ protocol, hostPort, hostAddress, comment }) => ({
        ...{ protocol, hostPort, comment },
        ...hostAddress === undefined ? {} : { hostAddress },
      }));
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.info("cannot look for rules without a record", { error: error.message });
    return [];
  }
}
