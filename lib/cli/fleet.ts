/** Many agents beside each other, from files. */
import { messageOf } from "../base/error.ts";
import { fleetReport } from "../fleet/fleet.ts";
import { fleetHtml, fleetText } from "../fleet/fleet_render.ts";
import { readTextFile } from "../kernel/read_file.ts";
import { type Command, flag, JSON_FLAG, UsageError } from "./command.ts";
import { bold, print, printJson } from "./output.ts";

export const command: Command = {
  name: "fleet",
  operands: "FILE…",
  complete: "file",
  flags: [
    JSON_FLAG,
    flag("--format=FORMAT", "text, or html for one file to keep", {
      default: "text",
      complete: ["text", "html"],
    }),
  ],
  examples: [
    ["mesos-cni fleet status/*.json", "by cause; what differs; what is given twice"],
    ["mesos-cni fleet status/*.json --format=html >fleet.html", "for a ticket"],
  ],
  notes:
    `The files are collected by whatever is there: ssh, Ansible, Mesos itself. Nothing is asked over a network, and
nobody needs to be root. Subnets and addresses that are masqueraded are each agent's own, and are not compared.
Exit code 1 if an agent is not well, or a file is no status.`,
  run(call) {
    if (call.operands.length === 0) throw new UsageError("which files? One for each agent");
    const report = fleetReport(call.operands.map((file) => ({ file, ...textOf(file) })));
    if (call.has("json")) printJson(report);
    else print(call.value("format") === "html" ? fleetHtml(report) : fleetText(report, bold));
    return report.healthy ? 0 : 1;
  },
};

/** A file that can't be read is one of many, and is said. */
function textOf(file: string): { text: string } | { problem: string } {
  try {
    return { text: readTextFile(file) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}
