import { type Call, type Command, flag, JSON_FLAG, UsageError } from "./command.ts";
import { agentOf, LAYOUT_FLAGS, TARGET_FLAGS, targetOf } from "./netns_target.ts";
import { bold, print, printJson, red } from "./output.ts";

/** What a list can be filtered and sorted by: lib/netns/list_text.ts, which only a list loads. */
const KEYS = {
  filter: ["id", "network", "address", "port", "health", "keeper", "mode"],
  sort: ["id", "network", "address", "pid", "age", "health"],
};

export const list: Command = {
  name: "netns list",
  flags: [
    JSON_FLAG,
    flag("-q, --quiet", "ids only, each on a line"),
    flag(
      "--filter=KEY=VALUE",
      `only those whose KEY begins with VALUE: ${KEYS.filter.join(", ")}; health also ill`,
      { repeatable: true },
    ),
    flag("--sort=KEY", KEYS.sort.join(", "), { default: "id", complete: KEYS.sort }),
    flag("--no-trunc", "whole ids and columns, also where the terminal is too narrow"),
    flag("--watch", "again every two seconds, until Ctrl-C"),
    ...LAYOUT_FLAGS,
  ],
  examples: [
    ["mesos-cni netns list", "a line for each container"],
    [
      "mesos-cni netns list --filter=health=ill --filter=network=web -q",
      "the ids of those on the network web that need a look",
    ],
    [
      "mesos-cni netns list --json | jq -r '.[] | select(.health != \"ok\") | .id'",
      "the same of all networks, for a program",
    ],
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
  const order = call.value("sort")!;
  const filters = call.values("filter").map(filterOf);
  const { listContainers } = await import("../netns/list.ts");
  const { listText, select } = await import("../netns/list_text.ts");
  using agent = await agentOf(call);
  const { layout } = agent.sources;
  const containers = select(await listContainers(agent), filters, order);
  if (call.has("json")) printJson(containers);
  else if (call.has("quiet")) { for (const { id } of containers) print(id); }
  else if (containers.length === 0 && filters.length > 0) print("no such containers");
  else print(listText(layout, containers, { width: terminalWidth(call), ill: red }));
  return 0;
}

function filterOf(text: string): [key: string, wanted: string] {
  const equals = text.indexOf("=");
  const key = text.slice(0, equals);
  if (equals < 1 || !KEYS.filter.includes(key)) {
    throw new UsageError(
      `--filter=${text} is not like network=web; it goes by ${KEYS.filter.join(", ")}`,
    );
  }
  return [key, text.slice(equals + 1)];
}

/** Columns to fit into; a file or a pipe takes any. */
function terminalWidth(call: Call): number | undefined {
  if (call.has("no-trunc") || !Deno.stdout.isTerminal()) return undefined;
  const { columns } = Deno.consoleSize();
  return columns > 0 ? columns : undefined;
}

export const inspect: Command = {
  name: "netns inspect",
  operands: "ID",
  complete: "container",
  flags: [JSON_FLAG, ...TARGET_FLAGS],
  examples: [
    ["mesos-cni netns inspect 5f3a", "of the container whose id begins so"],
    ["mesos-cni netns inspect --pid=4711 --json", "of a process, as JSON"],
  ],
  async run(call) {
    const { inspect } = await import("../netns/inspect.ts");
    const target = await targetOf(call);
    using agent = await agentOf(call);
    const inspection = await inspect(agent, target);
    if (call.has("json")) {
      printJson(inspection);
    } else {
      const { inspectionText } = await import("../netns/inspect_text.ts");
      print(inspectionText(inspection, bold));
    }
  },
};
