/** The functions of `@std/path` that this project uses, over node:path. */
import path from "node:path";
import { fileURLToPath } from "node:url";

/** Of the root, `@std` says that it is called `/`. */
export const basename = (of: string) => /^\/+$/.test(of) ? "/" : path.basename(of);
/** With no slash at its end, of whichever node: leaves one. */
export const dirname = (of: string) => path.dirname(of).replace(/\/+$/, "") || "/";
export const fromFileUrl = (url: string | URL) => fileURLToPath(url);
export const { isAbsolute, join, relative, resolve } = path;
