/** `mesos-cni netns …`: the debug shell for container networks. */
import type { Command } from "./command.ts";
import { diagnose } from "./netns_diagnose.ts";
import { inspect, list } from "./netns_look.ts";
import { topology } from "./netns_topology.ts";
import { capture, exec, link, shell, unlink } from "./netns_enter.ts";

export const commands: readonly Command[] = [
  list,
  inspect,
  exec,
  shell,
  link,
  unlink,
  diagnose,
  topology,
  capture,
];
