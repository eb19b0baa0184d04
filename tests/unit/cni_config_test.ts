import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  isContainerId,
  isInterfaceName,
  isNetworkName,
  parseNetwork,
} from "../../lib/cni/config.ts";
import { OperatorError } from "../../lib/base/error.ts";
import { parseJson } from "../../lib/base/json.ts";
import { CniError } from "../../lib/cni/error.ts";
import { readSettings, Settings } from "../../lib/lint/settings.ts";
import { NETWORKS_ANNOTATION as ANNOTATION, parseState } from "../../lib/oci/bundle.ts";

const parse = (config: unknown) => parseNetwork(JSON.stringify(config), "/etc/cni/x.conf");

function refused(config: unknown, code: number, message: string): void {
  const text = typeof config === "string" ? config : JSON.stringify(config);
  const error = assertThrows(() => parseNetwork(text, "/etc/cni/x.conf"), CniError);
  assertEquals([error.cniCode, error.message], [code, `/etc/cni/x.conf: ${message}`]);
}

Deno.test("a config is a chain of one, kept as it was written", () => {
  const raw = {
    name: "cni-test",
    type: "bridge",
    bridge: "mesos-cni0",
    isGateway: true,
    ipam: { type: "host-local", subnet: "192.168.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
  };
  assertEquals(parse(raw), {
    name: "cni-test",
    cniVersion: "0.1.0",
    kind: "conf",
    plugins: [{ type: "bridge", ipamType: "host-local", capabilities: {}, raw }],
    disableCheck: false,
    raw,
  });
});

Deno.test("a conflist is a chain of plugins with their capabilities", () => {
  const network = parse({
    cniVersion: "0.4.0",
    name: "dbnet",
    disableCheck: "TRUE",
    plugins: [
      { type: "bridge", ipam: {} },
      { type: "portmap", capabilities: { portMappings: true, mac: false } },
    ],
  });
  assertEquals(network.kind, "conflist");
  assertEquals(network.disableCheck, true);
  assertEquals(network.plugins.map((plugin) => plugin.type), ["bridge", "portmap"]);
  assertEquals(network.plugins[0]!.ipamType, undefined);
  assertEquals(network.plugins[1]!.capabilities, { portMappings: true, mac: false });
});

Deno.test("the newest version that config and program have in common is taken", () => {
  const version = (config: object) => parse({ name: "n", type: "t", ...config }).cniVersion;
  assertEquals(version({}), "0.1.0");
  assertEquals(version({ cniVersion: "" }), "0.1.0");
  assertEquals(version({ cniVersion: "0.3.1" }), "0.3.1");
  assertEquals(version({ cniVersion: "0.3.1", cniVersions: ["1.0.0", "0.4.0"] }), "1.0.0");
  assertEquals(version({ cniVersions: ["1.0.0", "2.0.0"] }), "1.0.0");
});

Deno.test("what is wrong in a config is said with its place and what it must be", () => {
  const plugin = { name: "n", type: "t" };
  const name = "it must be the network's name (letters, digits and _.-)";
  const type = "it must be the file name of a plugin";
  refused({ type: "t" }, 7, `name: is missing; ${name}`);
  refused({ name: "../n", type: "t" }, 7, `name: is "../n"; ${name}`);
  refused({ name: "a\n", type: "t" }, 7, `name: is "a\\n"; ${name}`);
  refused({ name: "n" }, 7, `type: is missing; ${type}`);
  refused({ name: "n", type: "../sh" }, 7, `type: is "../sh"; ${type}`);
  refused({ ...plugin, ipam: { type: "a/b" } }, 7, `ipam.type: is "a/b"; ${type}`);
  refused({ ...plugin, ipam: "x" }, 7, `ipam: is "x"; it must be an object`);
  refused({ ...plugin, args: [] }, 7, "args: is []; it must be an object");
  refused(
    { ...plugin, capabilities: { mac: 1 } },
    7,
    "capabilities.mac: is 1; it must be true or false",
  );
  refused(
    { ...plugin, cniVersion: "2.0.0" },
    1,
    'cniVersion: "2.0.0" is not supported; use one of 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0',
  );
  refused({ ...plugin, cniVersion: 1 }, 7, 'cniVersion: is 1; it must be a string such as "1.0.0"');
  refused(
    { name: "n", plugins: [] },
    7,
    "plugins: is []; it must be a list of at least one plugin",
  );
  refused({ name: "n", plugins: [plugin, {}] }, 7, `plugins[1].type: is missing; ${type}`);
  refused({ name: "n", plugins: [1] }, 7, "plugins[0]: is 1; it must be an object");
  refused([], 6, "must be a JSON object, not []");
});

Deno.test("broken JSON is reported with line and column", () => {
  const text = '{\n  "name": "n",\n  "type" "bridge"\n}';
  const error = assertThrows(() => parseNetwork(text, "/etc/cni/x.conf"), CniError);
  assertEquals(error.message.startsWith("/etc/cni/x.conf: not JSON: "), true, error.message);
  assertEquals(error.message.includes("line 3 column 10"), true, error.message);
});

Deno.test("what is no JSON is not quoted, but told with line and column", () => {
  const secret = "root:$6$SECRET:19000";
  const texts: [text: string, place: string][] = [
    [secret, "line 1 column 1"],
    [`{"a": [1,\n  ${secret}`, "line 2 column 3"],
    [`{\n"a": nul${secret}\n}`, "line 2 column 9"],
    [`{"a": tru`, "end of JSON input"],
  ];
  for (const [text, place] of texts) {
    const error = assertThrows(() => parseJson(text), SyntaxError);
    assertEquals([error.message.includes("SEC"), error.message.includes("root")], [false, false]);
    assertStringIncludes(error.message, place);
  }
  assertEquals(parseJson('{"a": 1}'), { a: 1 });
  // Each place that reads a file or a message which may be anything.
  for (
    const read of [
      () => parseNetwork(secret, "/x"),
      () => readSettings(new Settings(), secret, "/x"),
      () => parseState({ id: "a", bundle: "/", annotations: { [ANNOTATION]: secret } }, "x"),
    ]
  ) {
    const error = assertThrows(read, OperatorError);
    assertStringIncludes(error.message, "line 1 column 1");
    assertEquals(error.message.includes("root"), false, error.message);
  }
});

Deno.test("members named like JavaScript's own are data", () => {
  const text = '{"name": "n", "type": "t", "__proto__": {"type": "x"}, "constructor": 1}';
  const { raw } = parseNetwork(text, "x");
  assertEquals(JSON.parse(JSON.stringify(raw)), JSON.parse(text));
  assertEquals(Object.keys({ ...raw }), ["name", "type", "__proto__", "constructor"]);
});

Deno.test("names follow the specification's grammar", () => {
  for (const name of ["a", "0", "a.b-c_d", "A".repeat(300)]) {
    assertEquals([isNetworkName(name), isContainerId(name)], [true, true], name);
  }
  for (const name of ["", ".", "-a", "_a", "a/b", "a b", "a\n", "é", "a\0"]) {
    assertEquals([isNetworkName(name), isContainerId(name)], [false, false], name);
  }
  for (const name of ["eth0", "a", "x".repeat(15), "…-…-…"]) {
    assertEquals(isInterfaceName(name), true, name);
  }
  for (
    const name of [
      "",
      ".",
      "..",
      "x".repeat(16),
      "……-……-…",
      "a/b",
      "a:b",
      "a b",
      "a\t",
      "\0",
      "eth%d",
      "%",
    ]
  ) {
    assertEquals(isInterfaceName(name), false, name);
  }
  // Found in networks that are older than the grammar.
  assertEquals(parse({ name: "__TEST__", type: "t" }).name, "__TEST__");
});

Deno.test("no value whatever does anything but being taken or refused", () => {
  const key = fc.constantFrom(
    "name",
    "type",
    "plugins",
    "ipam",
    "args",
    "cniVersion",
    "capabilities",
  );
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom("bridge", "0.4.0"));
  const plugin = fc.dictionary(key, value);
  const config = fc.oneof(
    value,
    plugin,
    fc.record({ name: fc.constant("n"), plugins: fc.array(plugin) }),
  );
  fc.assert(fc.property(config, (anything) => {
    try {
      const { name, plugins } = parse(anything);
      assertEquals([isNetworkName(name.replace(/^_+/, "")), plugins.length > 0], [true, true]);
      for (const { type } of plugins) assertEquals(/[/\0]/.test(type), false);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
    }
  }));
});
