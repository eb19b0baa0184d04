/** Masquerading in the tables of iptables-legacy, which only its own program can change. */
import { findTool, runTool } from "../../lib/program/tool.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { addressText, networkBytes } from "../../lib/base/ip.ts";
import { readProcFile } from "../../lib/kernel/files.ts";
import { interfaceAddress, isV6, withoutLength } from "./addresses.ts";
import { chainName, ruleComment } from "./names.ts";
import type { Masqueraded } from "./masqueraded.ts";

/** Whether the host's iptables is the legacy one, or its nat table is in use beside nf_tables. */
export function isLegacyInUse(path: string): boolean {
  const file = findTool("iptables", path);
  return (file !== undefined && Deno.realPathSync(file).endsWith("legacy-multi")) ||
    ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"].some(holdsNat);
}

function holdsNat(names: string): boolean {
  try {
    return readProcFile(names).split("\n").includes("nat");
  } catch {
    return false; // the kernel's part of iptables-legacy is not loaded
  }
}

const TOOLS = [["iptables", false], ["ip6tables", true]] as const;

/** Masquerades what these addresses send. @throws {OperatorError} */
export async function addLegacyMasquerade(
  call: Masqueraded,
  addresses: readonly string[],
): Promise<void> {
  const { network, containerId, invocation } = call;
  const chain = await chainName(network, containerId);
  const comment = `-m comment --comment ${quoted(ruleComment(network, containerId))}`;
  for (const [tool, v6] of TOOLS) {
    const own = addresses.filter((address) => isV6(address) === v6);
    if (own.length === 0) continue;
    await restore(tool, invocation.path, [
      `:${chain} - [0:0]`,
      ...own.flatMap((address) => {
        const { bytes, prefixLength } = interfaceAddress(address);
        const net = `${addressText(networkBytes(bytes, prefixLength))}/${prefixLength}`;
        return [
          `-A ${chain} -d ${net} ${comment} -j ACCEPT`,
          `-A ${chain} ! -d ${v6 ? "ff00::/8" : "224.0.0.0/4"} ${comment} -j MASQUERADE`,
          `-A POSTROUTING -s ${withoutLength(address)} ${comment} -j ${chain}`,
        ];
      }),
    ]);
  }
}

/** Removes what {@link addLegacyMasquerade} made, whichever the addresses were. @throws {OperatorError} */
export async function removeLegacyMasquerade(call: Masqueraded): Promise<void> {
  const { network, containerId, invocation: { path } } = call;
  const chain = await chainName(network, containerId);
  for (const [tool] of TOOLS) {
    const file = findTool(tool, path);
    if (file === undefined) continue;
    const { code, stdout } = await runTool(file, ["-w", "-t", "nat", "-S"]);
    if (code !== 0) continue;
    const lines = stdout.split("\n");
    if (!lines.includes(`-N ${chain}`)) continue;
    const jumps = lines.filter((line) => line.endsWith(`-j ${chain}`));
    await restore(tool, path, [
      ...jumps.map((line) => line.replace("-A", "-D")),
      `-F ${chain}`,
      `-X ${chain}`,
    ]);
  }
}

/** Whether a container's chain is there. @throws {OperatorError} */
export async function hasLegacyMasquerade(
  { network, containerId, invocation: { path } }: Masqueraded,
): Promise<boolean> {
  const chain = await chainName(network, containerId);
  for (const [tool] of TOOLS) {
    const file = findTool(tool, path);
    if (file === undefined) continue;
    const { code, stdout } = await runTool(file, ["-w", "-t", "nat", "-S", chain]);
    if (code === 0 && stdout.includes(`-A ${chain} `)) return true;
  }
  return false;
}

async function restore(tool: string, path: string, lines: readonly string[]): Promise<void> {
  const file = findTool(`${tool}-restore`, path);
  if (file === undefined) {
    throw new OperatorError("no_iptables", `${tool}-restore is not in ${path}`);
  }
  const stdin = ["*nat", ...lines, "COMMIT", ""].join("\n");
  const { code, stderr } = await runTool(file, ["--noflush", "-w"], { stdin });
  if (code !== 0) throw new OperatorError("tool_failed", `${file} refused rules: ${stderr}`);
}

function quoted(comment: string): string {
  return `"${comment.replaceAll('"', '\\"')}"`;
}
