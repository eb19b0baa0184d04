/** The programs of iptables: which of the two kinds they are, and running them. */
import { dirname } from "@std/path";
import { OperatorError } from "../base/error.ts";
import { isA, unless, unlessRefused } from "../base/unless.ts";
import { makeDirectory, writeCheckpoint } from "../kernel/atomic_file.ts";
import type { Family } from "../base/ip.ts";
import { readProcFile } from "../kernel/files.ts";
import type { FileLock } from "../kernel/lock.ts";
import { findTool, type Output, runTool } from "../program/tool.ts";
import { STATE_MODE } from "./records.ts";

/** Where iptables keeps its rules: in nf_tables, which netlink reads, or in tables of its own. */
export type Kind = "nf_tables" | "legacy";

const NAMES: Readonly<Record<Family, string>> = { 4: "iptables", 6: "ip6tables" };
/** The oldest that is tested: both kinds say which they are, and wait for other programs' changes. */
export const LEAST_VERSION = "1.8.9";
const WAIT_SECONDS = 30;
const KINDS: Readonly<Record<string, Kind>> = {
  nft: "nf_tables",
  nf_tables: "nf_tables",
  legacy: "legacy",
};

/** iptables for one family of addresses. */
export class IptablesTool {
  private constructor(
    readonly file: string,
    readonly kind: Kind,
    private readonly name: string,
    private readonly path: string,
  ) {}

  /** @throws {OperatorError} `no_iptables`, `old_iptables` */
  static async require(family: Family, path: string): Promise<void> {
    if (await IptablesTool.find(family, path)) return;
    throw new OperatorError(
      "no_iptables",
      `${NAMES[family]} is not installed: there is none in ${
        path || "the empty PATH"
      } nor in the ` +
        `system's directories; install iptables ${LEAST_VERSION} or newer`,
    );
  }

  /** Of the legacy kind, if there is one: its rules stay its own when the host has changed over. */
  static async findLegacy(family: Family, path: string): Promise<IptablesTool | undefined> {
    const usual = await IptablesTool.find(family, path);
    if (usual?.kind === "legacy") return usual;
    const other = await IptablesTool.find(family, path, "-legacy");
    return other?.kind === "legacy" ? other : undefined;
  }

  /** The file that distributions link to says of which kind it is, without being run. */
  static async find(
    family: Family,
    path: string,
    suffix = "",
  ): Promise<IptablesTool | undefined> {
    const name = NAMES[family] + suffix;
    const file = findTool(name, path);
    if (!file) return undefined;
    const linked = /-(nft|legacy)-multi$/.exec(Deno.realPathSync(file))?.[1];
    return new IptablesTool(file, linked ? KINDS[linked]! : await kindOf(file, name), name, path);
  }

  /** The rules of all tables that there are, as text. @throws {OperatorError} */
  async save(): Promise<string> {
    const output = await runTool(this.#tool("save"), []);
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

/** The tables that the legacy kind has had since the kernel was started, in this namespace. */
export function legacyTables(family: Family): string[] {
  const file = `/proc/net/${family === 4 ? "ip" : "ip6"}_tables_names`;
  return unlessRefused(() => readProcFile(file))?.split("\n").filter((name) => name !== "") ?? [];
}

/**
 * What a wrapper around iptables says of itself, which is remembered for as long as it is the same.
 *
 * @throws {OperatorError} `old_iptables`
 */
async function kindOf(file: string, name: string): Promise<Kind> {
  const { size, mtime } = Deno.statSync(file);
  const memory = `/run/mesos-cni/firewall/${name}.json`;
  const accountOf = (kind: string) => JSON.stringify({ file, size, modified: mtime, kind });
  // Of another user, or not there: it is asked again.
  const known = unless(isA(Error), () => Deno.readTextFileSync(memory));
  const isKnown = Object.values(KINDS).find((kind) => known === accountOf(kind));
  if (isKnown) return isKnown;
  const { stdout, stderr } = await runTool(file, ["--version"]);
  const kind = KINDS[/v[\d.]+\s+\((\w+)\)/.exec(stdout)?.[1] ?? ""];
  if (kind) {
    // What is not remembered is only found out anew: removal must not need room on the disk for it.
    unlessRefused(() => {
      makeDirectory(dirname(memory), STATE_MODE.directory);
      writeCheckpoint(memory, accountOf(kind), STATE_MODE.file);
    });
    return kind;
  }
  throw new OperatorError(
    "old_iptables",
    `${file} does not say of which kind it is, but ${
      JSON.stringify(stdout || stderr)
    }; needed is ` +
      `iptables ${LEAST_VERSION} or newer`,
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
