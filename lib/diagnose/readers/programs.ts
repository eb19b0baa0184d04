/** Programs of XDP and tcx at a link: which they are, and whether a command of ours takes them off. */
import { readProcFile } from "../../kernel/files.ts";
import { entriesOf } from "../../kernel/proc.ts";
import { processName } from "../../containers/processes.ts";
import { processIds } from "../../kernel/processes.ts";
import { type Cause, cause, inNetns, type Proof, removing } from "../../facts/cause.ts";
import type { Kernel } from "../observe/kernel.ts";
import type { Stop } from "../journey.ts";

export function xdpCause(kernel: Kernel, stop: Stop, seen: readonly Proof[]): Cause {
  const { point, link, place } = stop;
  const program = kernel.xdp(stop);
  const held = kernel.bpfLinks().find((one) => one.kind === "xdp" && one.program === program);
  return cause(
    "xdp_drop",
    ["xdp", place],
    {
      device: link.name,
      value: program === undefined ? undefined : `program ${program}`,
      why: held && heldText(held.id),
    },
    seen,
    held ? undefined : removing(
      `the program of XDP on ${link.name}`,
      inNetns(point.netns, "ip", "link", "set", "dev", link.name, "xdp", "off"),
    ),
  );
}

/** A program of tcx, which tc neither shows nor deletes. */
export function tcxCause(kernel: Kernel, { link, place }: Stop, direction: string): Cause {
  const held = kernel.bpfLinks().find((one) => one.kind === "tcx" && one.device === link.index);
  return cause("tc_drop", ["tc", place], {
    device: link.name,
    value: `program of tcx at the ${direction}`,
    why: held ? heldText(held.id) : `see whose it is: bpftool net show dev ${link.name}`,
  });
}

function heldText(link: number): string {
  const holder = holderOf(link);
  return `${
    holder ? `process ${holder} put it there and holds it` : "another program put it there"
  }: look at that program; by hand it is taken off by bpftool link detach id ${link}`;
}

/** The process that holds a link of bpf open: `17 (cilium-agent)`. */
function holderOf(link: number): string | undefined {
  const line = new RegExp(`^link_id:\\s*${link}$`, "m");
  for (const pid of processIds()) {
    try {
      for (const name of entriesOf(`/proc/${pid}/fdinfo`)) {
        if (line.test(readProcFile(`/proc/${pid}/fdinfo/${name}`))) {
          return `${pid} (${processName(pid) ?? "?"})`;
        }
      }
    } catch {
      // It ended, or closed a file, while we looked.
    }
  }
  return undefined;
}
