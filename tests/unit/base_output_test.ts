import { assertEquals, assertThrows } from "@std/assert";
import { OperatorError } from "../../lib/base/error.ts";
import { withFile } from "../../lib/base/file_error.ts";
import { reasonOf } from "../../lib/base/log.ts";
import { jsonText, plain, plainLine } from "../../lib/base/printable.ts";
import { sweep } from "../../lib/isolator/gc/sweep.ts";
import { writeErrorOutput, writeOutput } from "../../lib/base/streams.ts";

/** A character of each kind that can do something to a terminal, or show what is not there. */
const TRICKS = [
  "\x00",
  "\x07",
  "\r",
  "\x1b",
  "\x7f",
  "\x85",
  "\x9b",
  "\xad",
  "\u061c",
  "\u200b",
  "\u200e",
  "\u202e",
  "\u2028",
  "\u2060",
  "\u2066",
  "\u3164",
  "\ufeff",
  "\ufe0f",
  "\ud800",
  "\u{e0041}",
];

Deno.test("no trick of a framework's text reaches a terminal", () => {
  for (const trick of TRICKS) {
    const shown = plain(`a${trick}b`);
    assertEquals(/^a(\\u[0-9a-f]{4})+b$/.test(shown), true, shown);
    const json = jsonText({ [`k${trick}`]: [`v${trick}`] }, 2);
    assertEquals(/^[\x20-\x7e\n]*$/.test(json), true, json);
    assertEquals(JSON.parse(json), { [`k${trick}`]: [`v${trick}`] });
  }
  assertEquals(plain("日本語 é 🙂 \t\n"), "日本語 é 🙂 \t\n");
  assertEquals(plainLine("one\n  two"), "one; two");
  assertEquals(jsonText({ a: "é\n" }), '{"a":"é\\n"}');
});

/** Takes a few bytes at a time, and refuses every other call. */
function slow(refusal: () => Error) {
  const taken: number[] = [];
  let calls = 0;
  return {
    text: () => new TextDecoder().decode(new Uint8Array(taken)),
    writeSync(bytes: Uint8Array): number {
      if (calls++ % 2 === 0) throw refusal();
      taken.push(...bytes.subarray(0, 3));
      return Math.min(3, bytes.length);
    },
  };
}

Deno.test("output waits for a reader that is slow, and stops with one that is gone", () => {
  const stream = slow(() => new Deno.errors.WouldBlock());
  writeOutput("a result", stream);
  assertEquals(stream.text(), "a result");
  writeOutput("a result", slow(() => new Deno.errors.BrokenPipe()));
  const full = Object.assign(new Error("No space left on device (os error 28)"), {
    code: "ENOSPC",
  });
  assertThrows(() => writeOutput("a result", slow(() => full)), OperatorError, "standard output");
});

Deno.test("what is said on standard error neither throws nor waits", () => {
  for (const refusal of [Deno.errors.WouldBlock, Deno.errors.BrokenPipe, TypeError]) {
    writeErrorOutput("a line\n", slow(() => new refusal()));
  }
});

/** What is said on standard error meanwhile. */
async function said(work: () => unknown): Promise<string> {
  const { writeSync } = Deno.stderr;
  let text = "";
  Deno.stderr.writeSync = (bytes) => (text += new TextDecoder().decode(bytes), bytes.length);
  try {
    await work();
  } finally {
    Deno.stderr.writeSync = writeSync;
  }
  return text;
}

Deno.test("a defect is no operator's error, and keeps its stack where work goes on", async () => {
  const defect = () => (undefined as unknown as { member: string }).member;
  assertThrows(() => withFile("read", "/a/file", defect), TypeError);
  const garbage = {
    kind: "rule",
    what: "a rule",
    why: "",
    remove: () => Promise.resolve(defect()),
  };
  let outcome: string | undefined;
  const stack = await said(async () => {
    outcome = (await sweep([garbage as never], true))[0]!.outcome;
  });
  assertEquals(outcome, "failed");
  assertEquals([stack.includes("TypeError"), stack.includes("base_output_test.ts")], [true, true]);
  const foreseen = [new OperatorError("busy", "it is held"), new Deno.errors.NotFound("gone")];
  Object.assign(foreseen[1]!, { code: "ENOENT" });
  for (const error of foreseen) {
    assertEquals(await said(() => assertEquals(reasonOf(error), error.message)), "");
  }
});
