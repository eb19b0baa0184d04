/** Chooses the mode and nothing else: a plugin by the name it was called by, else a subcommand. */
import process from "node:process";
import { REGISTRY } from "./plugins/registry.ts";

// Deno.execPath() is the file behind the symlink; argv0 is the name the caller used.
const type = REGISTRY.get(process.argv0.slice(process.argv0.lastIndexOf("/") + 1));
Deno.exit(
  type?.load
    ? await (await import("./lib/cni/plugin_main.ts")).main(type, type.load, REGISTRY)
    : await (await import("./lib/cli/main.ts")).main(Deno.args, REGISTRY),
);
