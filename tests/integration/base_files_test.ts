import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  makeDirectory,
  readCheckpoint,
  removeCheckpoint,
  writeCheckpoint,
} from "../../lib/kernel/atomic_file.ts";
import { exists } from "../../lib/base/exists.ts";
import { kernelTest } from "../harness/kernel.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { readTextFile } from "../../lib/kernel/read_file.ts";
import { rewriteFile } from "../../lib/kernel/rewrite_file.ts";

function inDirectory(name: string, test: (dir: string) => void): void {
  kernelTest(name, () => {
    const dir = Deno.makeTempDirSync();
    const umask = Deno.umask();
    try {
      test(dir);
    } finally {
      Deno.umask(umask);
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

const modeOf = (path: string) => Deno.lstatSync(path).mode! & 0o7777;
const names = (dir: string) => [...Deno.readDirSync(dir)].map((entry) => entry.name);

inDirectory("a file and its directories have their modes, whatever the umask is", (dir) => {
  for (const umask of [0, 0o022, 0o077, 0o777]) {
    Deno.umask(umask);
    const file = `${dir}/${umask}/deep/file`;
    writeCheckpoint(file, "text");
    assertEquals(modeOf(file), 0o644);
    writeCheckpoint(file, "secret", 0o600);
    assertEquals(modeOf(file), 0o600);
    assertEquals([modeOf(`${dir}/${umask}`), modeOf(`${dir}/${umask}/deep`)], [0o755, 0o755]);
    makeDirectory(`${dir}/${umask}/own`, 0o700);
    assertEquals(modeOf(`${dir}/${umask}/own`), 0o700);
    assertEquals(names(`${dir}/${umask}/deep`), ["file"]);
  }
});

inDirectory("a link that waits at the temporary name is not followed", (dir) => {
  Deno.writeTextFileSync(`${dir}/victim`, "as it was");
  Deno.symlinkSync(`${dir}/victim`, `${dir}/.file.new`);
  writeCheckpoint(`${dir}/file`, "text");
  assertEquals(Deno.readTextFileSync(`${dir}/victim`), "as it was");
  assertEquals(Deno.lstatSync(`${dir}/file`).isFile, true);
});

inDirectory("what an interrupted write left is taken away with the file", (dir) => {
  for (const name of ["file", ".file.new"]) {
    Deno.writeTextFileSync(`${dir}/${name}`, "");
  }
  removeCheckpoint(`${dir}/file`);
  assertEquals(names(dir), []);
  removeCheckpoint(`${dir}/file`);
  assertEquals(readCheckpoint(`${dir}/file`), undefined);
});

/** Runs a script that uses these files, under strace. */
async function traced(dir: string, script: string, ...options: string[]): Promise<string[]> {
  const file = (name: string) => new URL(`../../lib/kernel/${name}.ts`, import.meta.url).href;
  Deno.writeTextFileSync(
    `${dir}.ts`,
    `import * as checkpoint from "${file("atomic_file")}";
     import { rewriteFile } from "${file("rewrite_file")}";
     ${script}`,
  );
  const imports = new URL("../../tools/closed_network/import_map.json", import.meta.url).pathname;
  const flags = ["-A", "--quiet", "--no-check", "--no-config", `--import-map=${imports}`];
  const run = [Deno.execPath(), "run", ...flags];
  const strace = ["-f", "-qq", "-y", "-o", `${dir}.trace`, ...options];
  try {
    const { success, stderr } = await new Deno.Command("strace", {
      args: [...strace, ...run, `${dir}.ts`],
      stdout: "null",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return Deno.readTextFileSync(`${dir}.trace`).split("\n");
  } finally {
    for (const end of ["ts", "trace"]) Deno.removeSync(`${dir}.${end}`);
  }
}

Deno.test("what a name leads to is flushed before it, and its directory after it", async () => {
  const dir = Deno.makeTempDirSync();
  const lines = await traced(
    dir,
    `checkpoint.writeCheckpoint("${dir}/state", "text");
     checkpoint.removeCheckpoint("${dir}/state");
     checkpoint.makeDirectory("${dir}/deep");
     checkpoint.removeDirectory("${dir}/deep");`,
    "-e",
    "trace=fsync,renameat,renameat2,rename,unlinkat,unlink,mkdirat,rmdir",
  );
  Deno.removeSync(dir, { recursive: true });
  const calls = lines.filter((line) =>
    /[/>]/.test(line.split(dir)[1]?.[0] ?? "") && !line.includes("ENOENT")
  )
    .map((line) => line.replace(/^\d+ +/, "").replaceAll(dir, "DIR").replaceAll(/\d+</g, "<"))
    .map((line) => line.replace(/^(unlink|rmdir)(?:at)?\(.*$/, "removal").replace(/ = .*$/, ""));
  assertEquals(calls, [
    "fsync(<DIR/.state.new>)",
    'renameat(<DIR>, ".state.new", <DIR>, "state")',
    "fsync(<DIR>)",
    "removal",
    "fsync(<DIR>)",
    'mkdirat(<DIR>, "deep", 0700)',
    "fsync(<DIR>)",
    "removal",
    "fsync(<DIR>)",
  ]);
});

/** Runs a script whose calls that set a mode or owner wait, while another has the temporary name. */
async function racing(dir: string, script: string, below: string): Promise<void> {
  const running = traced(
    dir,
    script,
    ...["-e", "trace=fchmod,chmod,fchmodat,fchown,chown,fchownat,lchown"],
    ...["-e", "inject=fchmod,chmod,fchmodat,fchown,chown,fchownat:delay_enter=3s"],
  );
  const isUnfinished = (name: string) => name.startsWith(".");
  let name: string | undefined;
  while (name === undefined) {
    if (exists(below)) name = names(below).find(isUnfinished);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  Deno.removeSync(`${below}/${name}`);
  Deno.symlinkSync(`${dir}.victim`, `${below}/${name}`);
  await running;
}

const ATTACKED = [
  ["written", "", (file: string) => `checkpoint.writeCheckpoint("${file}", "text", 0o666);`],
  [
    "rewritten",
    ".mesos-cni.new",
    (file: string) =>
      `rewriteFile("${file}", { was: new TextEncoder().encode("before"), text: "text", mode: 0o666 });`,
  ],
] as const;
for (const [what, below, script] of ATTACKED) {
  Deno.test(`a file that is ${what} gives its mode and owner to no other`, async () => {
    const dir = Deno.makeTempDirSync();
    const victim = `${dir}.victim`;
    Deno.writeTextFileSync(victim, "secret", { mode: 0o600 });
    Deno.writeTextFileSync(`${dir}/file`, "before");
    Deno.chownSync(`${dir}/file`, 0, 0);
    await racing(dir, script(`${dir}/file`), `${dir}/${below}`);
    // The link is at the name: it came in time.
    assertEquals(Deno.readLinkSync(`${dir}/file`), victim);
    assertEquals([modeOf(victim), Deno.readTextFileSync(victim)], [0o600, "secret"]);
    Deno.removeSync(dir, { recursive: true });
    Deno.removeSync(victim);
  });
}

inDirectory("a file that is rewritten keeps its owner, its mode and its attributes", (dir) => {
  const text = (value: string) => new TextEncoder().encode(`${value}\0`);
  const libc = Deno.dlopen("libc.so.6", {
    setxattr: { parameters: ["buffer", "buffer", "buffer", "usize", "i32"], result: "i32" },
    getxattr: { parameters: ["buffer", "buffer", "buffer", "usize"], result: "isize" },
  });
  const path = `${dir}/file`;
  const attribute = ["security.test", "of the file"] as const;
  Deno.writeTextFileSync(path, "before");
  Deno.chmodSync(path, 0o640);
  assertEquals(
    libc.symbols.setxattr(text(path), text(attribute[0]), text(attribute[1]), 11n, 0),
    0,
  );
  Deno.symlinkSync("file", `${dir}/link`);

  const bytes = (text: string) => new TextEncoder().encode(text);
  rewriteFile(`${dir}/link`, { was: bytes("before"), text: "after" });
  assertEquals([Deno.readTextFileSync(path), modeOf(path)], ["after", 0o640]);
  assertEquals(Deno.readLinkSync(`${dir}/link`), "file");
  const value = new Uint8Array(100);
  assertEquals(libc.symbols.getxattr(text(path), text(attribute[0]), value, 100n), 11n);
  assertEquals(new TextDecoder().decode(value.subarray(0, 11)), attribute[1]);

  rewriteFile(path, { was: bytes("after"), mode: 0o600 });
  assertEquals([Deno.readTextFileSync(path), modeOf(path)], ["after", 0o600]);
  rewriteFile(path, { was: bytes("af"), isCut: true, text: "mended", mode: 0o644 });
  assertEquals([Deno.readTextFileSync(path), modeOf(path)], ["mended", 0o644]);
  // Somebody has put another file, or a link to one, in the place of the one that was read.
  for (const was of ["", "men", "mended more", "other"]) {
    assertThrows(
      () => rewriteFile(path, { was: bytes(was), text: "lost", mode: 0o666 }),
      OperatorError,
      "has changed",
    );
    assertThrows(
      () => rewriteFile(path, { was: bytes(was), mode: 0o666 }),
      OperatorError,
      "has changed",
    );
  }
  assertEquals([Deno.readTextFileSync(path), modeOf(path)], ["mended", 0o644]);
  assertEquals(names(dir).sort(), ["file", "link"]);
});

inDirectory("an error of a file names it, and says what to do", (dir) => {
  Deno.writeTextFileSync(`${dir}/plain`, "");
  Deno.symlinkSync("loop", `${dir}/loop`);
  const attempts: [work: () => void, errno: string][] = [
    [() => writeCheckpoint(`${dir}/plain/file`, ""), "EEXIST"],
    [() => writeCheckpoint(`${dir}/${"n".repeat(300)}`, ""), "ENAMETOOLONG"],
    [() => writeCheckpoint(`${dir}/loop/file`, ""), "ELOOP"],
    [() => readCheckpoint(dir), "EISDIR"],
    [() => makeDirectory(`${dir}/plain`), "EEXIST"],
    [() => makeDirectory(`${dir}/plain/deep`), "EEXIST"],
    [() => removeCheckpoint(`${dir}/plain/file`), "ENOTDIR"],
  ];
  for (const [work, errno] of attempts) {
    const error = assertThrows(work, OperatorError);
    assertStringIncludes(error.message, dir);
    assertStringIncludes(error.message, errno);
    assertStringIncludes(error.message, "; ");
  }
});

inDirectory("of a file of state, bytes are counted, and not characters", (dir) => {
  Deno.writeTextFileSync(`${dir}/file`, "é".repeat(9 << 20));
  assertThrows(() => readCheckpoint(`${dir}/file`), OperatorError, "more than 16777216 bytes");
});

inDirectory("a pipe, a directory and a long file are not read as settings", (dir) => {
  assertEquals(new Deno.Command("mkfifo", { args: [`${dir}/pipe`] }).outputSync().success, true);
  Deno.writeTextFileSync(`${dir}/long`, "x".repeat(11));
  for (const name of ["pipe", "long", ".", "none"]) {
    const error = assertThrows(() => readTextFile(`${dir}/${name}`, 10), OperatorError);
    assertStringIncludes(error.message, `${dir}/${name}`);
  }
  assertEquals(readTextFile(`${dir}/long`, 11), "x".repeat(11));
});
