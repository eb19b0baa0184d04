/** The iptables of this host: which of the two kinds it is, whether it will do, and running it. */
import { OperatorError } from "../base/error.ts";
import { FileLock } from "../kernel/lock.ts";
import { type Family } from "../base/ip.ts";
import { writeCheckpoint } from "../kernel/atomic_file.ts";
import { log } from "../base/log.ts";
import { readProcFile } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import type { IptablesVariant } from "./record.ts";
import { STATE_DIR, STATE_MODE } from "./state_dir.ts";
import { findTool, type Output, runTool } from "../program/tool.ts";

export interface IptablesInfo {
  file: string;
  /** Of `file`, by which a replaced program is noticed. */
  size: number;
  modified: number;
  version: string;
  variant: IptablesVariant;
}

const NAMES: Readonly<Record<Family, string>> = { 4: "iptables", 6: "ip6tables" };
/** The first with `-w`, which waits for other programs' changes. */
const LEAST_VERSION = "1.4.20";
/** The first whose iptables-restore takes the lock itself. */
const LOCKING_RESTORE = "1.6.2";
const XTABLES_LOCK = "/run/xtables.lock";
const WAIT_SECONDS = 30;

/** iptables for one family of addresses. */
export class IptablesTool {
  private constructor(
    readonly family: Family,
    readonly info: IptablesInfo,
    private readonly name: string,
    private readonly path: string,
  ) {}

  static isInstalled(family: Family, path: string): boolean {
    return findTool(NAMES[family], path) !== undefined;
  }

  /**
   * Finds iptables and, when it is a program not seen before, checks what it can do.
   *
   * @throws {OperatorError} `no_iptables`, `old_iptables`, `no_comment_match`
   */
  static async find(family: Family, path: string): Promise<IptablesTool> {
    const name = NAMES[family];
    const tool = await IptablesTool.#find(family, name, path);
    if (tool) return tool;
    throw new OperatorError(
      "no_iptables",
      `${name} is not installed: there is none in ${path || "the empty PATH"} nor in the ` +
        `system's directories; install iptables ${LEAST_VERSION} or newer`,
    );
  }

  /**
   * The iptables of the legacy kind, if there is one: rules that were written by it stay its own
   * when the host's iptables has become of the other kind.
   */
  static async findLegacy(family: Family, path: string): Promise<IptablesTool | undefined> {
    for (const name of [NAMES[family], `${NAMES[family]}-legacy`]) {
      const tool = await IptablesTool.#find(family, name, path);
      if (tool?.info.variant === "legacy") return tool;
    }
    return undefined;
  }

  static async #find(family: Family, name: string, path: string) {
    const file = findTool(name, path);
    if (!file) return undefined;
    const { size, mtime } = Deno.statSync(file);
    const identity = { file, size, modified: mtime?.getTime() ?? 0 };
    const memory = `${STATE_DIR}/${name}.json`;
    const known = readMemory(memory);
    if (
      known && known.file === identity.file && known.size === identity.size &&
      known.modified === identity.modified
    ) return new IptablesTool(family, known, name, path);

    const info = { ...identity, ...await examine(file, name) };
    remember(memory, info);
    return new IptablesTool(family, info, name, path);
  }

  /** The rules of the nat table, or of all, as text: one process. @throws {OperatorError} */
  async save(table?: string): Promise<string> {
    const output = await runTool(this.#tool("save"), table ? ["-t", table] : []);
    if (output.code !== 0) throw failure("could not be read", this.#tool("save"), output);
    return output.stdout;
  }

  /**
   * Makes changes, all or none of each table: one process.
   *
   * @throws {OperatorError} `iptables_failed`
   */
  async restore(changes: string, lock: FileLock): Promise<void> {
    using _ = this.#restoreWaits ? undefined : await takeXtablesLock();
    const args = ["--noflush", ...(this.#restoreWaits ? [`--wait=${WAIT_SECONDS}`] : [])];
    const output = await runTool(this.#tool("restore"), args, { stdin: changes, lock });
    if (output.code !== 0) {
      throw failure("could not be changed", this.#tool("restore"), output, changes);
    }
  }

  get #restoreWaits(): boolean {
    return !isOlder(this.info.version, LOCKING_RESTORE);
  }

  #tool(what: "save" | "restore"): string {
    const name = `${this.name}-${what}`;
    const file = findTool(name, this.path);
    if (file) return file;
    throw new OperatorError("no_iptables", `${name} is not installed beside ${this.info.file}`);
  }
}

function readMemory(file: string): IptablesInfo | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    // Half a file is as good as none: it is written again.
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** What is not remembered is only found out anew: removal must not need room on the disk for it. */
function remember(file: string, info: IptablesInfo): void {
  try {
    writeCheckpoint(file, JSON.stringify(info), STATE_MODE.file);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.info("what was found out about iptables is not remembered", { error: error.message });
  }
}

/** Whether the legacy kind has ever had a nat table since the kernel was started. */
export function hasLegacyRules(family: Family): boolean {
  try {
    const names = readProcFile(`/proc/net/${family === 4 ? "ip" : "ip6"}_tables_names`);
    return names.split("\n").includes("nat");
  } catch (error) {
    if (error instanceof SystemError) return false;
    throw error;
  }
}

async function examine(
  file: string,
  name: string,
): Promise<{ version: string; variant: IptablesVariant }> {
  const { stdout, stderr, code } = await runTool(file, ["--version"]);
  const found = /v(\d+(?:\.\d+)+)(?:\s+\((\w+)\))?/.exec(stdout);
  if (code !== 0 || !found) {
    throw new OperatorError("old_iptables", `${file} --version says: ${stdout || stderr}`);
  }
  const version = found[1]!;
  if (isOlder(version, LEAST_VERSION)) {
    throw new OperatorError(
      "old_iptables",
      `${file} is ${name} ${version}; needed is ${LEAST_VERSION} or newer, which can wait for ` +
        "other programs' changes (-w)",
    );
  }
  const match = await runTool(file, ["-m", "comment", "--help"]);
  if (match.code !== 0) {
    throw new OperatorError(
      "no_comment_match",
      `${file} has no comment match, by which a container's rules are known: ${match.stderr}; ` +
        "install its extensions (libxt_comment)",
    );
  }
  return { version, variant: found[2] === "nf_tables" ? "nf_tables" : "legacy" };
}

function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map((text) => text.split(".").map(Number)) as [number[], number[]];
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

async function takeXtablesLock(): Promise<FileLock> {
  const lock = await FileLock.take(XTABLES_LOCK, WAIT_SECONDS * 1000);
  if (lock) return lock;
  throw new OperatorError(
    "iptables_busy",
    `another program has held ${XTABLES_LOCK} for ${WAIT_SECONDS} s; try again later`,
  );
}

function failure(what: string, file: string, output: Output, changes = ""): OperatorError {
  const line = /line[: ]+(\d+)/.exec(output.stderr)?.[1];
  const text = line && changes.split("\n")[Number(line) - 1];
  return new OperatorError(
    "iptables_failed",
    `iptables rules ${what}: ${file} ended with ${output.code}: ` +
      (output.stderr || "no message").replaceAll(/\s*\n\s*/g, "; ") +
      (text ? ` (${text})` : ""),
  );
}
