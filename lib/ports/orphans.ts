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
import { commentOf, describeMapping, type Mapping, PROTOCOLS } from "./mapping.ts";
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

function meets(a: Mapping, b: Omit<Orphan, "comment">): boolean {
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
  const { allElements } = await import("./nftables.ts");
  const recorded = new Set(readRecords().map(({ containerId }) => commentOf(containerId)));
  return [...await ofIptables(path), ...ofElements(allElements())]
    .filter(({ comment }) => !recorded.has(comment));
}

async function ofIptables(path: string): Promise<Orphan[]> {
  const { listTaggedLines } = await import("./tagged_rules.ts");
  try {
    return (await listTaggedLines(path)).flatMap(({ line, comment }) => {
      const [, protocol, port] = /-p (\w+) .*--dport (\d+) .*-j DNAT/.exec(line) ?? [];
      const known = PROTOCOLS.find((one) => one === protocol);
      if (!known || !port) return [];
      const hostAddress = /-d ([0-9a-f.:]+)\/(?:32|128) /.exec(line)?.[1];
      return [{ protocol: known, hostPort: Number(port), hostAddress, comment }];
    });
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.info("cannot look for rules without a record", { error: error.message });
    return [];
  }
}

function ofElements(
  elements: readonly { set: string; key: readonly (string | number)[]; comment?: string }[],
): Orphan[] {
  return elements.flatMap(({ set, key, comment }) => {
    if (!set.startsWith("ports") || comment === undefined) return [];
    const [port, protocol, address] = [...key].reverse();
    const known = PROTOCOLS.find((one) => one === protocol);
    if (!known) return [];
    const hostAddress = address === undefined ? undefined : String(address);
    return [{ protocol: known, hostPort: Number(port), hostAddress, comment }];
  });
}
