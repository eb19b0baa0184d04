import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  makeDirectory,
  readCheckpoint,
  removeCheckpoint,
  removeDirectory,
  writeCheckpoint,
} from "../../lib/base/atomic_file.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { readTextFile } from "../../lib/base/read_file.ts";

function inDirectory(name: string, test: (dir: string) => void): void {
  Deno.test(name, () => {
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
  Deno.symlinkSync(`${dir}/victim`, `${dir}/file.new`);
  writeCheckpoint(`${dir}/file`, "text");
  assertEquals(Deno.readTextFileSync(`${dir}/victim`), "as it was");
  assertEquals(Deno.lstatSync(`${dir}/file`).isFile, true);
});

inDirectory("what an interrupted write left is taken away with the file", (dir) => {
  for (const name of ["file", ".file.new", "file.new"]) {
    Deno.writeTextFileSync(`${dir}/${name}`, "");
  }
  removeCheckpoint(`${dir}/file`);
  assertEquals(names(dir), []);
  removeCheckpoint(`${dir}/file`);
  assertEquals(readCheckpoint(`${dir}/file`), undefined);
});

inDirectory("what a name leads to is flushed before it, and its directory after it", (dir) => {
  const { syncSync } = Deno.FsFile.prototype;
  const flushed: string[] = [];
  Deno.FsFile.prototype.syncSync = function () {
    flushed.push(this.statSync().isDirectory ? `directory of ${names(dir)}` : "file");
    syncSync.call(this);
  };
  try {
    writeCheckpoint(`${dir}/state`, "text");
    removeCheckpoint(`${dir}/state`);
    makeDirectory(`${dir}/deep`);
    removeDirectory(`${dir}/deep`);
  } finally {
    Deno.FsFile.prototype.syncSync = syncSync;
  }
  assertEquals(flushed, [
    "file",
    "directory of state",
    "directory of ",
    "directory of deep",
    "directory of ",
  ]);
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
    [() => makeDirectory(`${dir}/plain/deep`), "ENOTDIR"],
    [() => removeCheckpoint(`${dir}/plain/file`), "ENOTDIR"],
  ];
  for (const [work, errno] of attempts) {
    const error = assertThrows(work, OperatorError);
    assertStringIncludes(error.message, dir);
    assertStringIncludes(error.message, errno);
    assertStringIncludes(error.message, "; ");
  }
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
