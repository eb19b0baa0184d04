/**
 * Prints the import map of deno.json with `@std/*` from a directory of the packages' sources:
 *
 *     std_map.ts deno.json DIR > import_map.json
 *
 * DIR/cli/deno.json and so on, each as JSR has it. The packages that these import are there as well.
 */
const [config, directory] = Deno.args as [string, string];
const root = Deno.realPathSync(directory);
const wanted = JSON.parse(Deno.readTextFileSync(config)).imports as Record<string, string>;
const imports = new Map(Object.entries(wanted).filter(([name]) => !name.startsWith("@std/")));
for (const { name, isDirectory } of Deno.readDirSync(root)) {
  if (!isDirectory) continue;
  const { version, exports } = JSON.parse(Deno.readTextFileSync(`${root}/${name}/deno.json`));
  const pinned = wanted[`@std/${name}`];
  if (pinned !== undefined && pinned !== `jsr:@std/${name}@${version}`) {
    throw new Error(`${root}/${name} is of version ${version}, and deno.json has ${pinned}`);
  }
  const files = typeof exports === "string" ? { ".": exports } : exports as Record<string, string>;
  for (const [path, file] of Object.entries(files)) {
    imports.set(`@std/${name}${path.slice(1)}`, `file://${root}/${name}/${file.slice(2)}`);
  }
}
const missing = Object.keys(wanted).filter((name) => !imports.has(name));
if (missing.length > 0) throw new Error(`${root} has no ${missing.join(", ")}`);
console.log(JSON.stringify({ imports: Object.fromEntries(imports) }, null, 2));
