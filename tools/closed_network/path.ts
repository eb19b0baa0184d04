/** The functions of `@std/path` that this project uses, over node:path. */
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { Path } from "./signatures.ts";

export const basename: Path["basename"] = path.basename;
export const dirname: Path["dirname"] = path.dirname;
export const extname: Path["extname"] = path.extname;
export const fromFileUrl: Path["fromFileUrl"] = fileURLToPath;
export const isAbsolute: Path["isAbsolute"] = path.isAbsolute;
export const join: Path["join"] = path.join;
export const relative: Path["relative"] = path.relative;
export const resolve: Path["resolve"] = path.resolve;
