/** Standard output and standard error of the subcommands. */
import { plain } from "../base/printable.ts";

/** Prints a line of text. */
export function print(text: string): void {
  writeAll(Deno.stdout, text + "\n");
}

/** Prints a JSON document. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Prints what went wrong, as `mesos-cni COMMAND: message`, which may quote a framework. */
export function printError(command: string, message: string): void {
  const name = command ? `mesos-cni ${command}` : "mesos-cni";
  writeAll(Deno.stderr, `${bold("error:", Deno.stderr)} ${name}: ${plain(message)}\n`);
}

function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(stream.writeSync(bytes));
  } catch (error) {
    // The reader of a pipe may have seen enough, as `head` does.
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Whether a stream shows colours: a terminal, unless NO_COLOR is set. */
export function hasColor(stream: { isTerminal(): boolean } = Deno.stdout): boolean {
  return stream.isTerminal() && !Deno.env.get("NO_COLOR") && Deno.env.get("TERM") !== "dumb";
}

/** Text in bold, where the stream shows it. */
export function bold(text: string, stream: { isTerminal(): boolean } = Deno.stdout): string {
  return hasColor(stream) ? `\x1b[1m${text}\x1b[22m` : text;
}
