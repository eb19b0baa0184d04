/** `./dev docs`: writes what the documents have from the code. */
import { withCommands } from "./commands.ts";
import { withFields } from "./json.ts";
import { ruleTable } from "../../lib/lint/explain.ts";

await rewrite("reference.md", withCommands);
await rewrite("json.md", withFields);
// Up to the last line that begins as a row does.
await rewrite("lint-rules.md", (text) => text.replace(/^\| code \|[^]*^\|.*$/m, ruleTable));

async function rewrite(name: string, written: (text: string) => string | Promise<string>) {
  const file = new URL(`../../docs/${name}`, import.meta.url);
  await Deno.writeTextFile(file, await written(await Deno.readTextFile(file)));
}
