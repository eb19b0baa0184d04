/** The linter: a directory of many configs, and an editor's keystrokes. */
import { Editor } from "../tests/harness/editor.ts";
import { MESOS_CNI } from "../tests/harness/binary.ts";
import { goal, row, runProgram, shown, summary, timeByTurns } from "./timing.ts";

const FILES = 1000;
const ROUNDS = 5;
const KEYSTROKES = 100;

const config = (i: number) =>
  `{
  "cniVersion": "0.2.0",
  "name": "net-${i}",
  "type": "bridge",
  "bridge": "cni${i}",
  "isGateway": true,
  "ipam": {
    "type": "host-local",
    "subnet": "10.${i >> 8}.${i & 255}.0/24",
    "routes": [{ "dst": "0.0.0.0/0" }]
  }
}
`;

export async function run(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-bench-" });
  try {
    for (let i = 0; i < FILES; i++) await Deno.writeTextFile(`${dir}/${i}.conf`, config(i));
    const timings = await timeByTurns({
      [`lint of ${FILES} files`]: () => runProgram(MESOS_CNI, ["lint", dir]),
    }, ROUNDS);
    const all = Object.values(timings)[0]!;
    const key = summary(await keystrokes());
    console.log(row("lint", "median (min … max)"));
    console.log(row("---", "---"));
    console.log(row(`${FILES} files`, shown(all)));
    console.log(row("a keystroke, among 20 other files", shown(key)));
    console.log("\n" + goal(`lint of ${FILES} files`, all.median, 2000, " ms"));
    console.log(goal("a keystroke", key.median, 50, " ms"));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function keystrokes(): Promise<number[]> {
  const dir = await Deno.makeTempDir({ prefix: "mesos-cni-bench-" });
  try {
    for (let i = 0; i < 20; i++) await Deno.writeTextFile(`${dir}/${i}.conf`, config(i));
    await using editor = await Editor.start();
    const uri = `file://${dir}/edited.conf`;
    await editor.open(config(20), uri);
    const times: number[] = [];
    for (let i = 0; i < KEYSTROKES; i++) {
      const start = performance.now();
      await editor.change(config(20) + " ".repeat(i), i + 2, uri);
      times.push(performance.now() - start);
    }
    return times;
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
