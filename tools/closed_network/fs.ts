/** The functions of `@std/fs` that this project uses, over node:fs. */
import { existsSync as nodeExistsSync } from "node:fs";
import type { Fs } from "./signatures.ts";

export const existsSync: Fs["existsSync"] = nodeExistsSync;

export const exists: Fs["exists"] = (path) => Promise.resolve(nodeExistsSync(path));
