import { launch } from "../run/launcher.ts";
import { type Command, UsageError } from "./command.ts";

/** What `run` starts in a container's namespaces; people don't call it. */
export const command: Command = {
  name: "launch",
  operands: "DESCRIPTOR PARENT",
  flags: [],
  examples: [["mesos-cni run -- hostname", "calls this as its first step"]],
  run(call) {
    const [descriptor, parent] = call.operands.map(Number);
    if (!descriptor || !parent) throw new UsageError("this is for mesos-cni run to call");
    return launch(descriptor, parent);
  },
};
