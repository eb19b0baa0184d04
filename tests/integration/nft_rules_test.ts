/**
 * Rules written over netlink are what iptables and nft would have written: the listings of their
 * own programs are the judge.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { partOf } from "../harness/part.ts";
import { Sandbox } from "../harness/sandbox.ts";
import { type FirewallRule, network, ruleLine } from "../../lib/firewall/rule.ts";
import { ruleOf, type Shape, SHAPES } from "../harness/nft_program.ts";

const PROGRAM = fromFileUrl(new URL("../harness/nft_program.ts", import.meta.url));

/** Runs one part of the harness's program inside a sandbox, where this process is not. */
async function inside(sandbox: Sandbox, ...args: string[]): Promise<string> {
  const root = fromFileUrl(new URL("../../", import.meta.url));
  return await sandbox.ok([
    Deno.execPath(),
    ...["run", "--quiet", "--no-check", "--no-config", "--no-lock"],
    `--import-map=${root}tools/closed_network/import_map.json`,
    ...["--allow-all", PROGRAM, ...args],
  ]);
}

/** Without comments (which hold the time) and counters. */
function plain(saved: string): string[] {
  return saved.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace(/\[\d+:\d+\]/, ""));
}

for (const family of partOf([4, 6] as const, 2)) {
  const tool = family === 4 ? "iptables" : "ip6tables";
  Deno.test(`IPv${family}: ${tool}-save is the same after ${tool}-restore and over netlink`, async () => {
    const shapes = SHAPES(family);
    const textOf = (shape: Shape) => ruleLine(ruleOf(family, shape)).slice(4 + shape.chain.length);
    assert(shapes.length > 60);
    await using restored = await Sandbox.create();
    const tables = ["raw", "filter", "nat"].map((table) => {
      const own = shapes.filter((shape) => shape.table === table);
      const chains = [...new Set(own.map(({ chain }) => chain))].filter((chain) =>
        /[a-z]/.test(chain)
      );
      return [
        `*${table}`,
        ...chains.map((chain) => `-N ${chain}`),
        ...own.map((shape) =>
          shape.first
            ? `-I ${shape.chain} 1 ${textOf(shape)}`
            : `-A ${shape.chain} ${textOf(shape)}`
        ),
        "COMMIT\n",
      ].join("\n");
    });
    await restored.ok([`${tool}-restore`, "--noflush"], { stdin: tables.join("") });
    await using written = await Sandbox.create();
    const handles: unknown[] = JSON.parse(await inside(written, "iptables", `${family}`));
    assertEquals(handles.length, shapes.length);
    const [wanted, found] = [
      plain(await restored.ok([`${tool}-save`])),
      plain(await written.ok([`${tool}-save`])),
    ];
    assertEquals(found, wanted);
    // Each is found again by what it does, also among those that iptables wrote, and is understood.
    for (const sandbox of [restored, written]) {
      const read = JSON.parse(await inside(sandbox, "read", `${family}`));
      assertEquals([read.found, read.missing], [shapes.length, []]);
      assertEquals(read.lines.toSorted(), linesOf(wanted).toSorted());
    }
    // The program deletes what netlink wrote.
    for (const shape of shapes) {
      await written.ok([tool, "-t", shape.table, "-D", shape.chain, ...words(textOf(shape))]);
    }
    assertEquals(plain(await written.ok([`${tool}-save`])).filter((line) => line[0] === "-"), []);
  });
}

/** The rules of `iptables-save`, each with its table. */
function linesOf(saved: readonly string[]): string[] {
  let table = "";
  return saved.flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    return line.startsWith("-A ") ? [`${table} ${line}`] : [];
  });
}

function words(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"|\S+/g)]
    .map(([word, quoted]) => quoted === undefined ? word : quoted.replaceAll(/\\(.)/g, "$1"));
}

Deno.test("thousands of rules and elements in one transaction, and their deletion", async () => {
  await using sandbox = await Sandbox.create();
  assertEquals(await inside(sandbox, "many", "6000"), "6000 6000 0 elements 6000 0\n");
});

Deno.test("after an error the next batch is answered as if there had been none", async () => {
  await using sandbox = await Sandbox.create();
  assertEquals(await inside(sandbox, "errors"), "ENOENT ok ENOENT ok\n");
});

Deno.test("a rule that could end a line of iptables-restore is refused", () => {
  const rule: FirewallRule = {
    ...{ family: 4, table: "filter", chain: "FORWARD" },
    source: network("10.0.0.0/8"),
    comment: "a\n-A INPUT",
    target: { verdict: "DROP" },
  };
  assertThrows(() => ruleLine(rule), Error, "line break");
});
