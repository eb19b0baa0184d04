import { fromFileUrl, relative } from "@std/path";
import { partOf } from "../harness/part.ts";
import { listMarkdown, readMarkdown } from "./markdown.ts";
import { isStep, walkThrough } from "./walkthrough.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

const documents = listMarkdown(ROOT)
  // A translation has the same commands, which another test sees to.
  .filter((path) => !path.endsWith(".zh.md"))
  .map((path) => ({ path, ...readMarkdown(Deno.readTextFileSync(path)) }))
  .filter(({ blocks }) => blocks.some(isStep));
for (const { path, blocks } of partOf(documents, 2)) {
  const name = relative(ROOT, path);
  Deno.test({
    name: `the commands of ${name} do what it says`,
    // They install below /usr and /etc, which belong to nobody in another user's namespace.
    ignore: Deno.statSync("/etc").uid !== 0,
    fn: () => walkThrough(name, blocks),
  });
}
