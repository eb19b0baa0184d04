import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { Catalog } from "../../lib/cni/catalog.ts";
import { findPlugin } from "../../lib/cni/find.ts";
import { findTool } from "../../lib/program/tool.ts";
import { OperatorError } from "../../lib/base/error.ts";

/** A directory of configs and one with two plugins, gone with the test. */
function machine() {
  const root = Deno.makeTempDirSync({ prefix: "mesos-cni-test-" });
  const configs = `${root}/configs`;
  const plugins = `${root}/plugins`;
  Deno.mkdirSync(configs);
  Deno.mkdirSync(plugins);
  for (const type of ["bridge", "host-local"]) {
    Deno.writeTextFileSync(`${plugins}/${type}`, "#!/bin/sh\n", { mode: 0o755 });
  }
  return {
    root,
    configs,
    plugins,
    write: (file: string, config: unknown) =>
      Deno.writeTextFileSync(
        `${configs}/${file}`,
        typeof config === "string" ? config : JSON.stringify(config),
      ),
    remove: (file: string) => Deno.removeSync(`${configs}/${file}`),
    catalog: () =>
      new Catalog(configs, `/nowhere:${plugins}`, { isBuiltIn: (type) => type === "own" }),
    [Symbol.dispose]: () => Deno.removeSync(root, { recursive: true }),
  };
}

const bridge = (name: string) => ({ name, type: "bridge", ipam: { type: "host-local" } });

Deno.test("the catalog holds each network that can be used and the reason why another cannot", () => {
  using it = machine();
  it.write("b.conf", bridge("b"));
  it.write("a", bridge("a"));
  it.write("chain.conflist", { name: "chain", plugins: [{ type: "bridge" }, { type: "own" }] });
  Deno.symlinkSync("b.conf", `${it.configs}/link-to-b`);
  Deno.symlinkSync("nothing", `${it.configs}/dangling`);
  Deno.mkdirSync(`${it.configs}/dir`);
  it.write("broken", "{");
  it.write("empty", "");
  it.write("huge", "{");
  Deno.truncateSync(`${it.configs}/huge`, 5 << 20);
  it.write("misspelt", { name: "m", type: "brigde" });
  it.write("no-plugin", { name: "c", type: "vxlan" });
  it.write("no-ipam", { ...bridge("d"), ipam: { type: "dhcp" } });
  it.write("no-second", { name: "e", plugins: [{ type: "bridge" }, { type: "portmap" }] });
  const catalog = it.catalog();
  catalog.load();
  assertEquals(catalog.names(), ["a", "b", "chain"]);
  const reasons = catalog.skipped.map((
    { file, reason },
  ) => [file.slice(it.configs.length + 1), reason]);
  assertEquals(reasons.map(([file]) => file), [
    "broken",
    "empty",
    "huge",
    "link-to-b",
    "misspelt",
    "no-ipam",
    "no-plugin",
    "no-second",
  ]);
  const text = reasons.map(([, reason]) => reason).join("\n");
  assertEquals(text.startsWith("not JSON: Expected property name"), true, text);
  assertStringIncludes(text, "it has more than 4194304 bytes");
  assertStringIncludes(text, `network "b" is already defined by ${it.configs}/b.conf`);
  assertStringIncludes(text, 'did you mean "bridge"?');
  assertStringIncludes(text, `plugin "vxlan" is not in /nowhere, ${it.plugins}`);
  assertStringIncludes(text, `network d: plugin "dhcp" is not in`);
  assertStringIncludes(text, `network e: plugin "portmap" is not in`);
});

Deno.test("a config is read again each time: the next container gets the edit", () => {
  using it = machine();
  it.write("a.conf", bridge("a"));
  const catalog = it.catalog();
  catalog.load();
  assertEquals(catalog.read("a").network.raw.mtu, undefined);
  it.write("a.conf", { ...bridge("a"), mtu: 1400 });
  const { network, file, text } = catalog.read("a");
  assertEquals(network.raw.mtu, 1400);
  assertEquals([file, text], [`${it.configs}/a.conf`, Deno.readTextFileSync(file)]);
});

Deno.test("networks come, move and go without a restart", () => {
  using it = machine();
  const catalog = it.catalog();
  catalog.load();
  assertEquals(catalog.names(), []);
  it.write("a.conf", bridge("a"));
  assertEquals(catalog.read("a").network.name, "a");

  Deno.renameSync(`${it.configs}/a.conf`, `${it.configs}/z.conf`);
  assertEquals(catalog.read("a").file, `${it.configs}/z.conf`);

  it.write("z.conf", bridge("b"));
  assertThrows(() => catalog.read("a"), OperatorError, 'z.conf, which defined it, now defines "b"');
  assertEquals(catalog.names(), ["b"]);
  assertEquals(catalog.read("b").network.name, "b");

  it.write("y.conf", bridge("a"));
  assertEquals(catalog.read("a").file, `${it.configs}/y.conf`);

  it.remove("y.conf");
  const gone = assertThrows(() => catalog.read("a"), OperatorError);
  assertEquals(gone.code, "unknown_network");
  assertEquals(gone.message, `network "a" is not defined in ${it.configs} (known: b)`);
  assertEquals(catalog.names(), ["b"]);
});

Deno.test("a broken config is an error with its place until it is restored", () => {
  using it = machine();
  it.write("a.conf", bridge("a"));
  const catalog = it.catalog();
  catalog.load();
  it.write("a.conf", '{"name": "a",');
  for (const _ of [1, 2]) {
    const error = assertThrows(
      () => catalog.read("a"),
      OperatorError,
      `${it.configs}/a.conf: not JSON`,
    );
    assertStringIncludes(error.message, "line 1");
  }
  it.write("a.conf", { ...bridge("a"), type: "vxlan" });
  assertThrows(() => catalog.read("a"), OperatorError, 'plugin "vxlan" is not in');
  it.write("a.conf", bridge("a"));
  assertEquals(catalog.read("a").network.name, "a");
});

Deno.test("a config directory that cannot be read is an error, not an empty catalog", () => {
  const error = assertThrows(() => new Catalog("/nowhere/at/all", "").load(), OperatorError);
  assertEquals(error.code, "config_dir");
  assertStringIncludes(error.message, "/nowhere/at/all");
});

Deno.test("a plugin is the first executable file of its name in the search path", () => {
  using it = machine();
  const more = `${it.root}/more`;
  Deno.mkdirSync(`${more}/directory`, { recursive: true });
  Deno.writeTextFileSync(`${more}/bridge`, "", { mode: 0o644 });
  Deno.symlinkSync(`${it.plugins}/host-local`, `${more}/host-local`);
  const path = `:${more}::${it.plugins}`;
  assertEquals(findPlugin("bridge", path), `${it.plugins}/bridge`);
  assertEquals(findPlugin("host-local", path), `${more}/host-local`);
  assertEquals(
    assertThrows(() => findPlugin("bridge", more), OperatorError).message,
    `plugin "bridge" is not in ${more}; ${more}/bridge is not executable; ` +
      "install it there or correct the plugins directory",
  );
  assertThrows(() => findPlugin("directory", path), OperatorError, "is not a regular file");
  assertThrows(() => findPlugin("bridge", ""), OperatorError, "the empty search path");
  for (const type of ["", ".", "..", "../plugins/bridge", "/bin/sh", "a\0"]) {
    assertThrows(() => findPlugin(type, path), OperatorError, "is not a plugin's file name");
  }
});

Deno.test("administrators' programs are found in any PATH, and never in a relative directory", () => {
  using it = machine();
  Deno.mkdirSync(`${it.root}/sh`);
  Deno.symlinkSync("/bin/sh", `${it.plugins}/sh`);
  // cron's PATH, and one whose entries are no directories, or have one of that name.
  for (const path of ["", "/nowhere", `/etc/passwd:${it.root}`]) {
    assertEquals(/^\/(usr\/)?(local\/)?s?bin\/sh$/.test(findTool("sh", path) ?? ""), true, path);
  }
  assertEquals(findTool("sh", `/nowhere:${it.plugins}`), `${it.plugins}/sh`);
  const directory = Deno.cwd();
  Deno.chdir(it.plugins);
  try {
    for (const path of [".", "", "..:bin"]) assertEquals(findTool("host-local", path), undefined);
  } finally {
    Deno.chdir(directory);
  }
});
