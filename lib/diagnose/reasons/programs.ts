/** Programs of XDP and tcx at a link: which they are, and whether a command of ours takes them off. */
import { bpfLinks } from "../../kernel/bpf.ts";
import { readProcFile } from "../../kernel/files.ts";
import { entriesOf } from "../../kernel/proc.ts";
import { processIds } from "../../kernel/processes.ts";
import { processName } from "../../containers/processes.ts";
import { type Finding, inNetns, problem, type Reason, shellText } from "../finding.ts";
import type { Stop } from "../journey.ts";
import { outputIn } from "../observe/counters.ts";

/** The program of XDP at a link, as `prog/xdp id 7`; undefined for none. */
export async function xdpOf({ point, link }: Stop): Promise<string | undefined> {
  const text = await outputIn(point.netns, "ip", ["-d", "link", "show", "dev", link.name]);
  return /\bprog\/xdp\w* id \d+/.exec(text)?.[0];
}

/** @param program as {@link xdpOf} tells it */
export function xdpFinding(
  { point, link, place }: Stop,
  program: string | undefined,
  evidence: string[],
): Finding {
  const id = Number(/\d+$/.exec(program ?? "")?.[0]);
  const held = bpfLinks().find((one) => one.kind === "xdp" && one.program === id);
  const command = inNetns(
    point.netns,
    ...["ip", "link", "set", "dev", link.name, "xdp", "off"],
  );
  return problem(
    "xdp_drop",
    ["xdp", place],
    `a program of XDP on ${point.name}${program ? ` (${program})` : ""} drops the packet`,
    evidence,
    held
      ? heldText(held.id)
      : `see whose it is (bpftool net), and take it off: ${shellText(command)}`,
    held ? undefined : { what: `take the program off ${point.name}`, commands: [command] },
  );
}

/** A program of tcx, which tc neither shows nor deletes. */
export function tcxFinding(
  { point, link, place }: Stop,
  direction: string,
  evidence: string[],
): Finding {
  const held = bpfLinks().find((one) => one.kind === "tcx" && one.device === link.index);
  return problem(
    "tc_drop",
    ["tc", place] satisfies Reason,
    `a program of tcx at the ${direction} of ${point.name} drops the packet`,
    evidence,
    held ? heldText(held.id) : `see whose it is: bpftool net show dev ${link.name}`,
  );
}

function heldText(link: number): string {
  const holder = holderOf(link);
  return `${
    holder ? `process ${holder} put it there and holds it` : "another program put it there"
  }: look at that program; by hand it is taken off by bpftool link detach id ${link}`;
}

/** The process that holds a link of bpf open: `17 (cilium-agent)`. */
function holderOf(link: number): string | undefined {
  for (const pid of processIds()) {
    try {
      for (const name of entriesOf(`/proc/${pid}/fdinfo`)) {
        const text = readProcFile(`/proc/${pid}/fdinfo/${name}`);
        if (!new RegExp(`^link_id:\\s*${link}$`, "m").test(text)) continue;
        return `${pid} (${processName(pid) ?? "?"})`;
      }
    } catch {
      // It ended, or closed a file, while we looked.
    }
  }
  return undefined;
}
