/** What the compiled program runs first. */
import { ENTRY, Loader } from "./loader.ts";

new Loader(import.meta.dirname!).require(ENTRY);
