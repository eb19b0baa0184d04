/** A program in a network namespace, as a child of this process. */
import { errnoName } from "../base/file_error.ts";
import { heedChildren } from "../kernel/exec.ts";
import { inNamespaces } from "../kernel/namespaces.ts";

/**
 * Runs a program to its end; its streams are this process's, but for standard input, which is empty.
 *
 * @param netns path of the namespace's handle
 * @returns what went wrong; undefined if it ended with 0
 * @throws {SystemError} when the namespace can't be entered
 */
export async function runInside(
  netns: string,
  command: string,
  args: string[],
): Promise<string | undefined> {
  let child: Deno.ChildProcess;
  heedChildren();
  try {
    child = inNamespaces(
      { net: netns },
      () =>
        // A child is born in the namespaces of the thread that starts it.
        new Deno.Command(command, { args, stdin: "null", stdout: "inherit", stderr: "inherit" })
          .spawn(),
    );
  } catch (error) {
    const isMissing = error instanceof Deno.errors.NotFound;
    if (!isMissing && errnoName(error) === undefined) throw error;
    return isMissing ? `there is no program ${command}` : `${command} can't be executed`;
  }
  const { code, signal } = await child.status;
  if (signal) return `${command} was ended by ${signal}`;
  return code === 0 ? undefined : `${command} ended with ${code}`;
}
