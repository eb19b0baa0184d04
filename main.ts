/** Chooses the mode and nothing else: a plugin by the name it was called by, else a subcommand. */
import { ownName } from "./lib/kernel/own_name.ts";
import { REGISTRY } from "./plugins/registry.ts";

// Deno.execPath() is the file behind the symlink.
const name = ownName();
const type = REGISTRY.get(name.slice(name.lastIndexOf("/") + 1));
const load = type?.load;
const exitCode = load
  ? import("./lib/cni/plugin_main.ts").then(({ main }) => main(type, load, REGISTRY))
  : import("./lib/cli/main.ts").then(({ main }) => main(Deno.args, REGISTRY));
// Who waits for what can't come any more would end as if all were well.
addEventListener("beforeunload", () => {
  console.error("mesos-cni: it has ended before it was done, which is a defect: please report it");
  Deno.exit(1);
});
exitCode.then((code) => Deno.exit(code));
