/**
 * The commands of a document, run in its order by one shell on a throwaway agent. The words after
 * a fence say what a block is:
 *
 * - `sh run`: run on the agent, and it must succeed; with `fails`, it must not
 * - `… background`: goes on, as in a terminal of its own
 * - `sh outside`: run on a host that is not the agent
 * - `… retry`: may need a moment, until what was started before is there
 * - `text output`: what the block before prints; `…` stands for anything, on a line of its own for
 *   any lines
 */
import { assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { end, serveDns } from "../harness/clinic.ts";
import { Sandbox } from "../harness/sandbox.ts";
import type { Block } from "./markdown.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const MARK = "\x1e";

/** Directories that a document may change on an agent, over the machine's own. */
const CHANGED = ["etc", "usr", "tmp"];

export async function walkThrough(name: string, blocks: readonly Block[]): Promise<void> {
  await using agent = await Sandbox.create();
  const outside = await agent.outside();
  await agent.ok(["sh", "-c", `${OVERLAYS}\necho nameserver ${outside.address} >/etc/resolv.conf`]);
  const dns = await serveDns(outside, "/nonexistent");
  const steps = blocks.filter(isStep);
  const script = [
    "set -m; exec 2>&1",
    `cd ${quoted(ROOT)}`,
    'sudo() { "$@"; }', // it is all root's, and there may be no sudo
    `outside() { nsenter --target=${outside.pid} --net -- bash -ec "$1"; }`,
    ...steps.map(stepScript),
    "for job in $(jobs -p); do kill -- -$job; done 2>/dev/null; wait", // each job is a group
  ].join("\n");
  const { stdout } = await agent.run(["bash", "-c", script], {
    env: { NO_COLOR: "1", PS1: "", HOME: "/tmp" },
  });
  await end(dns);
  const wrong = steps.flatMap((step, index) => {
    const expected = blocks[blocks.indexOf(step) + 1];
    const fault = faultOf(
      step,
      index,
      stdout,
      expected?.info.includes("output") ? expected : undefined,
    );
    return fault === undefined ? [] : [`${name}:${step.line}: ${fault}`];
  });
  assertEquals(wrong.join("\n\n"), "");
}

function faultOf(step: Block, index: number, stdout: string, expected?: Block): string | undefined {
  const begin = stdout.indexOf(`${MARK}begin ${index}\n`);
  const end = stdout.indexOf(`${MARK}end ${index} `);
  if (begin < 0 || end < 0) return `not run to its end\n${stdout.slice(begin)}`;
  const output = stdout.slice(stdout.indexOf("\n", begin) + 1, end);
  const code = Number(/^\S+ \d+ (\d+)/.exec(stdout.slice(end))![1]);
  if ((code === 0) === step.info.includes("fails")) {
    return `exit code ${code}\n${step.text}${output}`;
  }
  if (expected && !patternOf(expected.text).test(tidy(output))) {
    return `prints\n${output}\nand the document says\n${expected.text}`;
  }
}

/** Whether a block is run. */
export function isStep({ info }: Block): boolean {
  return info[0] === "sh" && (info.includes("run") || info.includes("outside"));
}

function stepScript({ info, text }: Block, index: number): string {
  if (info.includes("background")) text = `{ ${text.trimEnd()}\n} >/dev/null 2>&1 &`;
  const call = `${info.includes("outside") ? "outside" : "eval"} ${quoted(text)}`;
  const patient = `for attempt in $(seq 50); do output=$(${call} 2>&1); code=$?; ` +
    `[ $code = 0 ] && break; sleep 0.2; done; printf '%s\\n' "$output"`;
  return [
    `printf '${MARK}begin ${index}\\n'`,
    info.includes("retry") ? patient : `${call}; code=$?`,
    `printf '${MARK}end ${index} %s\\n' $code`,
  ].join("\n");
}

function patternOf(expected: string): RegExp {
  const lines = tidy(expected).trimEnd().split("\n").map((line) =>
    line === "…"
      ? "(?:.*\n)*?"
      : line.split("…").map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join(".*") +
        "\n"
  );
  return new RegExp(`^${lines.join("")}$`);
}

/** Without what columns are filled with. */
function tidy(text: string): string {
  return text.trim().replaceAll(/[ \t]+/g, " ").replaceAll(/ $/gm, "") + "\n";
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const OVERLAYS = [
  "set -e",
  "mkdir /run/over",
  ...CHANGED.map((dir) =>
    `mkdir -p /run/over/${dir}/up /run/over/${dir}/work && mount -t overlay overlay ` +
    `-o lowerdir=/${dir},upperdir=/run/over/${dir}/up,workdir=/run/over/${dir}/work /${dir}`
  ),
].join("\n");
