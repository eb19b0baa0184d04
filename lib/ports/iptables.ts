/**
 * The iptables backend. Where iptables keeps its rules in nf_tables, they are read and deleted
 * over netlink: that costs the same whatever else is in the chain, and only additions need a
 * process. The legacy kind is read with iptables-save.
 */
import { SystemError } from "../kernel/libc.ts";
import type { FileLock } from "../kernel/lock.ts";
import type { RuleHandle } from "../nft/changes.ts";
import { Rules } from "../nft/rules.ts";
import type { TableFamily } from "../nft/wire.ts";
import { type Attachment, commentOf, possibleComments } from "./mapping.ts";
import { type Family } from "../base/ip.ts";
import type { Backend, Removal, Snapshot } from "./backend.ts";
import {
  Changes,
  familiesOf,
  LOOPBACK_CHAIN,
  ownRules,
  SNAT_CHAIN,
  type Structure,
  structure,
} from "./iptables_rules.ts";
import { IptablesTool } from "./iptables_tool.ts";
import type { Record } from "./state.ts";
import type { StartedTool } from "../program/tool.ts";

const TABLE_FAMILY: Readonly<{ [family in Family]: TableFamily }> = { 4: "ip", 6: "ip6" };
const FAMILIES: readonly Family[] = [4, 6];
const ENOENT = 2;

export class Iptables implements Backend {
  constructor(private readonly path: string) {}

  async start(lock: FileLock): Promise<StartedTool> {
    return (await IptablesTool.find(4, this.path)).startRestore(lock);
  }

  async install(
    record: Record,
    lock: FileLock,
    started?: StartedTool,
  ): Promise<Record["handles"]> {
    const handles: Record["handles"] = {};
    const families = familiesOf(record);
    if (!families.includes(4)) await started?.finish();
    for (const family of families) {
      const tool = await IptablesTool.find(family, this.path);
      const install = tool.info.variant === "legacy" ? installLegacy : installOverNetlink;
      handles[family] = await install(tool, record, lock, family === 4 ? started : undefined);
    }
    return handles;
  }

  async remove(attachment: Removal, lock: FileLock): Promise<boolean> {
    let exact = true;
    for (const family of FAMILIES) {
      // Where the endpoints are known, a family without one has no rules.
      if (attachment.endpoints?.length && !attachment.endpoints.some((e) => e.family === family)) {
        continue;
      }
      if (removeByHandles(attachment, family)) continue;
      exact = false;
      // A host that never had ip6tables has no such rules either.
      if (family === 6 && !IptablesTool.isInstalled(family, this.path)) continue;
      const tool = await IptablesTool.find(family, this.path);
      if (tool.info.variant === "legacy") await removeLegacy(tool, attachment, lock);
      else removeByComment(attachment, family);
    }
    return exact;
  }

  isInstalled(): boolean {
    return IptablesTool.isInstalled(4, this.path);
  }

  async read(): Promise<Snapshot> {
    const saved: { [family in Family]?: SavedRules } = {};
    const load = async (family: Family) =>
      new SavedRules(await (await IptablesTool.find(family, this.path)).save());
    saved[4] = await load(4);
    // A host without ip6tables has no IPv6 mappings to miss.
    saved[6] = await load(6).catch(() => undefined);
    return {
      missing: (attachment) =>
        familiesOf(attachment).flatMap((family) =>
          saved[family]?.missing(attachment, family) ?? [`all rules of IPv${family}`]
        ),
    };
  }

  async ready(): Promise<void> {
    await (await IptablesTool.find(4, this.path)).save("nat");
  }
}

async function installOverNetlink(
  tool: IptablesTool,
  record: Record,
  lock: FileLock,
  started?: StartedTool,
): Promise<RuleHandle[] | undefined> {
  const { family } = tool;
  const rules = new Rules(TABLE_FAMILY[family]);
  const change = () => {
    const wanted = structure(record, family);
    return changes(record, family, {
      chains: wanted.chains.filter(({ table, chain }) => !rules.hasChain(table, chain)),
      jumps: wanted.jumps.filter(({ table, chain, target }) =>
        !rules.jumps(table, chain).includes(target)
      ),
    });
  };
  await restore(tool, change, lock, started);
  return undefined;
}

async function installLegacy(
  tool: IptablesTool,
  record: Record,
  lock: FileLock,
  started?: StartedTool,
): Promise<undefined> {
  const { family } = tool;
  const change = async () => {
    const saved = new SavedRules(await tool.save(record.snat ? undefined : "nat"));
    return changes(record, family, saved.missingStructure(record, family));
  };
  await restore(tool, change, lock, started);
  return undefined;
}

/**
 * Another program may make the same chain between our look and our change, which then fails as a
 * whole: so it looks once more.
 */
async function restore(
  tool: IptablesTool,
  change: () => Changes | Promise<Changes>,
  lock: FileLock,
  started?: StartedTool,
): Promise<void> {
  const first = await change();
  if (first.isEmpty) return;
  try {
    await tool.restore(first.toString(), lock, started);
  } catch (error) {
    const second = await change();
    if (second.toString() === first.toString()) throw error;
    if (!second.isEmpty) await tool.restore(second.toString(), lock);
  }
}

/** The attachment's rules and what is missing around them. */
function changes(record: Record, family: Family, missing: Structure): Changes {
  const changes = new Changes();
  for (const { table, chain, rules } of missing.chains) {
    changes.add(table, `-N ${chain}`);
    for (const rule of rules) changes.add(table, `-A ${chain} ${rule}`);
  }
  for (const { table, chain, spec, first } of missing.jumps) {
    changes.add(table, first ? `-I ${chain} 1 ${spec}` : `-A ${chain} ${spec}`);
  }
  for (const { table, chain, spec } of ownRules(record, family)) {
    changes.add(table, `-A ${chain} ${spec}`);
  }
  return changes;
}

/** @returns false if handles are not known, or not all still lead to the attachment's rules */
function removeByHandles(attachment: Removal, family: Family): boolean {
  const handles = attachment.handles?.[family];
  if (!handles) return false;
  const comment = commentOf(attachment.containerId);
  const rules = new Rules(TABLE_FAMILY[family]);
  if (!handles.every((handle) => rules.hasComment(handle, comment))) return false;
  return removeRules(rules, handles);
}

function removeByComment(attachment: Removal, family: Family): void {
  const rules = new Rules(TABLE_FAMILY[family]);
  const comments = possibleComments(attachment.containerId);
  const find = () =>
    [attachment.chain, LOOPBACK_CHAIN, SNAT_CHAIN].flatMap((chain) =>
      rules.withComment("nat", chain, comments)
    );
  // An agent with the original plugin may delete some of them at the same time.
  while (!removeRules(rules, find()));
}

/** @returns false if one of them had just gone; then none was removed */
function removeRules(rules: Rules, handles: readonly RuleHandle[]): boolean {
  try {
    rules.remove(handles);
    return true;
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOENT) return false;
    throw error;
  }
}

async function removeLegacy(tool: IptablesTool, attachment: Removal, lock: FileLock) {
  const change = async () => {
    const changes = new Changes();
    for (const { chain, spec } of new SavedRules(await tool.save("nat")).ownRules(attachment)) {
      changes.add("nat", `-D ${chain} ${spec}`);
    }
    return changes;
  };
  await restore(tool, change, lock);
}

/** The output of iptables-save. */
class SavedRules {
  readonly #lines: readonly string[];
  readonly #known: ReadonlySet<string>;
  readonly #chains: ReadonlySet<string>;

  constructor(text: string) {
    const lines: string[] = [];
    const chains = new Set<string>();
    let table = "";
    for (const line of text.split("\n")) {
      if (line.startsWith("*")) table = line.slice(1);
      else if (line.startsWith("-A ")) lines.push(`${table} ${line}`);
      else if (line.startsWith(":")) chains.add(`${table} ${line.slice(1, line.indexOf(" "))}`);
    }
    this.#lines = lines;
    this.#known = new Set(lines);
    this.#chains = chains;
  }

  missingStructure(attachment: Attachment, family: Family): Structure {
    const { chains, jumps } = structure(attachment, family);
    return {
      chains: chains.filter(({ table, chain }) => !this.#chains.has(`${table} ${chain}`)),
      jumps: jumps.filter(({ table, chain, spec }) => !this.#has(table, chain, spec)),
    };
  }

  missing(attachment: Attachment, family: Family): string[] {
    const { chains, jumps } = this.missingStructure(attachment, family);
    return [
      ...chains.map(({ table, chain }) => `chain ${chain} of table ${table}`),
      ...jumps.map(({ chain, spec }) => `-A ${chain} ${spec}`),
      ...ownRules(attachment, family)
        .filter(({ table, chain, spec }) => !this.#has(table, chain, spec))
        .map(({ chain, spec }) => `-A ${chain} ${spec}`),
    ];
  }

  /** The rules with a container's comment in the chains where ours may be, whoever wrote them. */
  ownRules({ containerId, chain }: Pick<Removal, "containerId" | "chain">) {
    const comments = possibleComments(containerId).map((comment) => ` --comment "${comment}" `);
    return [chain, LOOPBACK_CHAIN, SNAT_CHAIN].flatMap((name) => {
      const start = `nat -A ${name} `;
      return this.#lines.filter((line) =>
        line.startsWith(start) && comments.some((comment) => line.includes(comment))
      ).map((line) => ({ chain: name, spec: line.slice(start.length) }));
    });
  }

  #has(table: string, chain: string, spec: string): boolean {
    return this.#known.has(`${table} -A ${chain} ${spec}`);
  }
}
