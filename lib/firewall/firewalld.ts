/**
 * firewalld, by firewall-cmd, which is there where it runs: containers are sources of a zone that
 * lets everything through. As the reference's, the changes are of the runtime: a reload forgets them.
 */
import { OperatorError } from "../base/error.ts";
import { familyOfKnown } from "../base/ip.ts";
import { unlessRefused } from "../base/unless.ts";
import { readCheckpoint } from "../kernel/atomic_file.ts";
import { readProcFile } from "../kernel/files.ts";
import { findTool, type Output, runTool } from "../program/tool.ts";

const PID_FILE = "/run/firewalld.pid";

/** Whether firewalld runs; a killed one leaves its file. */
export function runsFirewalld(): boolean {
  const pid = readCheckpoint(PID_FILE)?.trim() ?? "";
  return /^\d+$/.test(pid) &&
    unlessRefused(() => readProcFile(`/proc/${pid}/cmdline`))?.includes("firewalld") === true;
}

/**
 * Makes addresses sources of a zone, or takes them from it. What is as it shall be is no error. One after
 * the other: of several in one call, firewall-cmd tells no failure but that of all.
 *
 * @throws {OperatorError}
 */
export async function changeSources(
  what: "add" | "remove",
  zone: string,
  addresses: readonly string[],
  path: string,
): Promise<void> {
  // What does not run has no zones, and begins without these sources.
  if (what === "remove" && !runsFirewalld()) return;
  for (const address of addresses) {
    await firewallCmd(path, [`--zone=${zone}`, `--${what}-source=${sourceOf(address)}`]);
  }
}

/** Those of addresses that are no sources of a zone. @throws {OperatorError} */
export async function missingSources(
  zone: string,
  addresses: readonly string[],
  path: string,
): Promise<string[]> {
  const { stdout } = await firewallCmd(path, [`--zone=${zone}`, "--list-sources"]);
  const sources = new Set(stdout.split(/\s+/));
  return addresses.filter((address) => !sources.has(sourceOf(address)));
}

function sourceOf(address: string): string {
  return `${address}/${familyOfKnown(address) === 6 ? 128 : 32}`;
}

/** Of a source that is to be removed and is none. To add one that is there is no failure. */
const HARMLESS = /UNKNOWN_SOURCE/;

async function firewallCmd(path: string, args: readonly string[]): Promise<Output> {
  const file = findTool("firewall-cmd", path);
  if (!file) {
    throw new OperatorError(
      "no_firewalld",
      "this host's filter is firewalld's, and firewall-cmd is not installed; install it, or set " +
        "backend to iptables",
    );
  }
  const output = await runTool(file, args);
  if (output.code === 0 || HARMLESS.test(output.stderr)) return output;
  throw new OperatorError(
    "firewalld_failed",
    `${file} ${args.join(" ")} ended with ${output.code}: ${output.stderr || output.stdout}`,
  );
}
