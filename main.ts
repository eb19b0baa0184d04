/** Chooses the mode and nothing else: a plugin by the name it was called by, else a subcommand. */
import process from "node:process";
import { pluginNamed } from "./plugins/mod.ts";

// Deno.execPath() is the file behind the symlink; argv0 is the name the caller used.
const plugin = pluginNamed(process.argv0);
const main = plugin ? await plugin() : await import("./lib/cli/main.ts");
Deno.exit(await main.main(Deno.args));
