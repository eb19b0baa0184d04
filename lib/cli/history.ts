/** What plugins and the isolator did, also of containers that are gone. */
import { plainLine } from "../base/printable.ts";
import { HISTORY, type PastCall, readHistory } from "../cni/history.ts";
import { type Owner, readOwners } from "../mesos/agent_checkpoints.ts";
import { type Call, type Command, flag, JSON_FLAG, onlyOperand, UsageError } from "./command.ts";
import { LAYOUT_FLAGS } from "./layout_flags.ts";
import { print, printJson } from "./output.ts";
import { requireRoot } from "./root.ts";

export const command: Command = {
  name: "history",
  operands: "[ID]",
  complete: "container",
  flags: [
    JSON_FLAG,
    flag("--since=TIME", "from then on: 90s, 30m, 12h, 2d; 03:12; or a date"),
    flag("--failed", "only what failed"),
    ...LAYOUT_FLAGS,
  ],
  examples: [
    ["mesos-cni history --failed --since=12h", "what went wrong last night"],
    [
      "mesos-cni history 5f3a",
      "for the containers whose id begins so, or those of a task or a framework of that id",
    ],
  ],
  notes:
    `A line for each call of a plugin by a runtime, and for each attachment by the isolator, but for
VERSION. It is kept in ${HISTORY} until a reboot, some 10,000 to 20,000 lines of it, and
holds neither labels nor arguments.`,
  async run(call) {
    requireRoot();
    const found = select(call, readHistory());
    if (call.has("json")) printJson(found);
    else if (found.length === 0) print("no such calls");
    else {
      const { table } = await import("../netns/table.ts");
      print(table(...columnsOf(found)));
    }
  },
};

/** A call, and whose its container is or was. */
type Row = PastCall & Owner;

function select(call: Call, all: readonly PastCall[]): Row[] {
  const id = onlyOperand(call);
  const since = call.value("since") === undefined ? "" : timeOf(call.value("since")!);
  // They outlive the container: by default, an agent keeps them for a week (gc_delay).
  const ownerOf = readOwners(call.value("work_dir")!);
  return all.filter(({ time, outcome }) =>
    time >= since && (!call.has("failed") || outcome === "failed")
  ).map((one) => ({ ...one, ...ownerOf(one.container) })).filter(({ container, framework, task }) =>
    id === undefined || container.startsWith(id) || framework === id ||
    ` ${task} `.includes(` ${id} `)
  );
}

const MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

function timeOf(text: string): string {
  const ago = /^(\d{1,6})([smhd])$/.exec(text);
  const clock = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(text);
  const now = new Date();
  const time = ago
    ? now.getTime() - Number(ago[1]) * MS[ago[2] as keyof typeof MS]
    : clock
    ? new Date(now).setHours(Number(clock[1]), Number(clock[2]), 0, 0)
    : Date.parse(text);
  if (Number.isNaN(time)) {
    throw new UsageError(`--since=${text} is none of 90s, 30m, 12h, 2d, 03:12, 2026-01-31T03:12`);
  }
  // A time of the day that is still to come was yesterday's.
  return new Date(clock && time > now.getTime() ? time - MS.d : time).toISOString();
}

function columnsOf(all: readonly Row[]): [headings: string[], rows: string[][]] {
  const tasks = all.some(({ task }) => task) ? ["TASK"] : [];
  return [
    ["TIME", "COMMAND", "PLUGIN", "CONTAINER", "NETWORK", "IF", "MS", ...tasks, ""],
    all.map((one) =>
      [
        one.time.replace("T", " ").replace(/\.\d+Z$/, "Z"),
        one.command,
        one.plugin,
        one.container,
        one.network,
        one.interface,
        String(one.ms),
        ...tasks.map(() => one.task ?? ""),
        one.outcome === "failed"
          ? `failed (${one.code}): ${one.error}`
          : [...one.addresses ?? [], ...one.ports ?? []].join(" "),
      ].map(plainLine)
    ),
  ];
}
