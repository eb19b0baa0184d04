/**
 * The program as `train.ts` calls it: it ends with writing what V8 has made of its scripts. The same
 * base binary with the same flags as the program's, since V8 takes nothing from another.
 */
import { ENTRY, filesOf, Loader, ownPack } from "./loader.ts";

const directory = Deno.env.get("MESOS_CNI_TRAINER");
if (directory === undefined) throw new Error("MESOS_CNI_TRAINER names no directory of scripts");
const own = ownPack();
const loader = new Loader(filesOf(directory), own);
const exit = Deno.exit;
Deno.exit = (code): never => {
  for (const [made, script] of loader.scripts) {
    if (made !== own.made) throw new Error(`this call needs more, ${made}: see CALLS in gather.ts`);
    if (script.cachedDataRejected) throw new Error(`V8 does not take ${made}`);
    Deno.writeFileSync(`${directory}/${made}`, script.createCachedData());
  }
  return exit(code);
};
loader.require(ENTRY);
