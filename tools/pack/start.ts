/** What the compiled program runs first. */
import { ENTRY, filesOf, filesOfProgram, Loader } from "./loader.ts";

/** What `gather.ts` writes the scripts' sum for. */
const SUM = "SUM OF THE SCRIPTS";

const read = Deno.build.standalone ? filesOfProgram(SUM) : filesOf(import.meta.dirname!);
new Loader(read).require(ENTRY);
