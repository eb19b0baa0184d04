/** Plugins as processes, with programs that behave as badly as programs do. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { CniError } from "../../lib/cni/error.ts";
import type { Invocation } from "../../lib/cni/invocation.ts";
import { type ProcessOptions, processPlugin } from "../../lib/cni/process.ts";
import { isRunning, until } from "../harness/agent.ts";
import { CNI_PLUGINS } from "../harness/binary.ts";
import { kernelTest } from "../harness/kernel.ts";

const add: Omit<Invocation, "locate"> = {
  command: "ADD",
  containerId: "c1",
  netns: "/run/netns/c1",
  ifName: "eth0",
  args: "K=V;L=W",
  path: "/usr/sbin:/usr/bin:/sbin:/bin",
  searchPath: "/opt/a:/opt/b",
  config: { cniVersion: "1.0.0", name: "n", type: "t" },
};

/** A plugin written in shell, and a directory for what it leaves; both go with the test. */
function script(text: string) {
  const dir = Deno.makeTempDirSync({ prefix: "mesos-cni-test-" });
  const file = `${dir}/plugin`;
  Deno.writeTextFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return {
    dir,
    file,
    run: (invocation: Partial<Invocation> = {}, limits?: ProcessOptions) =>
      processPlugin(file, limits)({ ...add, ...invocation }),
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

async function failure(promise: Promise<unknown>): Promise<CniError> {
  return await assertRejects(() => promise, CniError);
}

kernelTest("a plugin gets the config and exactly the protocol's environment", async () => {
  // Not by the shell's own `env`, to which the shell adds PWD.
  using it = script(`cat > "$0.stdin"; tr '\\0' '\\n' < /proc/$$/environ > "$0.env"; echo '{}'`);
  Deno.env.set("LD_PRELOAD_FORGED", "1");
  const environment = () => Deno.readTextFileSync(`${it.file}.env`).trim().split("\n").sort();
  assertEquals(await it.run(), {});
  assertEquals(JSON.parse(Deno.readTextFileSync(`${it.file}.stdin`)), add.config);
  assertEquals(environment(), [
    "CNI_ARGS=K=V;L=W",
    "CNI_COMMAND=ADD",
    "CNI_CONTAINERID=c1",
    "CNI_IFNAME=eth0",
    "CNI_NETNS=/run/netns/c1",
    "CNI_PATH=/opt/a:/opt/b",
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
  ]);
  await it.run({ command: "DEL", netns: undefined, args: undefined });
  assertEquals(environment().map((line) => line.split("=")[0]), [
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_IFNAME",
    "CNI_PATH",
    "PATH",
  ]);
  Deno.env.delete("LD_PRELOAD_FORGED");
});

kernelTest("a plugin inherits no file and no ignored signal of ours", async () => {
  using held = Deno.openSync("/etc/passwd");
  using it = script(
    `cat > /dev/null; { readlink /proc/$$/fd/*; grep -E 'Sig(Blk|Ign)' /proc/self/status; } > "$0.out"`,
  );
  await it.run();
  const seen = Deno.readTextFileSync(`${it.file}.out`);
  assert(!seen.includes("/etc/passwd"), seen);
  assertMatch(seen, /SigBlk:\t0+$/m);
  // Bit 12 is SIGPIPE, which Deno itself ignores.
  const ignored = BigInt("0x" + /SigIgn:\t(\w+)/.exec(seen)![1]);
  assertEquals(ignored & (1n << 12n), 0n, seen);
  assertEquals(held.isTerminal(), false);
});

kernelTest("in a terminal, a plugin is out of reach of its Ctrl-C", async () => {
  using it = script(`cat > /dev/null; echo "{\\"stat\\": \\"$(cut -d' ' -f1,6 /proc/$$/stat)\\"}"`);
  const module = new URL("../../lib/cni/process.ts", import.meta.url).href;
  Deno.writeTextFileSync(
    `${it.dir}/driver.ts`,
    `import { processPlugin } from ${JSON.stringify(module)};
    const { stat } = await processPlugin(${JSON.stringify(it.file)})(${JSON.stringify(add)});
    Deno.writeTextFileSync(${JSON.stringify(`${it.dir}/stat`)}, stat);`,
  );
  const driver = `${Deno.execPath()} run --quiet --no-config -A ${it.dir}/driver.ts`;
  const { success } = await new Deno.Command("script", { args: ["-qec", driver, "/dev/null"] })
    .output();
  assert(success);
  const [pid, session] = Deno.readTextFileSync(`${it.dir}/stat`).split(" ");
  assertEquals(session, pid, "the plugin leads a session of its own");
});

kernelTest("the real plugins answer VERSION", async () => {
  const version = await processPlugin(`${CNI_PLUGINS}/bridge`)({
    ...add,
    command: "VERSION",
    containerId: "",
    netns: undefined,
    ifName: "",
    args: undefined,
    config: { cniVersion: "1.0.0" },
  }) as { supportedVersions: string[] };
  assert(version.supportedVersions.includes("0.3.1"));
});

kernelTest("a plugin's own error keeps its code, message and details", async () => {
  using it = script(
    `cat > /dev/null; echo 'about to fail' >&2; echo '{"cniVersion":"1.0.0","code":11,"msg":"pool empty","details":"of n"}'; exit 1`,
  );
  const error = await failure(it.run());
  assertEquals([error.cniCode, error.message], [11, "pool empty"]);
  assertEquals(error.details, "of n\nstandard error: about to fail");

  const real = await failure(
    processPlugin(`${CNI_PLUGINS}/host-local`)({
      ...add,
      args: undefined,
      config: { cniVersion: "1.0.0", name: "n", type: "t", ipam: { type: "host-local" } },
    }),
  );
  assertStringIncludes(real.message, "no IP ranges specified");
});

kernelTest("a plugin's words cannot steer the terminal that shows them", async () => {
  using it = script(
    `printf '\\033]0;forged\\007line\\n' >&2; echo '{"code":7,"msg":"a\\u001b[2Jb"}'`,
  );
  const error = await failure(it.run());
  assertEquals(error.message, "a\\u001b[2Jb");
  assertEquals(error.details, "standard error: \\u001b]0;forged\\u0007line");
});

kernelTest(
  "an error object is a failure even with exit code 0, and one without a code too",
  async () => {
    using it = script(`echo '{"code":0,"msg":"odd"}'`);
    assertEquals((await failure(it.run())).cniCode, 999);
  },
);

kernelTest("a crash is told by exit code or signal and the end of standard error", async () => {
  using it = script(`echo first >&2; echo 'no such bridge' >&2; exit 3`);
  const exited = await failure(it.run());
  assertEquals(
    exited.message,
    `plugin ${it.file} ended with exit code 3 and without an error object; ` +
      'the last line of its standard error: "no such bridge"',
  );
  assertEquals(exited.details, "standard error: first\nno such bridge");
  using killed = script("kill -SEGV $$");
  assertStringIncludes((await failure(killed.run())).message, "ended with signal SIGSEGV");
});

kernelTest("garbage on standard output is an error that quotes its beginning", async () => {
  for (const garbage of ["hello", '{"cniVersion": "1.0', "[1]", "null"]) {
    using it = script(`cat > /dev/null; printf '%s' '${garbage}'`);
    const error = await failure(it.run());
    assertEquals(error.cniCode, 6);
    assertStringIncludes(
      error.message,
      `something else than a JSON object: ${JSON.stringify(garbage)}`,
    );
  }
  using silent = script("cat > /dev/null; printf ' \\n'");
  assertEquals(await silent.run({ command: "DEL" }), undefined);
});

kernelTest("a plugin that hangs is killed in time, with all that it started", async () => {
  using it = script(`
    echo $$ >> "$0.pids"
    # A child, one in a session of its own, its child, and one that starts others all the time.
    sleep 1000 & echo $! >> "$0.pids"
    export self="$0"
    setsid sh -c 'echo $$ >> "$self.pids"; sleep 1001 & echo $! >> "$self.pids"; wait' &
    (while :; do sleep 0.001; done) & echo $! >> "$0.pids"
    echo waiting >&2
    # One whose parent has ended, as a daemon's has.
    (setsid sleep 1002 > /dev/null 2>&1 < /dev/null & echo $! > "$0.daemon")
    wait`);
  const lines = (file: string) => {
    try {
      return Deno.readTextFileSync(file).split("\n").length - 1;
    } catch {
      return 0; // not yet
    }
  };
  const start = (spawn: () => Deno.ChildProcess) => {
    const child = spawn();
    const pause = new Int32Array(new SharedArrayBuffer(4));
    const deadline = performance.now() + 60_000;
    // Its time begins when all are there, however long that takes.
    while (true) {
      const there = [lines(`${it.file}.pids`), lines(`${it.file}.daemon`)];
      if (there[0]! >= 5 && there[1]! >= 1) return child;
      if (performance.now() > deadline) {
        child.kill("SIGKILL");
        throw new Error(`not within 60 s: of 5 processes and a daemon there are ${there}`);
      }
      Atomics.wait(pause, 0, 0, 5);
    }
  };
  const error = await failure(it.run({}, { timeoutMs: 500, start }));
  assertEquals(error.message, `plugin ${it.file} did not finish within 0.5 s and was killed`);
  assertEquals(error.cniCode, 11);
  assertEquals(error.details, "standard error: waiting");
  const pids = Deno.readTextFileSync(`${it.file}.pids`).trim().split("\n");
  assertEquals(pids.length, 5);
  for (const pid of pids) await until(() => !isRunning(Number(pid)), `the end of process ${pid}`);
  // It can't be told from one that is meant to stay, so that it lives on, and nobody waits for it.
  Deno.kill(Number(Deno.readTextFileSync(`${it.file}.daemon`)), "SIGKILL");
});

kernelTest(
  "a daemon that holds the pipes open does not keep a finished plugin waiting",
  async () => {
    using it = script(
      `cat > /dev/null; setsid sleep 1000 & echo $! > "$0.child"; echo '{"cniVersion":"1.0.0"}'`,
    );
    assertEquals(await it.run(), { cniVersion: "1.0.0" });
    const pid = Number(Deno.readTextFileSync(`${it.file}.child`));
    Deno.kill(pid, "SIGKILL"); // ours: it was alive, so the daemon was left alone
  },
);

kernelTest("a flood on standard output is stopped at the limit, in bounded memory", async () => {
  using it = script("head -c 100000000 /dev/zero");
  const before = Deno.memoryUsage().rss;
  const error = await failure(it.run());
  assertEquals(error.message, `plugin ${it.file} printed more than 4194304 bytes and was killed`);
  const grown = Deno.memoryUsage().rss - before;
  assert(grown < 64 << 20, `${grown} bytes`);
});

kernelTest("a flood on standard error costs only the beginning of it", async () => {
  using it = script(
    `head -c 100000000 /dev/zero | tr '\\0' x >&2; echo 'the end' >&2; exit 1`,
  );
  const before = Deno.memoryUsage().rss;
  const { details } = await failure(it.run());
  assert(details!.length < 17_000 && details!.endsWith("xthe end"), details!.slice(-40));
  assert(Deno.memoryUsage().rss - before < 64 << 20);
});

kernelTest("a plugin that reads no input gets a large config in vain", async () => {
  using it = script(`echo '{}'`);
  assertEquals(await it.run({ config: { big: "x".repeat(1 << 20) } }), {});
});

kernelTest("large input and output pass at the same time", async () => {
  using it = script("cat");
  const config = { big: "x".repeat(3 << 20) };
  assertEquals(await it.run({ config }), config);
});

kernelTest("what cannot be started is said with the file and the reason", async () => {
  using it = script("");
  Deno.writeTextFileSync(it.file, "#!/nowhere/interpreter\n");
  assertMatch(
    (await failure(it.run())).message,
    /^plugin \S+ could not be started: .*No such file/,
  );
  for (const text of ["", "exit 0", "\0garbage"]) {
    Deno.writeTextFileSync(it.file, text);
    assertMatch(
      (await failure(it.run({ command: "DEL" }))).message,
      /started: it is neither an ELF/,
    );
  }
  Deno.writeTextFileSync(it.file, "#!/bin/sh");
  Deno.chmodSync(it.file, 0o644);
  assertMatch((await failure(it.run())).message, /could not be started: .*Permission denied/);
  assertMatch((await failure(it.run({ args: "a\0b" }))).message, /could not be started/);
});

kernelTest("a plugin whose file is just being replaced is tried again", async () => {
  using it = script("");
  Deno.copyFileSync("/bin/true", it.file);
  const writer = Deno.openSync(it.file, { write: true });
  let attempts = 0;
  const start = (spawn: () => Deno.ChildProcess) => {
    if (++attempts === 2) writer.close();
    return spawn();
  };
  assertEquals(await it.run({ command: "DEL" }, { start }), undefined);
  assertEquals(attempts, 2);

  using held = Deno.openSync(it.file, { write: true });
  assertStringIncludes((await failure(it.run())).message, "Text file busy");
  assertEquals(held.isTerminal(), false);
});

kernelTest("a hundred plugins at once are kept apart", async () => {
  using it = script(`cat > /dev/null; printf '{"id":"%s"}' "$CNI_CONTAINERID"`);
  const ids = Array.from({ length: 100 }, (_, i) => `c${i}`);
  const results = await Promise.all(ids.map((containerId) => it.run({ containerId })));
  assertEquals(results.map((result) => result!.id), ids);
});
