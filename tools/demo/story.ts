/** How the demo looks in a terminal. */

const color = Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR");
const paint = (code: number, text: string) => color ? `\x1b[${code}m${text}\x1b[0m` : text;
let count = 0;

export function step(title: string): void {
  console.log(`\n${paint(1, `${++count}. ${title}`)}`);
}

export function command(text: string): void {
  console.log(`  ${paint(36, `$ ${text}`)}`);
}

export function output(text: string): void {
  console.log(text.trimEnd().split("\n").map((line) => `  ${paint(2, "│")} ${line}`).join("\n"));
}

export function note(text: string): void {
  console.log(text);
}
