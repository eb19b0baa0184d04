/**
 * Host ports that rules lead to containers which are not on record: of the reference's portmap, on a host
 * where both have attached containers; or somebody wiped the state, or a record was damaged, while
 * containers that have ports live on. Such a port must not be given to another, though nobody claims it.
 */
import { readCheckpoint, writeCheckpoint } from "../kernel/atomic_file.ts";
import { OperatorError } from "../base/error.ts";
import { statOf } from "../base/exists.ts";
import { hashOf } from "../base/hash.ts";
import { ANY_ADDRESS, canonicalAddress, FAMILIES, familyOfKnown } from "../base/ip.ts";
import { isObject } from "../base/json.ts";
import { isA, tried, unless } from "../base/unless.ts";
import { log } from "../base/log.ts";
import { Firewall } from "../firewall/firewall.ts";
import { type LedPort, ledPorts } from "../firewall/led_ports.ts";
import { currentGeneration } from "../firewall/nf_tables.ts";
import { commentOf, names } from "../firewall/owner.ts";
import { STATE_MODE } from "../firewall/records.ts";
import { jumpOf } from "../firewall/rule.ts";
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
  // None: the first look of this boot, or since the state was wiped or damaged, or somebody has added rules.
  const now = await rulesNow();
  let orphans = isFrom(now) ? read() : undefined;
  if (!orphans || orphans.some(isInTheWay)) {
    orphans = await look(path);
    writeCheckpoint(ORPHANS, JSON.stringify(orphans), STATE_MODE.file);
    stamp(now);
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

/** Whether what was found is of the rules as they are. */
const isFrom = (rules: number) => statOf(ORPHANS)?.mtime?.getTime() === rules;

/** Where that fails, rules are looked for once more. */
function stamp(rules: number): void {
  tried(() => Deno.utimeSync(ORPHANS, new Date(), new Date(rules)), undefined);
}

/**
 * For a change of one's own, by which what was found is as good as before.
 *
 * @returns what is to be called after it
 */
export async function changingRules(): Promise<() => Promise<void>> {
  if (!isFrom(await rulesNow())) return () => Promise.resolve();
  return async () => stamp(await rulesNow());
}

/**
 * A number that changes with each rule that is added where packets to this host are led on: of the handles of the
 * jumps, and how many rules are behind each. To read those takes 60 ms where there are ten thousand. Of the
 * legacy kind it tells nothing.
 */
async function rulesNow(): Promise<number> {
  if (currentGeneration() === undefined) return 0;
  const view = await Firewall.ofKind("nf_tables", "").look();
  const jumps = FAMILIES.flatMap((family) => {
    const place = { family, table: "nat", chain: "PREROUTING" } as const;
    return view.rules(place).map((rule) => {
      const chain = jumpOf(rule);
      const uses = chain === undefined ? "" : view.chain({ ...place, chain })?.uses;
      return `${family} ${rule.id} ${uses}`;
    });
  });
  return parseInt(await hashOf(jumps.join(), 10), 16);
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
