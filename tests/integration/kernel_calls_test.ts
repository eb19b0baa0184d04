/**
 * Each part of lib/kernel that calls the C library, by what the call is for: a flag or a structure of
 * another architecture shows in what the kernel does.
 */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { kernelTest } from "../harness/kernel.ts";
import { EMULATED } from "../harness/scale.ts";
import { onSomeCpu } from "../../lib/kernel/cpus.ts";
import {
  createWhole,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_TRUNC,
  O_WRONLY,
  open,
  openAt,
  pipe,
  readAll,
  readProcFile,
  setInherited,
  write,
} from "../../lib/kernel/files.ts";
import { SystemError } from "../../lib/kernel/libc.ts";
import { killWhere } from "../../lib/kernel/kill.ts";
import { FileLock } from "../../lib/kernel/lock.ts";
import { bindMount, mount, mounts, MS_NOSUID, unmount } from "../../lib/kernel/mount.ts";
import { bindSeal } from "../../lib/kernel/mount_seal.ts";
import {
  inNamespaces,
  inNewNamespaces,
  isNamespaceHandle,
  isOwnNamespace,
} from "../../lib/kernel/namespaces.ts";
import { readInRoot } from "../../lib/kernel/other_root.ts";
import { openOwnProc } from "../../lib/kernel/own_proc.ts";
import { parentPid } from "../../lib/kernel/process.ts";
import { identify, isRunning } from "../../lib/kernel/process_identity.ts";
import { networkOf, ProcessTable } from "../../lib/kernel/processes.ts";
import { UnixListener, UnixStream } from "../../lib/kernel/unix_socket.ts";
import { getHostname, setHostname } from "../../lib/kernel/uts.ts";
import { Netlink } from "../../lib/netlink/mod.ts";
import { addVeth } from "../../lib/netlink/link_changes.ts";

async function inDirectory(work: (path: string) => void | Promise<void>): Promise<void> {
  const path = await Deno.makeTempDir();
  await work(path); // What a failed one leaves mounted goes with the test's own mounts.
  await Deno.remove(path, { recursive: true });
}

function refused(errnoName: string, call: () => unknown): void {
  assertEquals(assertThrows(call, SystemError).errnoName, errnoName);
}

kernelTest("flags of open mean what their names say", () =>
  inDirectory((path) => {
    Deno.writeTextFileSync(`${path}/file`, "text");
    Deno.symlinkSync("file", `${path}/link`);
    refused("ENOTDIR", () => open(`${path}/file`, O_DIRECTORY));
    refused("ELOOP", () => open(`${path}/link`, O_NOFOLLOW));
    using dir = open(path, O_DIRECTORY);
    refused("EEXIST", () => openAt(dir, "file", O_WRONLY | O_CREAT | O_EXCL, "file", 0o600));
    refused("EBADF", () => readAll(openAt(dir, "file", O_PATH, "file"), "file"));
    using made = openAt(dir, "made", O_WRONLY | O_CREAT, "made", 0o640);
    write(made, "longer", "made");
    assertEquals(
      Deno.statSync(`${path}/made`).mode! & 0o777 & ~Deno.umask(),
      0o640 & ~Deno.umask(),
    );
    using emptied = openAt(dir, "made", O_WRONLY | O_TRUNC, "made");
    write(emptied, "x", "made");
    assertEquals(Deno.readTextFileSync(`${path}/made`), "x");
  }));

kernelTest("a file is born whole", () =>
  inDirectory((path) => {
    using dir = open(path, O_DIRECTORY);
    createWhole(dir, "whole", "text", 0o600, "whole");
    assertEquals(Deno.readTextFileSync(`${path}/whole`), "text");
    refused("EEXIST", () => createWhole(dir, "whole", "other", 0o600, "whole"));
  }));

kernelTest("a lock is one holder's at a time", () =>
  inDirectory(async (path) => {
    const first = FileLock.tryTake(`${path}/lock`);
    assert(first);
    assertEquals(FileLock.tryTake(`${path}/lock`), undefined);
    first[Symbol.dispose]();
    using second = await FileLock.take(`${path}/lock`, 1000);
    assert(second);
  }));

kernelTest("a pipe is inherited only if it is to be", async () => {
  const { readEnd, writeEnd } = pipe();
  const seen = async () => {
    const script = `[ -e /proc/self/fd/${writeEnd.fd} ] && echo there || echo not`;
    const { stdout } = await new Deno.Command("sh", { args: ["-c", script] }).output();
    return new TextDecoder().decode(stdout).trim();
  };
  setInherited(writeEnd, true);
  assertEquals(await seen(), "there");
  setInherited(writeEnd, false);
  assertEquals(await seen(), "not");
  readEnd.close();
  writeEnd.close();
});

Deno.test({
  name: "a unix socket takes connections, and knows who calls",
  sanitizeResources: false, // as of kernelTest
  sanitizeOps: false, // the kernel's wait ends on its own thread, a moment after it was cancelled
  fn: () =>
    inDirectory(async (path) => {
      using listener = UnixListener.at(`${path}/socket`, 0o600);
      const accepted = listener.accept();
      using caller = await Deno.connect({ transport: "unix", path: `${path}/socket` });
      using stream = await accepted as UnixStream;
      assertEquals(stream.peer().pid, Deno.pid);
      const read = stream.read(new Uint8Array(8));
      await caller.write(new TextEncoder().encode("hello"));
      assertEquals(await read, 5);
      await stream.write(new TextEncoder().encode("back"));
      const answer = new Uint8Array(8);
      assertEquals(await caller.read(answer), 4);
      const second = listener.accept();
      listener.cancel();
      assertEquals(await second, undefined);
    }),
});

kernelTest("new namespaces are new, and the old ones are come back to", () => {
  const own = (kind: string) => Deno.readLinkSync(`/proc/thread-self/ns/${kind}`);
  const home = [own("net"), own("mnt"), own("uts")];
  const there = inNewNamespaces(["net", "mnt", "uts"], () => {
    setHostname("elsewhere");
    assertEquals(getHostname(), "elsewhere");
    using netlink = Netlink.open();
    netlink.change(
      addVeth({ name: "left", mtu: 1400 }, { name: "right", mac: "02:00:00:00:00:07" }),
    );
    const right = netlink.link("right");
    assertEquals([right.kind, right.mac, netlink.link("left").mtu], [
      "veth",
      "02:00:00:00:00:07",
      1400,
    ]);
    return [own("net"), own("mnt"), own("uts")];
  });
  there.forEach((one, i) => assertNotEquals(one, home[i]));
  assertEquals([own("net"), own("mnt"), own("uts")], home);
  assertNotEquals(getHostname(), "elsewhere");
});

kernelTest("a namespace is kept by a mount, and entered by it", () =>
  inDirectory((path) => {
    Deno.writeTextFileSync(`${path}/handle`, "");
    const kept = inNewNamespaces(["net"], () => {
      bindMount("/proc/thread-self/ns/net", `${path}/handle`);
      return Deno.readLinkSync("/proc/thread-self/ns/net");
    });
    if (!EMULATED) assert(isNamespaceHandle(`${path}/handle`));
    assert(!isOwnNamespace(`${path}/handle`));
    const entered = inNamespaces(
      { net: `${path}/handle` },
      () => Deno.readLinkSync("/proc/thread-self/ns/net"),
    );
    assertEquals(entered, kept);
    assert(unmount(`${path}/handle`));
    assert(!unmount(`${path}/handle`));
  }));

kernelTest(
  "mounts have their flags, and seals are mounts (pivot_root)",
  () =>
    inDirectory((path) => {
      mount("none", path, "tmpfs", MS_NOSUID, "mount", "size=64k,mode=700");
      const found = mounts().find((one) => one.mountPoint === path);
      assert(found, "the mount is listed");
      assert(readProcFile("/proc/thread-self/mountinfo").includes(`${path} rw,nosuid`));
      Deno.writeTextFileSync(`${path}/seal`, "");
      Deno.mkdirSync(`${path}/empty`);
      mount(null, path, null, 0x40000, "make it private");
      bindSeal(`${path}/seal`, `${path}/empty`);
      if (!EMULATED) assert(isNamespaceHandle(`${path}/seal`, "mnt"));
      unmount(`${path}/seal`);
      unmount(path);
    }),
);

kernelTest("processes are known by their start, and threads choose a CPU", async () => {
  const own = identify(Deno.pid);
  assert(own && isRunning(own));
  assert(!isRunning({ ...own, startTime: own.startTime + 2 }));
  assertEquals(parentPid(), Deno.ppid);
  const inode = Deno.statSync("/proc/self/ns/net").ino!;
  assert((await ProcessTable.look()).inNamespace(inode).includes(Deno.pid));
  // Many who ask at the same time share a walk: /proc has thousands of processes.
  const tables = await Promise.all(Array.from({ length: 100 }, () => ProcessTable.look()));
  assert(new Set(tables).size <= 2, `${new Set(tables).size} walks for a hundred questions`);
  let tried = 0;
  assert(!onSomeCpu(() => (tried++, false)));
  assert(tried > 0);
});

kernelTest(
  "files below another root are read there, and only regular ones",
  () =>
    inDirectory((path) => {
      const root = `${path}/root`;
      Deno.mkdirSync(`${root}/etc`, { recursive: true });
      Deno.writeTextFileSync(`${path}/secret`, "the host's");
      Deno.writeTextFileSync(`${root}/secret`, "its own");
      Deno.symlinkSync("/secret", `${root}/etc/absolute`);
      Deno.symlinkSync("../../../secret", `${root}/etc/upwards`);
      Deno.symlinkSync("/dev/zero", `${root}/etc/device`);
      Deno.symlinkSync("/proc/self/root/etc/passwd", `${root}/etc/magic`);
      assert(new Deno.Command("mkfifo", { args: [`${root}/etc/pipe`] }).outputSync().success);
      Deno.writeTextFileSync(`${root}/etc/plain`, "a file");
      assertEquals(readInRoot(root, "etc/plain", 100), "a file");
      // Without openat2(2), as in the emulator, no link is followed at all.
      const links = ["absolute", "upwards"];
      for (const name of EMULATED ? [] : links) {
        assertEquals(readInRoot(root, `etc/${name}`, 100), "its own");
      }
      for (const name of [...EMULATED ? links : [], "device", "magic", "pipe", "none", "."]) {
        assertThrows(() => readInRoot(root, `etc/${name}`, 100), SystemError);
      }
    }),
);

kernelTest("a process is killed in its network alone, whoever has the number", async () => {
  const own = Deno.statSync("/proc/self/ns/net").ino!;
  const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const kill = (inode: number) => killWhere(child.pid, (pid) => networkOf(pid) === inode);
  kill(own + 1);
  assert(identify(child.pid) !== undefined);
  kill(own);
  assertEquals((await child.status).signal, "SIGKILL");
  kill(own); // it has ended
});

kernelTest("a /proc of one's own", () => {
  using proc = openOwnProc();
  if (proc) assert(Deno.statSync(`${proc.path}/self`).isDirectory || proc.fd > 0);
});
