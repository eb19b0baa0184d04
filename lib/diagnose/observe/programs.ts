/** Programs and files that are asked for what netlink does not tell: `iptables-legacy-save`, `ip`, `nft`, /proc/net. */
import { variable } from "../../base/environment.ts";
import { unlessRefused } from "../../base/unless.ts";
import { readProcFile } from "../../kernel/files.ts";
import { inNamespaces } from "../../kernel/namespaces.ts";
import { runProgram } from "../../program/run.ts";
import { findTool } from "../../program/tool.ts";

/** No list of rules, links or sockets takes longer than this. */
const TIMEOUT_MS = 5000;
const OUTPUT_LIMIT = 32 << 20;
const STDERR_KEPT = 4096;
const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What a program prints in a namespace; undefined if it is not there, fails, or prints without end. */
export async function programOutput(
  netns: string | undefined,
  name: string,
  args: readonly string[],
): Promise<string | undefined> {
  const file = findTool(name, variable("PATH") ?? "");
  if (file === undefined) return undefined;
  const { code, stdout, stopped } = await runProgram(file, {
    args,
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
    timeoutMs: TIMEOUT_MS,
    outputLimit: OUTPUT_LIMIT,
    stderrKept: STDERR_KEPT,
    start: (spawn) => netns === undefined ? spawn() : inNamespaces({ net: netns }, spawn),
  });
  return code === 0 && !stopped ? stdout : undefined;
}

/** A file below /proc/net, as a namespace has it; empty if there is none. */
export function procNet(netns: string | undefined, name: string): string {
  const read = () => readProcFile(`/proc/thread-self/net/${name}`);
  return unlessRefused(() => netns === undefined ? read() : inNamespaces({ net: netns }, read)) ??
    "";
}
