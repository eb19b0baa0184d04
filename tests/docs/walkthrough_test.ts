import { fromFileUrl, relative } from "@std/path";
import { listMarkdown, readMarkdown } from "./markdown.ts";
import { isStep, walkThrough } from "./walkthrough.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

for (const path of listMarkdown(ROOT)) {
  // A translation has the same commands, which another test sees to.
  if (path.endsWith(".zh.md")) continue;
  const { blocks } = readMarkdown(Deno.readTextFileSync(path));
  if (!blocks.some(isStep)) continue;
  const name = relative(ROOT, path);
  Deno.test({
    name: `the commands of ${name} do what it says`,
    // They install below /usr and /etc, which belong to nobody in another user's namespace.
    ignore: Deno.statSync("/etc").uid !== 0,
    fn: () => walkThrough(name, blocks),
  });
}
