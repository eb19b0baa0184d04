/** Where the containers of an agent are, for commands that need no more than that. */
import { Layout } from "../containers/layout.ts";
import { type Call, directoryFlag, type Flag, flag } from "./command.ts";

/** Those of an agent that is told no others. */
export const RUNTIME_DIR = "/var/run/mesos";
export const WORK_DIR = "/var/lib/mesos";

/** Where containers are; enough for commands that only look at them. */
export const LAYOUT_FLAGS: readonly Flag[] = [
  directoryFlag("--runtime_dir=DIR", "where the agent keeps what a reboot ends", RUNTIME_DIR),
  directoryFlag("--work_dir=DIR", "where the agent keeps what survives a reboot", WORK_DIR),
  flag(
    "--network_cni_root_dir_persist",
    "checkpoints are below --work_dir instead of --runtime_dir",
    { found: true },
  ),
];

/** The checkpoints, as these flags say where they are. */
export function layoutIn(call: Pick<Call, "has" | "value">): Layout {
  const base = call.has("network_cni_root_dir_persist") ? "work_dir" : "runtime_dir";
  return new Layout(call.value(base)!);
}
