/** `./dev docs`: writes what the documents have from the code. */
import { withCommands } from "./commands.ts";

const file = new URL("../../docs/reference.md", import.meta.url);
await Deno.writeTextFile(file, await withCommands(await Deno.readTextFile(file)));
