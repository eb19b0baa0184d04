/** Runs the very commands that a fix shows. */
import { variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import type { Fix } from "../facts/cause.ts";
import { shellText } from "../facts/sentences.ts";
import { findTool, runTool } from "../program/tool.ts";

/** @throws {OperatorError} `fix_failed` with what the program said; those before it stay done */
export async function applyFix({ commands }: Fix): Promise<void> {
  for (const command of commands) {
    const [program, ...args] = command;
    // This program itself, wherever it is: another of its name may be another version.
    const file = program === "mesos-cni"
      ? Deno.execPath()
      : findTool(program!, variable("PATH") ?? "");
    if (file === undefined) throw new OperatorError("fix_failed", `there is no ${program} in PATH`);
    const { code, stderr } = await runTool(file, args);
    if (code !== 0) {
      throw new OperatorError("fix_failed", `${shellText(command)}: ${stderr || `exit ${code}`}`);
    }
  }
}
