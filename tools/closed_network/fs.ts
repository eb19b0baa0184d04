/** The functions of `@std/fs` that this project uses, over node:fs. */
import { existsSync as nodeExistsSync } from "node:fs";

export function existsSync(path: string): boolean {
  return nodeExistsSync(path);
}

// deno-lint-ignore require-await
export async function exists(path: string): Promise<boolean> {
  return nodeExistsSync(path);
}
