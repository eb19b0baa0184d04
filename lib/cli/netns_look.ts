import { type Call, type Command, JSON_FLAG } from "./command.ts";
import { LAYOUT_FLAGS, layoutOf, TARGET_FLAGS, targetOf } from "./netns_target.ts";
import { bold, print, printJson } from "./output.ts";

export const list: Command = {
  name: "netns list",
  summary: "the containers with their networks, addresses, ports and health",
  flags: [
    JSON_FLAG,
    { name: "watch", help: "again every two seconds, until Ctrl-C" },
    ...LAYOUT_FLAGS,
  ],
  examples: [
    { command: "mesos-cni netns list", what: "a line for each container" },
    {
      command: "mesos-cni netns list --json | jq -r '.[] | select(.health != \"ok\") | .id'",
      what: "the containers that need a look",
    },
  ],
  notes: `HEALTH is what can be told without sending a packet; \`netns diagnose ID\` looks closer.`,
  async run(call) {
    if (!call.has("watch")) return await printList(call);
    while (true) {
      if (Deno.stdout.isTerminal()) {
        Deno.stdout.writeSync(new TextEncoder().encode("\x1b[H\x1b[2J"));
      }
      await printList(call);
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  },
};

async function printList(call: Call): Promise<number> {
  const { listContainers, listText } = await import("../netns/list.ts");
  const layout = layoutOf(call);
  const containers = await listContainers(layout);
  if (call.has("json")) printJson(containers);
  else print(listText(layout, containers));
  return 0;
}

export const inspect: Command = {
  name: "netns inspect",
  summary: "everything about one container's network",
  operands: "ID",
  complete: "container",
  flags: [JSON_FLAG, ...TARGET_FLAGS],
  examples: [
    { command: "mesos-cni netns inspect 5f3a", what: "of the container whose id begins so" },
    { command: "mesos-cni netns inspect --pid=4711 --json", what: "of a process, as JSON" },
  ],
  async run(call) {
    const { inspect } = await import("../netns/inspect.ts");
    const inspection = await inspect(layoutOf(call), await targetOf(call));
    if (call.has("json")) {
      printJson(inspection);
    } else {
      const { inspectionText } = await import("../netns/inspect_text.ts");
      print(inspectionText(inspection, bold));
    }
    return 0;
  },
};
