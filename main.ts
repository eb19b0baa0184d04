/** Chooses the mode and nothing else: a plugin by the name it was called by, else a subcommand. */
import process from "node:process";
import { REGISTRY } from "./plugins/registry.ts";

// Deno.execPath() is the file behind the symlink; argv0 is the name the caller used.
const type = REGISTRY.get(process.argv0.slice(process.argv0.lastIndexOf("/") + 1));
const load = type?.load;
const exitCode = load
  ? import("./lib/cni/plugin_main.ts").then(({ main }) => main(type, load, REGISTRY))
  : import("./lib/cli/main.ts").then(({ main }) => main(Deno.args, REGISTRY));
exitCode.then((code) => Deno.exit(code));
