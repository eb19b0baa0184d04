import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import { CALLS } from "../../tools/pack/gather.ts";
import { MESOS_CNI } from "../harness/binary.ts";

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

/** The scripts of such a name. */
function named(pattern: RegExp): string[] {
  return [...Deno.readDirSync(PROGRAM)].map(({ name }) => name).filter((name) =>
    pattern.test(name)
  );
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
  const compiled = new Set<string>();
  for (const { name } of Deno.readDirSync(PROGRAM)) {
    if (!name.endsWith(".script.made")) continue;
    const [script, made] = [name.slice(0, -".made".length), name]
      .map((file) => Deno.statSync(join(PROGRAM, file)).size) as [number, number];
    // A few lines are compiled at once, whatever is kept of them.
    assert(made > script / 3 || script < 1000, `of ${name} (${script} bytes), ${made} were made`);
    for (const call of name.split(".")[0]!.split("-")) compiled.add(call);
  }
  for (const call of Object.keys(CALLS)) assert(compiled.has(call), call);
});

Deno.test("scripts call each other's functions without a getter", () => {
  const text = named(/^mapper.*script$/).map((name) => Deno.readTextFileSync(join(PROGRAM, name)))
    .join("");
  const functions = new Set(
    [...text.matchAll(/^(?:async )?function\*? (\w+)\(/gm)].map(([, name]) => name!),
  );
  const behindGetters = [...text.matchAll(/return (\w+);\s*\}\s*\}\)/g)].map(([, name]) => name!);
  assert(behindGetters.length > 0, "constants have getters");
  const slow = behindGetters.filter((name) => functions.has(name));
  // Where a variable has the function's name as well, it is not taken apart which of them is meant.
  assert(slow.length < functions.size / 20, slow.join(" "));
});

Deno.test("V8 takes what it made, and what is not its own is refused", async () => {
  await withScripts(async (directory) => {
    const { code, said, complained } = await version(directory);
    assertEquals({ code, complained }, { code: 0, complained: "" });
    assertStringIncludes(said, "supportedVersions");
  });
  await withScripts(async (directory) => {
    const made = join(directory, "main.script.made");
    const bytes = await Deno.readFile(made);
    bytes[8]! ^= 1; // of the version's hash
    await Deno.writeFile(made, bytes);
    const { code, complained } = await version(directory);
    assertEquals(code, 1);
    assertStringIncludes(complained, "V8 does not take what was made of ./main.script");
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

Deno.test("a call on which somebody waits, and that needs a compressed script, is found when it is built", async () => {
  await withScripts(async (directory) => {
    // As if no call needed it.
    const [name] = named(/^version-mapper.*script$/);
    const script = join(directory, name!);
    const stream = new Blob([await Deno.readFile(script)]).stream()
      .pipeThrough(new CompressionStream("gzip"));
    await Deno.writeFile(script, new Uint8Array(await new Response(stream).arrayBuffer()));
    const { code, complained } = await version(directory);
    assertEquals(code, 1);
    assertStringIncludes(complained, `needs ./${name}, which is compressed`);
  });
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
