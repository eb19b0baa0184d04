/** The nftables backend: the elements of one table, changed by one `nft -f -` each time. */
import { OperatorError } from "../base/error.ts";
import type { FileLock } from "../kernel/lock.ts";
import { Rules } from "../nft/rules.ts";
import { type Attachment, commentOf } from "./mapping.ts";
import type { Backend, Removal, Snapshot } from "./backend.ts";
import {
  addScript,
  CHAINS,
  deleteScript,
  type Element,
  nameOf,
  nearbyElements,
  ownElements,
  TABLE,
  tableScript,
} from "./nftables_script.ts";
import type { Record } from "./state.ts";
import { findTool, type Output, runTool, type StartedTool, startTool } from "../program/tool.ts";

export class Nftables implements Backend {
  constructor(private readonly path: string) {}

  // deno-lint-ignore require-await
  async start(lock: FileLock): Promise<StartedTool> {
    return startTool(this.#file(), FROM_STDIN, lock);
  }

  async install(record: Record, lock: FileLock, started?: StartedTool): Promise<undefined> {
    const elements = ownElements(record);
    const add = addScript(elements, record.containerId) + addScript(nearbyElements(record));
    const structure = isComplete() ? "" : tableScript();
    const first = await (started ?? await this.start(lock)).finish(structure + add);
    if (first.code === 0) return;
    // A set that somebody deleted, or elements of an attachment that is no more: the claims say
    // that these ports are this container's. (An element that is equal is no error.)
    const stale = (await this.#elements()).filter(({ element, comment }) =>
      comment === commentOf(record.containerId) ||
      elements.some(({ set, key }) => set === element.set && `${key}` === `${element.key}`)
    );
    const script = tableScript() + deleteScript(stale.map(({ element }) => element)) + add;
    const second = await this.#nft(FROM_STDIN, { stdin: script, lock });
    if (second.code !== 0) throw failure("could not be changed", second);
  }

  async remove(attachment: Removal, lock: FileLock): Promise<boolean> {
    if (attachment.endpoints && attachment.mappings) {
      const known = ownElements(attachment as Attachment);
      if (known.length === 0) return true;
      const { code } = await this.#nft(FROM_STDIN, { stdin: deleteScript(known), lock });
      if (code === 0) return true;
    }
    const comment = commentOf(attachment.containerId);
    const own = (await this.#elements()).filter((one) => one.comment === comment);
    if (own.length === 0) return true;
    const output = await this.#nft(FROM_STDIN, {
      stdin: deleteScript(own.map(({ element }) => element)),
      lock,
    });
    if (output.code !== 0) throw failure("could not be changed", output);
    return false;
  }

  isInstalled(): boolean {
    return findTool("nft", this.path) !== undefined;
  }

  async read(): Promise<Snapshot> {
    const complete = isComplete();
    const present = new Set((await this.#elements()).map(({ element }) => nameOf(element)));
    return {
      missing: (attachment) => {
        const wanted = [...ownElements(attachment), ...nearbyElements(attachment)].map(nameOf);
        const missing = wanted.filter((name) => !present.has(name));
        return complete ? missing : [`rules of the table inet ${TABLE}`, ...missing];
      },
    };
  }

  async ready(): Promise<void> {
    const output = await this.#nft(["-j", "list", "tables"]);
    if (output.code !== 0) throw failure("could not be read", output);
  }

  /** All elements of the table, with their comments. */
  async #elements(): Promise<{ element: Element; comment?: string }[]> {
    const rules = new Rules("inet");
    if (!rules.hasChain(TABLE, "mappings")) return [];
    const output = await this.#nft(["-j", "list", "table", "inet", TABLE]);
    if (output.code !== 0) throw failure("could not be read", output);
    return readElements(output.stdout);
  }

  async #nft(
    args: readonly string[],
    options: { stdin?: string; lock?: FileLock } = {},
  ): Promise<Output> {
    return await runTool(this.#file(), args, options);
  }

  #file(): string {
    const file = findTool("nft", this.path);
    if (file) return file;
    throw new OperatorError(
      "no_nft",
      `nft is not installed: there is none in ${this.path || "the empty PATH"} nor in the ` +
        'system\'s directories; install nftables, or use "backend": "iptables"',
    );
  }
}

/** Arguments for a script that comes by standard input; one transaction. */
const FROM_STDIN = ["-f", "-"];

/** Whether all chains have all their rules: asked of the kernel, which is quicker than a process. */
function isComplete(): boolean {
  const rules = new Rules("inet");
  return Object.entries(CHAINS).every(([name, chain]) =>
    rules.count(TABLE, name) === chain.rules.length
  );
}

/** Elements in nft's JSON (libnftables-json(5)): of sets, and pairs of maps. */
export function readElements(text: string): { element: Element; comment?: string }[] {
  const objects: { set?: NftSet; map?: NftSet }[] = JSON.parse(text).nftables;
  return objects.flatMap(({ set, map }) => {
    const { name, elem = [] } = set ?? map ?? { name: "" };
    return elem.map((one) => {
      const [left, right] = map ? one as [NftKey, NftConcat] : [one as NftKey];
      const { val, comment } = "elem" in left ? left.elem : { val: left };
      const value = right && parts(right);
      return { element: { set: name, key: parts(val), ...(value && { value }) }, comment };
    });
  });
}

interface NftSet {
  name: string;
  elem?: (NftKey | [NftKey, NftConcat])[];
}
type NftKey = NftConcat | { elem: { val: NftConcat; comment?: string } };
interface NftConcat {
  concat: (string | number | { prefix: { addr: string; len: number } })[];
}

function parts({ concat }: NftConcat): (string | number)[] {
  return concat.map((part) =>
    typeof part === "object" ? `${part.prefix.addr}/${part.prefix.len}` : part
  );
}

function failure(what: string, output: Output): OperatorError {
  return new OperatorError(
    "nft_failed",
    `nftables rules ${what}: nft ended with ${output.code}: ` +
      (output.stderr || "no message").replaceAll(/\s*\n\s*/g, "; ").slice(0, 1000),
  );
}
