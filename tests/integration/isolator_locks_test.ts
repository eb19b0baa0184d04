import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FileLock } from "../../lib/kernel/lock.ts";
import { stateOf } from "../../lib/kernel/proc.ts";
import { Layout } from "../../lib/containers/layout.ts";
import { Locks, patienceFor } from "../../lib/containers/locks.ts";
import { parseContainerId } from "../../lib/mesos/container_id.ts";
import { kernelTest } from "../harness/kernel.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

kernelTest(
  "locks: one operation of a container after the other, of others at the same time",
  async () => {
    const dir = await Deno.makeTempDir();
    const locks = new Locks(new Layout(dir));
    const [a, b] = [parseContainerId("a"), parseContainerId("b")];
    const log: string[] = [];
    const work = (name: string, ms: number) => async () => {
      log.push(`${name} begins`);
      await pause(ms);
      log.push(`${name} ends`);
    };
    let ended = () => {};
    const otherEnded = new Promise<void>((resolve) => ended = resolve);
    await Promise.all([
      locks.hold(a, async () => {
        log.push("a1 begins");
        // Where one container waits for another, this comes to its end alone.
        let timer: number | undefined;
        await Promise.race([otherEnded, new Promise((late) => timer = setTimeout(late, 60_000))]);
        clearTimeout(timer);
        log.push("a1 ends");
      }),
      locks.hold(a, work("a2", 1)),
      locks.hold(b, work("b1", 1)).then(ended),
      assertRejects(() => locks.hold(a, () => Promise.reject(new Error("a3 fails"))), Error, "a3"),
      locks.hold(a, work("a4", 1)),
    ]);
    const ofA = log.filter((line) => line.startsWith("a"));
    assertEquals(ofA, ["a1 begins", "a1 ends", "a2 begins", "a2 ends", "a4 begins", "a4 ends"]);
    assertEquals(log.indexOf("b1 ends") < log.indexOf("a1 ends"), true);
    // Nothing of the containers is on disk, so neither are their locks.
    const left = [...Deno.readDirSync(new Layout(dir).requests)].map(({ name }) => name);
    assertEquals(left, ["handles"]);
    await Deno.remove(dir, { recursive: true });
  },
);

kernelTest("locks: a directory that an older version left open to all is closed", async () => {
  const dir = await Deno.makeTempDir();
  const { requests } = new Layout(dir);
  Deno.mkdirSync(requests, { recursive: true });
  Deno.chmodSync(requests, 0o755);
  await new Locks(new Layout(dir)).hold(parseContainerId("a"), () => {});
  assertEquals(stateOf(requests).mode, 0o700);
  await Deno.remove(dir, { recursive: true });
});

kernelTest("a lock is waited for longer than the plugins of the longest list may take", () => {
  const dir = Deno.makeTempDirSync();
  try {
    const layout = new Layout(dir);
    const id = parseContainerId("a");
    const attach = (network: string, config: unknown) => {
      Deno.mkdirSync(layout.interface(id, network, "eth0"), { recursive: true });
      Deno.writeTextFileSync(layout.config(id, network), JSON.stringify(config));
    };
    const minutes = () => patienceFor(layout, id) / 60_000;
    assertEquals(minutes() > 2, true);
    attach("long", { plugins: [{}, {}, {}, {}, {}] });
    attach("short", { plugins: [{}] });
    attach("damaged", "none");
    assertEquals([minutes() > 5, minutes() < 6], [true, true]);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});

kernelTest(
  "locks: who locked a directory, as no file could be made, removes nobody's file",
  async () => {
    const dir = await Deno.makeTempDir();
    const mount = (...options: string[]) =>
      new Deno.Command("mount", { args: [...options, "tmpfs", dir] }).outputSync().success;
    assertEquals(mount("-t", "tmpfs", "-o", "nr_inodes=1"), true);
    const path = `${dir}/a.lock`;
    const first = FileLock.tryTake(path)!;
    assertEquals(mount("-o", "remount,nr_inodes=10"), true);
    using second = FileLock.tryTake(path)!;
    first.remove();
    first[Symbol.dispose]();
    assertEquals([second.path, ...Deno.readDirSync(dir).map(({ name }) => name)], [path, "a.lock"]);
    await new Deno.Command("umount", { args: [dir] }).output();
  },
);

kernelTest(
  "locks: where no file of a lock can be made, nobody but root keeps a container's work waiting",
  async () => {
    const dir = await Deno.makeTempDir();
    const mount = ["-t", "tmpfs", "-o", "nr_inodes=16,mode=755", "tmpfs", dir];
    assertEquals(new Deno.Command("mount", { args: mount }).outputSync().success, true);
    const layout = new Layout(dir);
    const id = parseContainerId("a");
    await new Locks(layout).hold(id, () => {});
    assertThrows(
      () => {
        for (let i = 0; i < 16; i++) Deno.mkdirSync(`${dir}/${i}`);
      },
      Error,
      "No space",
    );
    // Each directory that others may open is held by one of them.
    const open = [dir, `${dir}/isolators`, `${dir}/isolators/network`];
    const holders = open.map((path) =>
      new Deno.Command("setpriv", {
        args: ["--reuid=65534", "--clear-groups", "flock", path, "sh", "-c", "echo held; exec cat"],
        stdin: "piped",
        stdout: "piped",
      }).spawn()
    );
    for (const { stdout } of holders) {
      assertEquals((await stdout[Symbol.asyncIterator]().next()).value?.length, 5);
    }
    const done = new Locks(layout).hold(id, () => {
      assertThrows(() => Deno.writeTextFileSync(`${layout.requests}/file`, ""), Error, "No space");
      // Who else is in the same need waits.
      return FileLock.tryTakeDirectory(layout.handles, "exclusive");
    });
    let timer: number | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, 60_000, "late"));
    const outcome = await Promise.race([done, late]);
    clearTimeout(timer);
    for (const { stdin } of holders) await stdin.close();
    for (const { status } of holders) assertEquals((await status).code, 0);
    await done;
    assertEquals(outcome, undefined);
    assertEquals(stateOf(layout.handles).mode, 0o700);
    await new Deno.Command("umount", { args: [dir] }).output();
  },
);
