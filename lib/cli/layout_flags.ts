/** Where the containers of an agent are, for commands that need no more than that. */
import { directoryFlag, type Flag, flag } from "./command.ts";

/** Where containers are; enough for commands that only look at them. */
export const LAYOUT_FLAGS: readonly Flag[] = [
  directoryFlag("--runtime_dir=DIR", "where the agent keeps what a reboot ends", "/var/run/mesos"),
  directoryFlag("--work_dir=DIR", "where the agent keeps what survives a reboot", "/var/lib/mesos"),
  flag(
    "--network_cni_root_dir_persist",
    "checkpoints are below --work_dir instead of --runtime_dir",
    { found: true },
  ),
];
