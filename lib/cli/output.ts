/** Standard output and standard error of the subcommands. */
import { wish } from "../base/environment.ts";
import { jsonText, plain } from "../base/printable.ts";
import { writeErrorOutput, writeOutput } from "../base/streams.ts";

/** Prints a line of text. @throws {OperatorError} `file` if standard output can't be written */
export function print(text: string): void {
  writeOutput(text + "\n");
}

/**
 * Prints a JSON document, in which no character can do anything to a terminal.
 *
 * @throws {OperatorError} `file` if standard output can't be written
 */
export function printJson(value: unknown): void {
  print(jsonText(value, 2));
}

/** Prints what went wrong, as `mesos-cni COMMAND: message`, which may quote a framework. */
export function printError(command: string, message: string): void {
  const name = command ? `mesos-cni ${command}` : "mesos-cni";
  writeErrorOutput(`${bold("error:", Deno.stderr)} ${name}: ${plain(message)}\n`);
}

/** Whether a stream shows colours: a terminal, unless NO_COLOR is set. */
export function hasColor(stream: { isTerminal(): boolean } = Deno.stdout): boolean {
  return stream.isTerminal() && !wish("NO_COLOR") && wish("TERM") !== "dumb";
}

/** Text in red, where standard output shows it. */
export function red(text: string): string {
  return hasColor() ? `\x1b[31m${text}\x1b[39m` : text;
}

/** Text in bold, where the stream shows it. */
export function bold(text: string, stream: { isTerminal(): boolean } = Deno.stdout): string {
  return hasColor(stream) ? `\x1b[1m${text}\x1b[22m` : text;
}

/** On a terminal, one line that is written over and gone at the end. */
export function progressOf(what: string): (done: number, all: number) => void {
  return (done, all) => {
    if (!Deno.stderr.isTerminal()) return;
    const line = done < all ? `\r${done} of ${all} ${what}` : "\r\x1b[K";
    Deno.stderr.writeSync(new TextEncoder().encode(line));
  };
}
