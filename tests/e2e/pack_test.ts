import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { CALLS } from "../../tools/pack/gather.ts";
import { COMMAND, MOST, VERSION } from "../../tools/pack/loader.ts";
import { IS_COMPILED, MESOS_CNI } from "../harness/binary.ts";

const DIST = dirname(MESOS_CNI);
const PROGRAM = join(DIST, "program");
/** The program with another loader: it fails where V8 does not take what was made of a script. */
const TRAINER = join(DIST, "trainer");

async function withScripts(test: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "mesos-cni-test-" });
  try {
    for (const { name } of Deno.readDirSync(PROGRAM)) {
      await Deno.copyFile(join(PROGRAM, name), join(directory, name));
    }
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A plugin's answer, and what the loader has to say of the scripts that it took. */
async function version(scripts: string) {
  const plugin = join(scripts, "bridge");
  await Deno.symlink(TRAINER, plugin);
  const { code, stdout, stderr } = await new Deno.Command(plugin, {
    env: { MESOS_CNI_TRAINER: scripts, CNI_COMMAND: "VERSION" },
  }).output();
  const [said, complained] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code, said: said!, complained: complained! };
}

Deno.test("the calls that somebody waits for run code that was compiled with the program", () => {
  for (const call of Object.keys(CALLS)) {
    const [pack, made] = ["pack", "made"].map((kind) =>
      Deno.statSync(join(PROGRAM, `${call}.${kind}`)).size
    ) as [number, number];
    assert(made > pack / 3, `of ${call} (${pack} bytes), ${made} were made`);
    const isPlugin = call !== VERSION && call !== COMMAND;
    // What only ADD needs is not read for DEL.
    if (isPlugin) assert(Deno.statSync(join(PROGRAM, `${call}.DEL.made`)).size < made, call);
  }
});

Deno.test("scripts call each other's functions without a getter", () => {
  const text = Deno.readTextFileSync(join(PROGRAM, `${MOST}.pack`));
  const functions = new Set(
    [...text.matchAll(/^(?:async )?function\*? (\w+)\(/gm)].map(([, name]) => name!),
  );
  const behindGetters = [...text.matchAll(/return (\w+);\s*\}\s*\}\)/g)].map(([, name]) => name!);
  assert(behindGetters.length > 0, "constants have getters");
  const slow = behindGetters.filter((name) => functions.has(name));
  // Where a variable has the function's name as well, it is not taken apart which of them is meant.
  assert(slow.length < functions.size / 20, slow.join(" "));
});

Deno.test("a character that is not ASCII does not make V8 keep twice the bytes, and stays what it is", async () => {
  const [pack, bridge] = [`${MOST}.pack`, "bridge.pack"].map((name) =>
    Deno.readFileSync(join(PROGRAM, name))
  );
  for (const bytes of [pack!, bridge!]) assert(bytes.every((byte) => byte < 0x80));
  const { stdout } = await new Deno.Command(MESOS_CNI, { args: ["netns", "--help"] }).output();
  assertStringIncludes(new TextDecoder().decode(stdout), "…");
});

Deno.test("V8 takes what it made, and what is not its own is refused", async () => {
  await withScripts(async (directory) => {
    const { code, said, complained } = await version(directory);
    assertEquals({ code, complained }, { code: 0, complained: "" });
    assertStringIncludes(said, "supportedVersions");
  });
  await withScripts(async (directory) => {
    const made = join(directory, "version.made");
    const bytes = await Deno.readFile(made);
    bytes[8]! ^= 1; // of the version's hash
    await Deno.writeFile(made, bytes);
    const { code, complained } = await version(directory);
    assertEquals(code, 1);
    assertStringIncludes(complained, "V8 does not take version.made");
  });
});

Deno.test("a script of which nothing was made runs all the same", async () => {
  await withScripts(async (directory) => {
    for (const { name } of Deno.readDirSync(directory)) {
      if (name.endsWith(".made")) await Deno.writeFile(join(directory, name), new Uint8Array());
    }
    const { code, said } = await version(directory);
    assertEquals(code, 0);
    assertStringIncludes(said, "supportedVersions");
  });
});

Deno.test("a call on which somebody waits, and that needs a script of no pack, is found when it is built", async () => {
  await withScripts(async (directory) => {
    // As if VERSION did not need it; what everyone needs is of the port mapper's pack.
    const pack = join(directory, "version.pack");
    const text = await Deno.readTextFile(pack);
    await Deno.writeTextFile(pack, text.replace('"./main.script"', '"./some.script"'));
    await Deno.writeFile(join(directory, "version.made"), new Uint8Array());
    const { code, complained } = await version(directory);
    assertEquals(code, 1);
    assertStringIncludes(complained, `this call needs more, ${MOST}.made`);
  });
});

Deno.test({
  name: "a program that another has replaced while it started runs its own scripts",
  ignore: !IS_COMPILED,
  async fn() {
    await withScripts(async (directory) => {
      for (const what of ["replaced", "removed"]) {
        const file = join(directory, what);
        await Deno.copyFile(MESOS_CNI, file);
        // The fourth time that its file is opened, the loader does it.
        const inject = ["-P", file, "-e", "inject=openat:delay_enter=3000000:when=4+"];
        const child = new Deno.Command("strace", {
          args: ["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", ...inject, file, "version"],
          stdout: "piped",
        }).spawn();
        await new Promise((resolve) => setTimeout(resolve, 1500));
        await Deno.remove(file);
        if (what === "replaced") await Deno.copyFile(TRAINER, file);
        const { code, stdout } = await child.output();
        assertEquals({ what, code }, { what, code: 0 });
        assertStringIncludes(new TextDecoder().decode(stdout), "mesos-cni ");
      }
    });
  },
});

Deno.test("what somebody puts where the program seems to have its scripts is not read", async () => {
  await withScripts(async (directory) => {
    const seeming = join(directory, "deno-compile-mesos-cni");
    await Deno.mkdir(seeming);
    for (const { name } of Deno.readDirSync(PROGRAM)) {
      const text = name.endsWith(".made") ? "" : "(function() { Deno.exit(66) })";
      await Deno.writeTextFile(join(seeming, name), text);
    }
    const { code, stdout } = await new Deno.Command(MESOS_CNI, {
      args: ["version"],
      env: { TMPDIR: directory },
    }).output();
    assertEquals(code, 0);
    assertStringIncludes(new TextDecoder().decode(stdout), "mesos-cni ");
  });
});
