import { fromFileUrl } from "@std/path";
import { readMarkdown } from "./markdown.ts";
import { walkThrough } from "./walkthrough.ts";

for (const name of ["README.md", "docs/tutorial.md", "docs/guides.md"]) {
  Deno.test(`the commands of ${name} do what it says`, async () => {
    const file = fromFileUrl(new URL(`../../${name}`, import.meta.url));
    await walkThrough(name, readMarkdown(await Deno.readTextFile(file)).blocks);
  });
}
