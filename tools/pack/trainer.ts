/**
 * The program as `train.ts` calls it: it ends with writing what V8 has made of its scripts. The same
 * base binary with the same flags as the program's, since V8 takes nothing from another.
 */
import { ENTRY, Loader } from "./loader.ts";

const directory = Deno.env.get("MESOS_CNI_TRAINER");
if (directory === undefined) throw new Error("MESOS_CNI_TRAINER names no directory of scripts");
const loader = new Loader(directory);
const exit = Deno.exit;
Deno.exit = (code): never => {
  for (const [name, script] of loader.scripts) {
    if (!script) {
      throw new Error(`this call needs ${name}, which is compressed: see CALLS in gather.ts`);
    }
    if (script.cachedDataRejected) throw new Error(`V8 does not take what was made of ${name}`);
    Deno.writeFileSync(`${directory}/${name}.made`, script.createCachedData());
  }
  return exit(code);
};
loader.require(ENTRY);
