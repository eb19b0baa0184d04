/** The functions of `@std/path` that this project uses, over node:path. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Path } from "./signatures.ts";

/** Of the root, `@std` says that it is called `/`. */
export const basename: Path["basename"] = (of) => /^\/+$/.test(of) ? "/" : path.basename(of);
/** With no slash at its end, of whichever node: leaves one. */
export const dirname: Path["dirname"] = (of) => path.dirname(of).replace(/\/+$/, "") || "/";
export const fromFileUrl: Path["fromFileUrl"] = fileURLToPath;
export const isAbsolute: Path["isAbsolute"] = path.isAbsolute;
export const join: Path["join"] = path.join;
export const relative: Path["relative"] = path.relative;
export const resolve: Path["resolve"] = path.resolve;
