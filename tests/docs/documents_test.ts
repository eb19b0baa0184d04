import { assertEquals } from "@std/assert";
import { fromFileUrl, join, relative } from "@std/path";
import { parseCall } from "../../lib/cli/parse.ts";
import { TABLE } from "../../lib/cli/table.ts";
import { REGISTRY } from "../../plugins/registry.ts";
import { allCommands, withCommands } from "../../tools/docs/commands.ts";
import { anchorOf, type Document, listMarkdown, readMarkdown } from "./markdown.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** Where a document may lead that is not in the repository. Tests run without a network. */
const WELL_KNOWN = [
  "https://github.com/containernetworking/",
  "https://github.com/apache/mesos",
  "https://mesos.apache.org/",
  "https://mesosphere.github.io/marathon/",
  "https://github.com/mesosphere/marathon",
  "https://docs.deno.com/",
  "https://github.com/denoland/deno",
  "https://developer.hashicorp.com/nomad/",
  "https://github.com/containerd/",
  "https://docs.podman.io/",
  "https://github.com/opencontainers/",
  "https://keepachangelog.com/",
  "https://semver.org/",
  "https://spdx.org/",
  "https://spdx.github.io/",
  "https://cyclonedx.org/",
  "https://reproducible-builds.org/",
  "https://no-color.org",
  "https://prometheus.io/",
  "https://netfilter.org/",
];

const documents = new Map<string, Document>();
for (const path of listMarkdown(ROOT)) {
  documents.set(relative(ROOT, path), readMarkdown(await Deno.readTextFile(path)));
}

Deno.test("every link of the documents leads somewhere", () => {
  const broken = [...documents].flatMap(([path, { links }]) =>
    links.filter(({ target }) => !isGood(path, target))
      .map(({ target, line }) => `${path}:${line}: ${target}`)
  );
  assertEquals(broken, []);
});

function isGood(from: string, target: string): boolean {
  if (/^[a-z]+:/.test(target)) return WELL_KNOWN.some((begin) => target.startsWith(begin));
  const [file, fragment] = target.split("#") as [string, string?];
  const path = file === "" ? from : join(from, "..", file);
  if (!exists(join(ROOT, path))) return false;
  if (fragment === undefined) return true;
  const headings = documents.get(path)?.headings ?? [];
  return headings.some(({ text }) => anchorOf(text) === decodeURIComponent(fragment));
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

const TRANSLATED = ["README", "docs/tutorial", "docs/guides"];

for (const name of TRANSLATED) {
  Deno.test(`${name} has the same sections and the same commands in English and Chinese`, () => {
    const [english, chinese] = ["md", "zh.md"].map((ending) => documents.get(`${name}.${ending}`)!);
    const outline = ({ headings }: Document) => headings.map(({ level }) => level);
    assertEquals(outline(chinese!), outline(english!));
    const commands = ({ blocks }: Document) =>
      blocks.filter(({ info }) => info[0] === "sh").map(({ info, text }) => [
        info.join(" "),
        withoutRemarks(text),
      ]);
    assertEquals(commands(chinese!), commands(english!));
  });
}

/** Commands without the remarks beside them, which are translated. */
function withoutRemarks(text: string): string {
  return text.replaceAll(/ +#.*$/gm, "");
}

Deno.test("the reference has the commands as the program has them", async () => {
  const reference = await Deno.readTextFile(join(ROOT, "docs/reference.md"));
  assertEquals(reference, await withCommands(reference), "run ./dev docs");
});

Deno.test("the examples of every --help are calls that the command takes", async () => {
  for (const command of await allCommands()) {
    for (const [typed] of command.examples) {
      const [program, ...words] = ownCall(typed);
      assertEquals(program?.replace("./", ""), "mesos-cni", typed);
      const whole = command.name.split(" ");
      // Or its short form, which is the last word alone.
      const own = TABLE.some(({ short, name }) => short && name === words[0]) ? [words[0]] : whole;
      assertEquals(words.slice(0, own.length), own, typed);
      parseCall(command, words.slice(own.length), {
        commands: TABLE,
        plugins: REGISTRY,
        found: () => undefined,
      });
    }
  }
});

/** The words of our call in a shell's line, which may have others before and after it. */
function ownCall(line: string): string[] {
  const calls = line.replaceAll(/'[^']*'/g, (quoted) => quoted.replaceAll(/[|; <>]/g, "_"))
    .split(/[|;]|&&/).map((call) => call.trim().replace(/^sudo /, ""));
  const call = calls.find((call) => /^(\.\/)?mesos-cni /.test(call)) ?? "";
  return call.split(/ [<>]/)[0]!.trim().split(/\s+/);
}

Deno.test("who types from the README has a first container of their own within a minute", () => {
  const blocks = documents.get("README.md")!.blocks.filter(({ info }) => info[0] === "sh");
  const first = blocks.findIndex(({ info }) => info.includes("run"));
  // The clone and the demo, which also builds, at five characters a second.
  const typed = ["git clone https://example.com/them/mesos-cni && cd mesos-cni", "./dev demo"]
    .concat(blocks[first]!.text.trimEnd()).join("\n");
  assertEquals(blocks[first - 1]!.text.startsWith("./dev demo"), true);
  assertEquals(typed.length / 5 < 60, true, `${typed.length / 5} s`);
});
