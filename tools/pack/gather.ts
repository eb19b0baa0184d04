/**
 * Gathers the program's modules into scripts, and those that a call needs on which somebody waits into a
 * pack of its own: a plugin's answer to VERSION, a container that is attached or detached, `exec`.
 *
 *     gather.ts BUNDLE PROGRAM
 */
import { rolldown } from "rolldown";
import { sumOf } from "./append.ts";
import { COMMAND, MOST, VERSION } from "./loader.ts";

/** The bundle's file of `main.ts`. */
const ENTRY_MODULE = "main.js";

const PLUGIN = ["main.ts", "lib/cni/plugin_main.ts"];
const BRIDGE = [
  "plugins/bridge/plugin.ts",
  "plugins/host_local/plugin.ts",
  "plugins/host_local/unleased.ts",
];
const RULES = ["lib/firewall/firewall.ts", "lib/firewall/masquerade_table.ts"];
const PORTS = [
  ...RULES,
  "lib/ports/iptables.ts",
  "lib/ports/nftables.ts",
  "lib/ports/strangers.ts",
];
const called = (...sources: string[]) => [...PLUGIN, "lib/cni/history.ts", ...sources];

/**
 * The sources with which each of these calls begins, and those that it loads on its way, by the name that
 * the program is called by. A list of plugins is a process for each of them, of which podman's has four.
 */
export const CALLS: Readonly<Record<string, readonly string[]>> = {
  [VERSION]: PLUGIN,
  [MOST]: called("plugins/port_mapper/plugin.ts", ...BRIDGE, ...PORTS),
  bridge: called(...BRIDGE, ...RULES),
  portmap: called("plugins/portmap/plugin.ts", ...PORTS),
  firewall: called("plugins/firewall/plugin.ts", ...RULES),
  tuning: called("plugins/tuning/plugin.ts"),
  loopback: called("plugins/loopback/plugin.ts"),
  [COMMAND]: [
    "main.ts",
    "lib/cli/main.ts",
    "lib/cli/netns.ts",
    "lib/netns/enter.ts",
    "lib/containers/target.ts",
  ],
};

/**
 * Modules that the same calls need become one script.
 *
 * @param modules a directory of ES modules, as `deno bundle --code-splitting` makes it of `main.ts`
 * @param output a directory with `start.js`, which is told the sum of the scripts
 */
export async function gather(modules: string, output: string): Promise<void> {
  const bundle = readBundle(modules);
  const reached = Object.entries(CALLS).map(([call, sources]) =>
    [call, bundle.reachedFrom(sources)] as const
  );
  const callsOf = (file: string) =>
    reached.filter(([, files]) => files.has(file)).map(([call]) => call).join("+");
  const groups = new Set(bundle.files.filter((file) => !bundle.entries.has(file)).map(callsOf));

  const build = await rolldown({
    input: `${modules}/${ENTRY_MODULE}`,
    external: [/^node:/],
    platform: "neutral",
    // For createRequire of packages, which only load modules of the runtime with it.
    transform: { define: { "import.meta.url": '"file:///mesos-cni"' } },
    preserveEntrySignatures: "allow-extension",
  });
  const { output: scripts } = await build.generate({
    format: "cjs",
    exports: "named",
    // Not .js, since deno compile would take them for modules.
    entryFileNames: "[name].script",
    chunkFileNames: "[name].script",
    // The names of functions stay, and lines, for the stack of a defect.
    minify: {
      compress: { keepNames: { function: true, class: true } },
      mangle: { keepNames: true },
      codegen: { removeWhitespace: false },
    },
    codeSplitting: {
      includeDependenciesRecursively: false,
      groups: [...groups].filter((calls) => calls !== "").map((name) => ({
        name,
        test: (id: string) => !bundle.entries.has(fileOf(id)) && callsOf(fileOf(id)) === name,
      })),
    },
  });
  await build.close();
  const bodies = scripts.map((script) => {
    if (script.type !== "chunk") throw new Error(`${script.fileName} is no script`);
    const text = `(function(exports, require, module) { "use strict";\n${
      inAscii(directly(script.code))
    }\n})`;
    return { name: script.fileName, text, files: script.moduleIds.filter(isModule).map(fileOf) };
  });
  const membersOf = (files: Set<string>) =>
    bodies.filter((body) => body.files.length === 0 || body.files.some((file) => files.has(file)));
  for (const [call, files] of reached) {
    const members = membersOf(files).map(({ name, text }) => `"./${name}": ${text}`);
    await Deno.writeTextFile(`${output}/${call}.pack`, `({\n${members.join(",\n")}\n})\n`);
  }
  const inMost = membersOf(bundle.reachedFrom(CALLS[MOST]!));
  for (const body of bodies) {
    if (inMost.includes(body)) continue;
    await Deno.writeTextFile(`${output}/${body.name}`, `${body.text}\n`);
  }
  const start = `${output}/start.js`;
  const text = Deno.readTextFileSync(start).replace("SUM OF THE SCRIPTS", await sumOf(output));
  await Deno.writeTextFile(start, text);
}

/** Of a text with another character V8 keeps twice the bytes. */
function inAscii(code: string): string {
  return code.replace(
    /[\u0080-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * Exports functions by themselves where the bundler writes a getter, which each call from another
 * script would have to call first. Nothing but its declaration gives such a name its value.
 */
function directly(code: string): string {
  const getter =
    /Object\.defineProperty\(exports, "(\w+)", \{\s*enumerable: !0,\s*get: function\(\) \{\s*return (\w+);\s*\}\s*\}\)/g;
  return code.replace(getter, (whole, exported, name) => {
    const declaration = new RegExp(`^(?:async )?function\\*? ${name}\\(`, "m");
    const assignment = new RegExp(`\\b${name} (?:[-+*/%&|^?]*)= `);
    const isFixed = declaration.test(code) && !assignment.test(code);
    return isFixed ? `exports.${exported} = ${name}` : whole;
  });
}

const fileOf = (id: string) => id.slice(id.lastIndexOf("/") + 1);
/** Not the bundler's own, which all scripts share. */
const isModule = (id: string) => id.startsWith("/");

interface Bundle {
  files: string[];
  /** What is loaded by itself: the program's entry, and what `import()` names. */
  entries: ReadonlySet<string>;
  /** The files that hold these sources, with all that they import at once. */
  reachedFrom(sources: readonly string[]): Set<string>;
}

function readBundle(directory: string): Bundle {
  const texts = new Map(
    [...Deno.readDirSync(directory)].map(({ name }) =>
      [name, Deno.readTextFileSync(`${directory}/${name}`)] as const
    ),
  );
  const named = (pattern: RegExp, text: string) =>
    [...text.matchAll(pattern)].map(([, file]) => file!);
  const imports = new Map(
    [...texts].map(([name, text]) =>
      [name, named(/(?:from|^import) "\.\/([^"]+)"/gm, text)] as const
    ),
  );
  const holderOf = (source: string) => {
    // The bundler writes each source's path above it.
    const holders = [...texts].filter(([, text]) => `\n${text}`.includes(`\n// ${source}\n`));
    if (holders.length !== 1) {
      throw new Error(`${source} is in ${holders.length} files of the bundle`);
    }
    return holders[0]![0];
  };
  const add = (reached: Set<string>, file: string) => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const imported of imports.get(file)!) add(reached, imported);
  };
  const entries = new Set([
    ENTRY_MODULE,
    ...[...texts.values()].flatMap((text) => named(/import\("\.\/([^"]+)"\)/g, text)),
  ]);
  /** Entries that have no source of their own, since another call needs it as well. */
  const doors = [...entries].filter((file) => !/^\/\/ /m.test(texts.get(file)!));
  return {
    files: [...texts.keys()],
    entries,
    reachedFrom(sources) {
      const reached = new Set<string>();
      for (const source of sources) add(reached, holderOf(source));
      for (const door of doors) {
        if (imports.get(door)!.every((file) => reached.has(file))) reached.add(door);
      }
      return reached;
    },
  };
}

if (import.meta.main) {
  const [bundle, program] = Deno.args;
  await gather(bundle!, program!);
}
