import { stepInside } from "../netns/inside.ts";
import { type Command, UsageError } from "./command.ts";

/** What `netns exec --mount` starts to get into a container; people don't call it. */
export const command: Command = {
  name: "step-inside",
  operands: "DESCRIPTOR PARENT",
  flags: [],
  examples: [["mesos-cni exec 5f3a --mount -- hostname", "calls this as its first step"]],
  run(call) {
    const [descriptor, parent] = call.operands.map(Number);
    if (!descriptor || !parent) throw new UsageError("this is for mesos-cni exec to call");
    return stepInside(descriptor, parent);
  },
};
