/**
 * Host ports that rules lead to containers which are not on record: of the reference's portmap, on a host
 * where both have attached containers; or somebody wiped the state, or a record was damaged, while
 * containers that have ports live on. Such a port must not be given to another, though nobody claims it.
 */
import { readCheckpoint, writeCheckpoint } from "../kernel/atomic_file.ts";
import { OperatorError } from "../base/error.ts";
import { ANY_ADDRESS, canonicalAddress, familyOfKnown } from "../base/ip.ts";
import { isObject } from "../base/json.ts";
import { isA, unless } from "../base/unless.ts";
import { log } from "../base/log.ts";
import { type LedPort, ledPorts } from "../firewall/led_ports.ts";
import { commentOf, names } from "../firewall/owner.ts";
import { STATE_MODE } from "../firewall/records.ts";
import { claimedAddresses, overlap } from "./claims.ts";
import { describeMapping, type Endpoint, type Mapping, type Owner } from "./mapping.ts";
import { records } from "./record.ts";
import { ORPHANS } from "./state_dir.ts";

/**
 * Refuses ports that a rule leads to another container which is not on record.
 *
 * @throws {OperatorError} `port_taken`, naming it
 */
export async function refuseStrangers(
  { containerId, mappings }: { containerId: string; mappings: readonly Mapping[] },
  path: string,
): Promise<void> {
  if (mappings.length === 0) return;
  const isInTheWay = (port: LedPort) =>
    !names(port.owner!, containerId) && mappings.some((mapping) => meets(mapping, port));
  // None: the first look of this boot, or since the state was wiped or damaged.
  let orphans = read();
  if (!orphans || orphans.some(isInTheWay)) {
    orphans = await look(path);
    writeCheckpoint(ORPHANS, JSON.stringify(orphans), STATE_MODE.file);
  }
  const portmap = mappings.map(({ hostPort }) => hostPort);
  const portmaps = (await ledPorts(path, { portmap })).filter(({ owner }) => owner);
  const port = [...orphans, ...portmaps].find(isInTheWay);
  if (!port) return;
  const { containerId: holder, network } = port.owner!;
  const where = describeMapping({ ...port, containerPort: 0 });
  const known = network === undefined ? "" : `network ${network}, `;
  throw new OperatorError(
    "port_taken",
    `host port ${where} ` +
      (port.by
        ? `is taken by container ${holder} (${known}by the portmap of containernetworking/plugins, to ` +
          `${port.to.address})`
        : `leads to a container that is not on record ("${commentOf(holder)}")`) +
      ": if it lives, choose another port; if it does not, remove its rules with: mesos-cni gc --apply",
  );
}

/** Whether a mapping and a led port are of an address of the host that both have. */
function meets(mapping: Mapping, port: LedPort): boolean {
  if (mapping.protocol !== port.protocol || mapping.hostPort !== port.hostPort) return false;
  const other = port.hostAddress ?? ANY_ADDRESS[port.family];
  return claimedAddresses(mapping).some((one) => overlap(one, other));
}

function read(): LedPort[] | undefined {
  const text = readCheckpoint(ORPHANS) ?? "null";
  const list: unknown = unless(isA(SyntaxError), () => JSON.parse(text));
  const isWhole = Array.isArray(list) &&
    list.every((one) => isObject(one) && isObject(one.owner) && isObject(one.to));
  return isWhole ? list as unknown as LedPort[] : undefined;
}

/** The port mapper's rules and elements, without those that a record explains. */
async function look(path: string): Promise<LedPort[]> {
  const recorded = new Set(records.list().map(({ containerId }) => commentOf(containerId)));
  try {
    return (await ledPorts(path)).filter(({ owner, by }) =>
      owner && !by && !recorded.has(commentOf(owner.containerId))
    );
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.info("cannot look for rules without a record", { error: error.message });
    return [];
  }
}

/** Whether the reference's portmap leads all mappings to the container. @throws {OperatorError} */
export async function isLedByReference(
  { containerId, network }: Owner,
  mappings: readonly Mapping[],
  endpoints: readonly Endpoint[],
  path: string,
): Promise<boolean> {
  const portmap = mappings.map(({ hostPort }) => hostPort);
  const own = (await ledPorts(path, { portmap })).filter(({ owner }) =>
    owner?.containerId === containerId && (owner.network ?? network) === network
  );
  return mappings.every((mapping) =>
    endpoints.filter(({ family }) =>
      mapping.hostAddress === undefined || familyOfKnown(mapping.hostAddress) === family
    ).every((endpoint) => own.some((port) => leads(port, mapping, endpoint)))
  );
}

function leads(port: LedPort, mapping: Mapping, endpoint: Endpoint): boolean {
  const { hostAddress } = mapping;
  const isAny = hostAddress === undefined || hostAddress === ANY_ADDRESS[endpoint.family];
  return port.family === endpoint.family && port.protocol === mapping.protocol &&
    port.hostPort === mapping.hostPort && port.hostAddress === (isAny ? undefined : hostAddress) &&
    port.to.address === canonicalAddress(endpoint.address) &&
    port.to.port === mapping.containerPort;
}
