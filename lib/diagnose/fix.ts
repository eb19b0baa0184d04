/** Applies what a remedy says. */
import { variable } from "../base/environment.ts";
import { OperatorError } from "../base/error.ts";
import { findTool, runTool } from "../program/tool.ts";
import { type Fix, shellText } from "./finding.ts";

/** @throws {OperatorError} `fix_failed` with what the program said; those before it stay done */
export async function applyFix({ commands = [], apply }: Fix): Promise<void> {
  for (const command of commands) {
    const [program, ...args] = command;
    const file = findTool(program!, variable("PATH") ?? "");
    if (file === undefined) throw new OperatorError("fix_failed", `there is no ${program} in PATH`);
    const { code, stderr } = await runTool(file, args);
    if (code !== 0) {
      throw new OperatorError("fix_failed", `${shellText(command)}: ${stderr || `exit ${code}`}`);
    }
  }
  await apply?.();
}
