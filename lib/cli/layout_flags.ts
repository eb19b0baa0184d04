/** Where the containers of an agent are, for commands that need no more than that. */
import { type Flag, flag } from "./command.ts";

/** Where containers are; enough for commands that only look at them. */
export const LAYOUT_FLAGS: readonly Flag[] = [
  flag("--runtime_dir=DIR", "where the agent keeps what a reboot ends", {
    default: "/var/run/mesos",
    complete: "directory",
    found: true,
  }),
  flag("--work_dir=DIR", "where the agent keeps what survives a reboot", {
    default: "/var/lib/mesos",
    complete: "directory",
    found: true,
  }),
  flag(
    "--network_cni_root_dir_persist",
    "checkpoints are below --work_dir instead of --runtime_dir",
    { found: true },
  ),
];
