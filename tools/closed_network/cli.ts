/** The functions of `@std/cli` that this project uses, over node:util. */
export {};
