/** The programs of iptables: which of the two kinds they are, whether they will do, running them. */
import { makeDirectory, writeCheckpoint } from "../kernel/atomic_file.ts";
import { OperatorError } from "../base/error.ts";
import type { Family } from "../base/ip.ts";
import { log } from "../base/log.ts";
import { readProcFile } from "../kernel/files.ts";
import { SystemError } from "../kernel/libc.ts";
import type { FileLock } from "../kernel/lock.ts";
import { findTool, type Output, runTool } from "../program/tool.ts";

/** Where iptables keeps its rules: in nf_tables, which netlink reads, or in tables of its own. */
export type Kind = "nf_tables" | "legacy";

/** What was found out about a program, remembered as long as it is the same. */
interface Examined {
  file: string;
  /** Of `file`, by which a replaced program is noticed. */
  size: number;
  modified: number;
  version: string;
  variant: Kind;
}

/** What is known of rules beside those in the kernel, for as long as this boot. */
export const STATE_DIR = "/run/mesos-cni/firewall";
export const STATE_MODE = { directory: 0o700, file: 0o600 } as const;

const NAMES: Readonly<Record<Family, string>> = { 4: "iptables", 6: "ip6tables" };
/** The first of two kinds, which say which they are; both wait for other programs' changes. */
const LEAST_VERSION = "1.8";
const WAIT_SECONDS = 30;
const KINDS_BY_FILE: Readonly<Record<string, Kind>> = { nft: "nf_tables", legacy: "legacy" };

/** iptables for one family of addresses. */
export class IptablesTool {
  private constructor(
    readonly file: string,
    readonly kind: Kind,
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
  static async require(family: Family, path: string): Promise<void> {
    const name = NAMES[family];
    const file = findTool(name, path);
    if (file) return void await examined(file, name);
    throw new OperatorError(
      "no_iptables",
      `${name} is not installed: there is none in ${path || "the empty PATH"} nor in the ` +
        `system's directories; install iptables ${LEAST_VERSION} or newer`,
    );
  }

  static async find(family: Family, path: string): Promise<IptablesTool | undefined> {
    return await IptablesTool.#find(NAMES[family], path);
  }

  /**
   * The iptables of the legacy kind, if there is one: rules that were written by it stay its own
   * when the host's iptables has become of the other kind.
   */
  static async findLegacy(family: Family, path: string): Promise<IptablesTool | undefined> {
    for (const name of [NAMES[family], `${NAMES[family]}-legacy`]) {
      const tool = await IptablesTool.#find(name, path);
      if (tool?.kind === "legacy") return tool;
    }
    return undefined;
  }

  /** The file that distributions link to says of which kind it is, without being run. */
  static async #find(name: string, path: string): Promise<IptablesTool | undefined> {
    const file = findTool(name, path);
    if (!file) return undefined;
    const linked = /-(nft|legacy)-multi$/.exec(Deno.realPathSync(file))?.[1];
    const kind = linked ? KINDS_BY_FILE[linked]! : (await examined(file, name)).variant;
    return new IptablesTool(file, kind, name, path);
  }

  /** The rules of a table, or of all that there are, as text. @throws {OperatorError} */
  async save(table?: string): Promise<string> {
    const output = await runTool(this.#tool("save"), table ? ["-t", table] : []);
    if (output.code !== 0) throw failure("could not be read", this.#tool("save"), output);
    return output.stdout;
  }

  /**
   * Makes changes, all or none of each table. The program itself waits for the lock of all
   * iptables.
   *
   * @throws {OperatorError} `iptables_failed`
   */
  async restore(changes: string, lock?: FileLock): Promise<void> {
    const file = this.#tool("restore");
    const args = ["--noflush", `--wait=${WAIT_SECONDS}`];
    const output = await runTool(file, args, { stdin: changes, ...lock ? { lock } : {} });
    if (output.code !== 0) throw failure("could not be changed", file, output, changes);
  }

  #tool(what: "save" | "restore"): string {
    const name = `${this.name}-${what}`;
    const file = findTool(name, this.path);
    if (file) return file;
    throw new OperatorError("no_iptables", `${name} is not installed beside ${this.file}`);
  }
}

async function examined(file: string, name: string): Promise<Examined> {
  const { size, mtime } = Deno.statSync(file);
  const modified = mtime?.getTime() ?? 0;
  const memory = `${STATE_DIR}/${name}.json`;
  const known = readMemory(memory);
  const isSame = known?.file === file && known.size === size && known.modified === modified;
  if (known && isSame) return known;
  const found = { file, size, modified, ...await examine(file, name) };
  remember(memory, found);
  return found;
}

function readMemory(file: string): Examined | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    // Half a file is as good as none: it is written again. Another user may not read it.
    if (
      error instanceof Deno.errors.NotFound || error instanceof SyntaxError ||
      error instanceof Deno.errors.PermissionDenied
    ) return undefined;
    throw error;
  }
}

/** What is not remembered is only found out anew: removal must not need room on the disk for it. */
function remember(file: string, info: Examined): void {
  try {
    makeDirectory(STATE_DIR, STATE_MODE.directory);
    writeCheckpoint(file, JSON.stringify(info), STATE_MODE.file);
  } catch (error) {
    if (!(error instanceof OperatorError)) throw error;
    log.info("what was found out about iptables is not remembered", { error: error.message });
  }
}

/** The tables that the legacy kind has had since the kernel was started, in this namespace. */
export function legacyTables(family: Family): string[] {
  try {
    const names = readProcFile(`/proc/net/${family === 4 ? "ip" : "ip6"}_tables_names`);
    return names.split("\n").filter((name) => name !== "");
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}

async function examine(file: string, name: string): Promise<{ version: string; variant: Kind }> {
  const { stdout, stderr, code } = await runTool(file, ["--version"]);
  const found = /v(\d+(?:\.\d+)+)(?:\s+\((\w+)\))?/.exec(stdout);
  if (code !== 0 || !found) {
    throw new OperatorError("old_iptables", `${file} --version says: ${stdout || stderr}`);
  }
  const version = found[1]!;
  // Since 1.8 each says of which kind it is.
  if (!found[2]) {
    throw new OperatorError(
      "old_iptables",
      `${file} is ${name} ${version}; needed is ${LEAST_VERSION} or newer`,
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
